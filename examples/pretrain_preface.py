"""Pretrain PrefAce on drawn faces, with every piece in the open.

    python examples/pretrain_preface.py

`preface-hf pretrain` does the same with Accelerate, checkpoints and resume.
"""

import tempfile
from itertools import islice
from pathlib import Path

import torch

import preface_hf
from preface_hf.data.prepare import prepare
from preface_hf.data.sets import open_prepared
from preface_hf.data.streams import ViewStream, plain_clips, view_loader
from preface_hf.data.synthetic import EXPRESSIONS, ClipSpec, write_synthetic
from preface_hf.data.views import ViewConfig
from preface_hf.objectives.preface import PrefAceObjective, PrefAceObjectiveConfig


def main(steps: int = 30, batch_size: int = 16) -> None:
    folder = Path(tempfile.mkdtemp())

    # 1. videos with landmarks beside them -> a prepared set of face tracks
    clips = [ClipSpec(person, EXPRESSIONS[person % 8], seed=person, num_frames=20, size=96) for person in range(32)]
    write_synthetic(folder / "videos", clips)
    prepare(folder / "videos", folder / "set", landmarker="given", crop_size=64)
    data = open_prepared(folder / "set")

    # 2. a student; the objective adds its teacher and the FaceFeat Cache
    torch.manual_seed(0)
    config = preface_hf.PrefAceConfig(
        image_size=48, patch_size=12, num_frames=4, tubelet_size=4, hidden_size=128, num_hidden_layers=4,
        num_attention_heads=4, intermediate_size=512, projector_hidden_size=256, num_prototypes=256, facefeat_size=64,
    )  # fmt: skip
    views = ViewConfig(num_frames=4, global_size=48, local_size=24, num_local=2)
    student = preface_hf.PrefAceForPreTraining(config)
    objective = PrefAceObjective(
        student, PrefAceObjectiveConfig(), num_instances=data.num_rows, num_local=views.num_local, max_steps=steps,
        seed=0, pixels=([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    )  # fmt: skip
    objective.start(plain_clips(data, views, batch_size))

    # 3. train
    optimizer = torch.optim.AdamW(objective.trainable_parameters(), lr=1e-3)
    batches = view_loader(ViewStream(data, views, batch_size, seed=0), workers=0)
    for step, batch in enumerate(islice(batches, steps)):
        output = objective(batch, step)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        objective.after_step(step)
        print(
            step,
            f"loss {output.loss.item():.3f}",
            {name: round(float(value), 3) for name, value in output.logs.items()},
        )

    # 4. save; AutoModel opens the encoder
    student.save_pretrained(folder / "model")
    size = {"height": config.image_size, "width": config.image_size}
    preface_hf.PrefAceVideoProcessor(size=size, crop_size=size, num_frames=4).save_pretrained(folder / "model")
    print(preface_hf.PrefAceModel.from_pretrained(folder / "model").config.hidden_size, "wide, in", folder / "model")


if __name__ == "__main__":
    main()
