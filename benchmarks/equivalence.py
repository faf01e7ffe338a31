"""Do converted weights compute what their source does? MARLIN S, B, L beside marlin-pytorch, VideoMAE beside
transformers.

    make equivalence FACES=folder    # folder/marlin_clips holds the clips
    python benchmarks/equivalence.py CLIPS [FOLDER_WITH_MARLIN_PYTORCH]

Random weights (seed 0), real clips. Prints, for each model and output, the largest difference over the largest value,
and ends with exit code 1 where one is above its bound: MARLIN 1e-4, VideoMAE 1e-5.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import ModuleType

import torch
from transformers import VideoMAEConfig, VideoMAEModel

from preface_hf.convert import convert, from_videomae
from preface_hf.modeling import PRESETS, PrefAceModel, PrefAceVideoProcessor


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


@torch.inference_mode()
def compare_marlin(size: str, clips: list[Path], folder: str | None) -> list[tuple[str, float, float]]:
    full = size == "S"  # one of them from a full model, in a training checkpoint
    marlin = random_marlin(MARLIN[size], full, folder)
    with tempfile.TemporaryDirectory() as work:
        file = Path(work, "marlin.ckpt" if full else "marlin.pt")
        weights = marlin.state_dict()
        torch.save({"state_dict": {**weights, "discriminator.w": torch.ones(1)}} if full else weights, file)
        convert("marlin", file, Path(work, "preface"))
        preface = PrefAceModel.from_pretrained(Path(work, "preface")).eval()
        processor = PrefAceVideoProcessor.from_pretrained(Path(work, "preface"))
    worst = {"tokens (keep_seq)": 0.0, "pooled": 0.0}
    for clip in clips:
        pixels = processor(str(clip), return_tensors="pt")["pixel_values_videos"]
        assert pixels.min() >= 0 and pixels.max() <= 1
        ours, theirs = preface(pixels), pixels.transpose(1, 2)
        tokens, pooled = (marlin.extract_features(theirs, keep_seq=keep) for keep in (True, False))
        worst["tokens (keep_seq)"] = max(worst["tokens (keep_seq)"], difference(ours.last_hidden_state, tokens))
        worst["pooled"] = max(worst["pooled"], difference(ours.pooler_output, pooled))
    return [(f"MARLIN {size}, {name}", value, 1e-4) for name, value in worst.items()]


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
    rows = compare_videomae(clips)
    for size in MARLIN:
        rows += compare_marlin(size, clips, marlin_folder)
    for name, value, bound in rows:
        print(f"{name:28} {value:.1e} (bound {bound:.0e})")
    return int(any(value > bound for _, value, bound in rows))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
