"""Pretrain PrefAce on drawn faces, with every piece in the open.

    python examples/pretrain_preface.py

`preface-hf pretrain` does the same on any number of GPUs, and can be killed and resumed.
"""

import tempfile
from itertools import islice
from pathlib import Path

import torch

import preface_hf
from preface_hf.data.opening import open_prepared
from preface_hf.data.streams import PlainClips, ViewStream
from preface_hf.data.views import ViewConfig
from preface_hf.data.workers import loader
from preface_hf.features.probe import print_probes, probe
from preface_hf.objectives.preface import PrefAceObjective, PrefAceObjectiveConfig
from preface_hf.objectives.schedules import cosine, warmup_cosine
from preface_hf.prepare.run import prepare
from preface_hf.synthetic import EXPRESSIONS, ClipSpec, write_synthetic
from preface_hf.training.optimizer import build_optimizer


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
        student, PrefAceObjectiveConfig(), views=views, num_instances=data.num_rows, max_steps=steps,
        seed=0, pixels=([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    )  # fmt: skip
    objective.start(PlainClips(data, views, batch_size))

    # 3. AdamW; learning rate and weight decay are functions of the step
    optimizer = build_optimizer(student, learning_rate=1e-3)
    batches = loader(ViewStream(data, views, batch_size, seed=0), workers=0)
    for step, batch in enumerate(islice(batches, steps)):
        for group in optimizer.param_groups:
            group["lr"] = group["factor"] * warmup_cosine(step, warmup=5, total=steps, peak=1e-3, end=1e-6)
            group["weight_decay"] = cosine(step, steps, 0.04, 0.4) if group["decays"] else 0.0
        output = objective(batch, step)
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 3.0)
        if step * batch_size < data.num_rows:  # the prototypes rest during the first epoch
            student.prototypes.weight.grad = None
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step(step)  # teacher, center, statistics and FaceFeat Cache move on
        terms = {name: round(float(value), 3) for name, value in output.logs.items()}
        print(step, f"loss {output.loss.item():.3f}", terms)

    # 4. a checkpoint: what training would go on from, from ViewStream(..., start=steps)
    state = {"student": student.state_dict(), "optimizer": optimizer.state_dict(), "step": steps}
    torch.save({**state, "objective": objective.state_dict()}, folder / "checkpoint.pt")

    # 5. publish the teacher, which AutoModel opens, and ask a linear classifier what its features tell
    objective.teacher.model.save_pretrained(folder / "model")
    size = {"height": config.image_size, "width": config.image_size}
    preface_hf.PrefAceVideoProcessor(size=size, crop_size=size, num_frames=4).save_pretrained(folder / "model")
    print_probes([probe(folder / "model", folder / "set", "expression", group="identity", folds=3)])
    print(preface_hf.PrefAceModel.from_pretrained(folder / "model").config.hidden_size, "wide, in", folder / "model")


if __name__ == "__main__":
    main()
