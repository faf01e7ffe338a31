"""Random VideoMAE and MARLIN weights give the same features here; what does not fit is refused."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import (
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
    VideoMAEImageProcessorPil,
    VideoMAEModel,
    ViTConfig,
    ViTModel,
)

from preface_hf import PrefAceModel, PrefAceVideoProcessor
from preface_hf.cli import main
from preface_hf.convert import convert, from_marlin, from_videomae
from preface_hf.convert.marlin import CRITIC_FILE
from tests.marlin_weights import full_marlin


SMALL = {"image_size": 32, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 64, "initializer_range": 0.2}  # fmt: skip


@pytest.mark.parametrize("use_mean_pooling", [True, False])
def test_same_hidden_states_as_videomae(use_mean_pooling):
    torch.manual_seed(0)
    config = VideoMAEConfig(
        image_size=64, num_frames=8, hidden_size=96, num_hidden_layers=3, num_attention_heads=3, intermediate_size=192,
        use_mean_pooling=use_mean_pooling, initializer_range=0.2,
    )  # fmt: skip
    videomae = VideoMAEModel(config).eval()
    preface = from_videomae(videomae)
    clip = torch.randn(2, 8, 3, 64, 64)
    theirs = videomae(clip, output_hidden_states=True)
    ours = preface(clip, output_hidden_states=True)
    assert theirs.last_hidden_state.std() > 0.1
    assert len(ours.hidden_states) == len(theirs.hidden_states) == 4
    for one, other in zip(
        (*ours.hidden_states, ours.last_hidden_state), (*theirs.hidden_states, theirs.last_hidden_state), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_same_with_masked_tokens():
    torch.manual_seed(0)
    videomae = VideoMAEModel(VideoMAEConfig(**SMALL)).eval()
    mask = torch.zeros(2, 8, dtype=torch.bool)
    mask[:, [1, 5, 6]] = True
    clip = torch.randn(2, 4, 3, 32, 32)
    ours = from_videomae(videomae)(clip, bool_masked_pos=mask).last_hidden_state
    torch.testing.assert_close(ours, videomae(clip, mask).last_hidden_state, atol=1e-5, rtol=1e-5)
    assert ours.shape == (2, 5, 32)


@pytest.mark.parametrize("source", [VideoMAEModel, VideoMAEForPreTraining, VideoMAEForVideoClassification])
def test_a_videomae_folder_becomes_a_checkpoint(source, tmp_path, capsys):
    torch.manual_seed(0)
    theirs = source(VideoMAEConfig(**SMALL, use_mean_pooling=False)).eval()
    theirs.save_pretrained(tmp_path / "videomae")
    VideoMAEImageProcessorPil(
        size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(tmp_path / "videomae")
    main_ends(["convert", "--from", "videomae", str(tmp_path / "videomae"), str(tmp_path / "preface")], 0)
    assert "width 32, 2 layers, 4 frames of 32²" in capsys.readouterr().out
    clip = torch.randn(2, 4, 3, 32, 32)
    expected = getattr(theirs, "videomae", theirs)(clip).last_hidden_state
    found = PrefAceModel.from_pretrained(tmp_path / "preface").eval()(clip).last_hidden_state
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    processor = PrefAceVideoProcessor.from_pretrained(tmp_path / "preface")
    assert [*processor.image_mean, *processor.image_std] == [0.5] * 6
    assert processor.size["shortest_edge"] == 36 and processor.crop_size["height"] == 32
    assert (processor.num_frames, processor.sampling_rate) == (4, 4)


def main_ends(arguments: list[str], code: int) -> None:
    try:
        main(arguments)
    except SystemExit as end:
        assert (end.code or 0) == code


@pytest.fixture
def videomae_folder(tmp_path):
    VideoMAEModel(VideoMAEConfig(**SMALL)).save_pretrained(tmp_path / "videomae")
    return tmp_path / "videomae"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: weights.pop("encoder.layer.1.output.dense.bias"),
            "missing: encoder.layer.1.output.dense.bias",
        ),
        (lambda weights: weights.update(extra=torch.zeros(1)), "unexpected: extra"),
        (
            lambda weights: weights.update({"encoder.layer.0.output.dense.bias": torch.zeros(3)}),
            "of another shape: enc",
        ),
    ],
)
def test_videomae_weights_that_do_not_fit_are_listed(videomae_folder, tmp_path, change, message):
    weights = load_file(videomae_folder / "model.safetensors")
    change(weights)
    save_file(weights, videomae_folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=message):
        convert("videomae", videomae_folder, tmp_path / "preface")
    assert not (tmp_path / "preface").exists()


def test_another_architecture_is_refused(tmp_path, capsys):
    ViTModel(ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(tmp_path / "vit")
    main_ends(["convert", "--from", "videomae", str(tmp_path / "vit"), str(tmp_path / "out")], 2)
    assert "holds a 'vit' model: give a VideoMAE checkpoint" in capsys.readouterr().err
    with pytest.raises(ValueError, match="cannot read .*nothing.* as a transformers checkpoint"):
        convert("videomae", tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(ValueError, match="unknown source 'timm': choose videomae or marlin"):
        convert("timm", tmp_path, tmp_path / "out")


@pytest.mark.parametrize("damage", ["cut", "nan"])
def test_weights_that_are_cut_or_nan_are_one_sentence(videomae_folder, tmp_path, damage):
    shutil.copytree(videomae_folder, tmp_path / "broken")
    file = tmp_path / "broken/model.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:500])
    else:
        weights = load_file(file)
        next(iter(weights.values())).view(-1)[0] = float("nan")
        save_file(weights, file, {"format": "pt"})
    with pytest.raises(ValueError, match="cannot read the weights of|holds NaN or infinity in") as caught:
        convert("videomae", tmp_path / "broken", tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_a_folder_that_is_taken_is_left_alone(videomae_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="exists and is not an empty folder"):
        convert("videomae", videomae_folder, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["notes.txt"]


# MARLIN. benchmarks/equivalence.py compares S, B and L with marlin-pytorch itself.

WIDTH, TOKENS = 128, 8 * 2 * 2  # 16 frames of 32²


def marlin_weights(full: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"patch_embedding.projection.weight": (WIDTH, 3, 2, 16, 16), "patch_embedding.projection.bias": (WIDTH,)}
    for block in (f"blocks.{i}." for i in range(2)):
        shapes |= {block + name: (WIDTH,) for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")}
        shapes |= {block + f"attn.{name}": (WIDTH,) for name in ("q_bias", "v_bias", "proj.bias")}
        shapes |= {block + "attn.qkv.weight": (3 * WIDTH, WIDTH), block + "attn.proj.weight": (WIDTH, WIDTH)}
        shapes |= {block + "mlp.layers.0.linear.weight": (256, WIDTH), block + "mlp.layers.0.linear.bias": (256,)}
        shapes |= {block + "mlp.layers.1.linear.weight": (WIDTH, 256), block + "mlp.layers.1.linear.bias": (WIDTH,)}
    shapes |= {"norm.weight": (WIDTH,), "norm.bias": (WIDTH,)}
    weights = {f"encoder.{key}": 0.1 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    position, channel = torch.arange(TOKENS)[:, None], torch.arange(WIDTH)
    angle = position / 10000 ** (2 * (channel // 2) / WIDTH)
    weights["encoder.pos_embedding.emb"] = torch.where(channel % 2 == 0, angle.sin(), angle.cos())[None]
    if full:
        heads = ("decoder.", "enc_dec_proj.")
        weights |= {name: tensor for name, tensor in full_marlin(WIDTH).items() if name.startswith(heads)}
    return weights


def marlin_features(weights: dict[str, torch.Tensor], clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """MARLIN's encoder in plain steps: clip `(C, T, H, W)` to tokens and pooled features."""
    w = {key.removeprefix("encoder."): value for key, value in weights.items()}
    x = F.conv3d(
        clip, w["patch_embedding.projection.weight"], w["patch_embedding.projection.bias"], stride=(2, 16, 16)
    )
    x = x.flatten(1).T + w["pos_embedding.emb"][0]
    for block in (f"blocks.{i}." for i in range(2)):
        normed = F.layer_norm(x, (WIDTH,), w[block + "norm1.weight"], w[block + "norm1.bias"], 1e-5)
        bias = torch.cat([w[block + "attn.q_bias"], torch.zeros(WIDTH), w[block + "attn.v_bias"]])
        query, key, value = (normed @ w[block + "attn.qkv.weight"].T + bias).split(WIDTH, dim=1)
        heads = []
        for head in range(WIDTH // 64):
            q, k, v = (part[:, head * 64 : head * 64 + 64] for part in (query, key, value))
            heads.append((q @ k.T / 8).softmax(dim=1) @ v)
        x = x + torch.cat(heads, dim=1) @ w[block + "attn.proj.weight"].T + w[block + "attn.proj.bias"]
        normed = F.layer_norm(x, (WIDTH,), w[block + "norm2.weight"], w[block + "norm2.bias"], 1e-5)
        inner = F.gelu(normed @ w[block + "mlp.layers.0.linear.weight"].T + w[block + "mlp.layers.0.linear.bias"])
        x = x + inner @ w[block + "mlp.layers.1.linear.weight"].T + w[block + "mlp.layers.1.linear.bias"]
    norm = (WIDTH,), w["norm.weight"], w["norm.bias"], 1e-5
    return F.layer_norm(x, *norm), F.layer_norm(x.mean(dim=0), *norm)


@pytest.mark.parametrize(("name", "full"), [("marlin.pt", False), ("marlin.pt", True), ("marlin.ckpt", True)])
def test_a_marlin_file_becomes_a_checkpoint(tmp_path, name, full):
    weights = marlin_weights(full)
    critic = {key: tensor for key, tensor in full_marlin().items() if key.startswith("discriminator.")}
    training = {"state_dict": {**weights, **critic}, "epoch": 3}
    torch.save(training if name.endswith("ckpt") else weights, tmp_path / name)
    main_ends(["convert", "--from", "marlin", str(tmp_path / name), str(tmp_path / "preface")], 0)
    assert (tmp_path / "preface" / CRITIC_FILE).exists() == name.endswith("ckpt")
    model = PrefAceModel.from_pretrained(tmp_path / "preface").eval()
    assert (model.config.image_size, model.config.num_attention_heads, model.config.intermediate_size) == (32, 2, 256)
    processor = PrefAceVideoProcessor.from_pretrained(tmp_path / "preface")
    video = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    clip = processor(video, return_tensors="pt")["pixel_values_videos"]
    assert torch.equal((clip[0] * 255).round().to(torch.uint8), video[4:35:2]), "in [0, 1], every second frame"
    tokens, pooled = marlin_features(weights, clip[0].transpose(0, 1))
    output = model(clip)
    torch.testing.assert_close(output.last_hidden_state[0], tokens, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(output.pooler_output[0], pooled, atol=1e-4, rtol=1e-4)


def test_a_state_dict_does_as_well():
    weights = marlin_weights()
    assert not from_marlin(weights).training
    half = from_marlin({key: weight.half() for key, weight in weights.items()})
    assert half.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("encoder.blocks.1.norm2.bias"), r"missing: layers.1.layernorm_after.bias"),
        (lambda w: w.update({"encoder.blocks.0.gamma_1": torch.ones(WIDTH)}), "unexpected: blocks.0.gamma_1"),
        (lambda w: w.update({"encoder.blocks.0.norm1.bias": torch.ones(3)}), r"of another shape: layers.0.*\(3,\)"),
        (lambda w: w.update({"encoder.pos_embedding.emb": torch.zeros(1, TOKENS, WIDTH)}), "sin-cos table"),
        (
            lambda w: w.update({"encoder.pos_embedding.emb": torch.zeros(1, 31, WIDTH)}),
            "has 31 positions of width 128",
        ),
        (lambda w: w.pop("encoder.pos_embedding.emb"), "pos_embedding.emb.* is missing"),
        (lambda w: w.pop("encoder.patch_embedding.projection.weight"), "holds no MARLIN encoder"),
    ],
)
def test_marlin_weights_that_do_not_fit_are_listed(change, message):
    weights = marlin_weights()
    change(weights)
    with pytest.raises(ValueError, match=message):
        from_marlin(weights)


class Payload:
    """What an unsafe file may hold; unpickling it would call print."""

    def __reduce__(self):
        return print, ("the file ran code",)


def test_files_that_are_no_weights_are_refused(tmp_path, capsys):
    torch.save({"state_dict": Payload()}, tmp_path / "code.ckpt")
    (tmp_path / "text.pt").write_bytes(b"no weights" * 50)
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("code.ckpt", "text.pt", "empty.pt", "list.pt", "absent.pt"):
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            from_marlin(tmp_path / name)
    assert "ran code" not in capsys.readouterr().out
