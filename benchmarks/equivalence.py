"""Do converted weights compute what their source does? MARLIN S, B, L beside marlin-pytorch, VideoMAE beside
transformers.

    make equivalence FACES=folder    # folder/marlin_clips holds the clips
    python benchmarks/equivalence.py CLIPS [FOLDER_WITH_MARLIN_PYTORCH]

Random weights (seed 0), real clips; encoders, and of a clip of which 90 % is hidden the reconstruction, MARLIN's
critic, VideoMAE's loss and gradients. Prints, for each model and output, the largest difference over the largest
value, and ends with exit code 1 where one is above its bound: MARLIN 1e-4, VideoMAE 1e-5.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import load_file
from transformers import VideoMAEConfig, VideoMAEForPreTraining, VideoMAEModel

from preface_hf.convert import convert, from_videomae, full_from_videomae
from preface_hf.convert.marlin import CRITIC_FILE
from preface_hf.modeling import PRESETS, PrefAceForPreTraining, PrefAceModel, PrefAceVideoProcessor
from preface_hf.objectives.masked.critic import Critic
from preface_hf.objectives.masked.videomae import VideoMAEObjective, VideoMAEObjectiveConfig


MARLIN = {"S": "marlin_vit_small_ytf", "B": "marlin_vit_base_ytf", "L": "marlin_vit_large_ytf"}


def import_marlin(folder: str | None):
    """marlin-pytorch, from `folder` if given. It imports torchvision for a reader that is not used here."""
    sys.path[:0] = [folder] if folder else []
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        sys.modules["torchvision"] = ModuleType("torchvision")
    from marlin_pytorch import Marlin
    from marlin_pytorch.config import resolve_config

    return Marlin, resolve_config


def random_marlin(name: str, full: bool, folder: str | None) -> torch.nn.Module:
    Marlin, resolve_config = import_marlin(folder)
    fields = (
        "img_size patch_size n_frames encoder_embed_dim encoder_depth encoder_num_heads decoder_embed_dim "
        "decoder_depth decoder_num_heads mlp_ratio qkv_bias qk_scale drop_rate attn_drop_rate norm_layer "
        "init_values tubelet_size"
    )
    config = resolve_config(name)
    torch.manual_seed(0)
    model = Marlin(**{field: getattr(config, field) for field in fields.split()}, as_feature_extractor=not full).eval()
    for key, weight in model.named_parameters():  # its biases and norms start at 0 and 1, which would hide mistakes
        if weight.ndim == 1:
            torch.nn.init.normal_(weight, mean=float(key.endswith("weight")), std=0.1)
    return model


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert ours.shape == theirs.shape and theirs.isfinite().all() and theirs.std() > 1e-3
    return float((ours - theirs).abs().max() / theirs.abs().max())


def random_critic(model: PrefAceForPreTraining) -> torch.nn.Module:
    """The critic of MARLIN's training code, which stands in its training checkpoints."""
    from marlin_pytorch.model.modules import MLP

    return MLP([1536, 4 * model.decoder.embed_dim, 1], torch.nn.LeakyReLU)


def random_mask(tokens: int, seed: int) -> torch.Tensor:
    """One mask `(1, tokens)` that hides all but a tenth."""
    order = torch.randperm(tokens, generator=torch.Generator().manual_seed(seed))
    return torch.ones(tokens, dtype=torch.bool).index_fill_(0, order[: tokens // 10], False)[None]


def channels_first(cubes: torch.Tensor) -> torch.Tensor:
    """Our cubes with their values in MARLIN's order."""
    return cubes.unflatten(-1, (2, 16, 16, 3)).movedim(-1, -4).flatten(-4)


@torch.inference_mode()
def compare_marlin(size: str, clips: list[Path], folder: str | None) -> list[tuple[str, float, float]]:
    marlin = random_marlin(MARLIN[size], True, folder)
    critic = random_critic(marlin)
    with tempfile.TemporaryDirectory() as work:
        file, out = Path(work, "marlin.ckpt"), Path(work, "preface")
        heads = {f"discriminator.{key}": weight for key, weight in critic.state_dict().items()}
        torch.save({"state_dict": {**marlin.state_dict(), **heads}}, file)
        convert("marlin", file, out)
        encoder, preface = (cls.from_pretrained(out).eval() for cls in (PrefAceModel, PrefAceForPreTraining))
        processor = PrefAceVideoProcessor.from_pretrained(out)
        our_critic = Critic(1536, 4 * preface.config.decoder_hidden_size)
        our_critic.load_state_dict(load_file(out / CRITIC_FILE))
    worst = dict.fromkeys(("tokens (keep_seq)", "pooled", "reconstruction", "critic"), 0.0)
    for number, clip in enumerate(clips):
        pixels = processor(str(clip), return_tensors="pt")["pixel_values_videos"]
        assert pixels.min() >= 0 and pixels.max() <= 1
        ours, theirs = encoder(pixels), pixels.transpose(1, 2)
        mask = random_mask(1568, number)
        cubes, their_cubes = preface(pixels, mask).reconstruction, marlin(theirs, ~mask)
        pairs = {
            "tokens (keep_seq)": (ours.last_hidden_state, marlin.extract_features(theirs, keep_seq=True)),
            "pooled": (ours.pooler_output, marlin.extract_features(theirs, keep_seq=False)),
            "reconstruction": (channels_first(cubes), their_cubes),
            "critic": (our_critic(cubes), critic(their_cubes)),
        }
        worst = {name: max(worst[name], difference(*pair)) for name, pair in pairs.items()}
    return [(f"MARLIN {size}, {name}", value, 1e-4) for name, value in worst.items()]


def compare_videomae_training(clip: Path) -> list[tuple[str, float, float]]:
    """Loss and gradients of one clip, normalized targets."""
    torch.manual_seed(0)
    videomae = VideoMAEForPreTraining(VideoMAEConfig(**PRESETS["vit-s"])).eval()
    preface, processor = full_from_videomae(videomae), PrefAceVideoProcessor()
    pixels, mask = processor(str(clip), return_tensors="pt")["pixel_values_videos"], random_mask(1568, 0)
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (processor.image_mean, processor.image_std))
    statistics = (processor.image_mean, processor.image_std)
    objective = VideoMAEObjective(preface, VideoMAEObjectiveConfig(), num_instances=1, seed=0, pixels=statistics)
    theirs = videomae(pixels, bool_masked_pos=mask)
    ours = preface(pixels, mask).reconstruction
    loss = torch.nn.functional.mse_loss(ours, objective.targets(pixels * deviation + mean, mask))
    theirs.loss.backward()
    loss.backward()
    gradients = [
        (
            preface.preface.embeddings.projection.weight,
            videomae.videomae.embeddings.patch_embeddings.projection.weight,
        ),
        (preface.decoder.mask_token, videomae.mask_token),
        (preface.decoder.head.weight, videomae.decoder.head.weight),
    ]
    worst = max(float((a.grad - b.grad).abs().max() / b.grad.abs().max()) for a, b in gradients)
    relative = abs(float(loss.detach() / theirs.loss.detach()) - 1)
    return [
        ("VideoMAE S, reconstruction", difference(ours.detach(), theirs.logits.detach()), 1e-5),
        ("VideoMAE S, loss", relative, 1e-5),
        ("VideoMAE S, gradients", worst, 1e-5),
    ]


@torch.inference_mode()
def compare_videomae(clips: list[Path]) -> list[tuple[str, float, float]]:
    torch.manual_seed(0)
    videomae = VideoMAEModel(VideoMAEConfig(**PRESETS["vit-s"], use_mean_pooling=False)).eval()
    preface, processor = from_videomae(videomae), PrefAceVideoProcessor()
    worst = 0.0
    for clip in clips:
        pixels = processor(str(clip), return_tensors="pt")["pixel_values_videos"]
        ours, theirs = (model(pixels, output_hidden_states=True) for model in (preface, videomae))
        for one, other in zip(ours.hidden_states, theirs.hidden_states, strict=True):
            worst = max(worst, difference(one, other))
        worst = max(worst, difference(ours.last_hidden_state, theirs.last_hidden_state))
    return [("VideoMAE S, every layer", worst, 1e-5)]


def main(clips_folder: str, marlin_folder: str | None = None) -> int:
    clips = sorted(Path(clips_folder).glob("*.mp4"))
    print(f"{len(clips)} clips of {clips_folder}, torch {torch.__version__}")
    rows = compare_videomae(clips) + compare_videomae_training(clips[0])
    for size in MARLIN:
        rows += compare_marlin(size, clips, marlin_folder)
    for name, value, bound in rows:
        print(f"{name:28} {value:.1e} (bound {bound:.0e})")
    return int(any(value > bound for _, value, bound in rows))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
