"""What an encoder does at each place of a face: where its heads look, and how alike its tokens are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from preface_hf.modeling.modeling_preface import PrefAceModel
from preface_hf.pictures.plane import main_directions
from preface_hf.pictures.words import NOTE, font, lines_of


SIDE, CAPTION, SCALE = 192, 34, 46  # pixels of a panel, and of the lines above and below the panels
MAP = "cividis"  # even in lightness, and told apart by people who see fewer colors
STRENGTH = 0.6  # of the colors over the face


@torch.inference_mode()
def attention_maps(model: PrefAceModel, pixels: torch.Tensor, layer: int = -1) -> np.ndarray:
    """How much attention each place gets from all tokens on average, float32 `(clips, heads, T, height, width)` of
    tokens; 1 is what every place would get if none were preferred.

    Args:
        model: the encoder.
        pixels: clips as its processor makes them, `(clips, frames, channels, height, width)`.
        layer: of the encoder; the last by default.
    """
    before = model.config._attn_implementation
    # Only the eager implementation gives its weights away.
    model.set_attn_implementation("eager")
    try:
        weights = model(pixels, output_attentions=True).attentions[layer]  # (clips, heads, tokens, tokens)
    finally:
        model.set_attn_implementation(before)
    received = weights.float().mean(dim=2) * weights.shape[-1]  # (clips, heads, tokens)
    return received.unflatten(-1, token_grid(model, pixels)).cpu().numpy()


@torch.inference_mode()
def token_colors(model: PrefAceModel, pixels: torch.Tensor) -> np.ndarray:
    """The three main directions of all tokens as red, green, blue: uint8 `(clips, T, height, width, 3)`.

    One set of directions for all clips: the same color is the same kind of token everywhere.
    """
    tokens = model(pixels).last_hidden_state.float().cpu().numpy()  # (clips, tokens, width)
    found, _ = main_directions(tokens.reshape(-1, tokens.shape[-1]), 3)
    low, high = np.quantile(found, [0.02, 0.98], axis=0)
    colors = np.clip((found - low) / np.maximum(high - low, 1e-9), 0, 1)
    return (255 * colors).round().astype(np.uint8).reshape(len(tokens), *token_grid(model, pixels), 3)


def token_grid(model: PrefAceModel, pixels: torch.Tensor) -> tuple[int, int, int]:
    """Tokens over time, height and width."""
    config, (frames, _, height, width) = model.config, pixels.shape[1:]
    return frames // config.tubelet_size, height // config.patch_size, width // config.patch_size


def attention_picture(face: np.ndarray, maps: np.ndarray, title: str = "attention of the last layer") -> Image.Image:
    """A face, uint8 `(side, side, 3)`, and beside it what each head looks at, with one scale for all heads.

    `maps` is `(heads, height, width)`, where 1 is even attention.
    """
    top = max(2.0, float(maps.max()))
    panels = [("the face", Image.fromarray(face).resize((SIDE, SIDE), Image.Resampling.LANCZOS))]
    panels += [(f"head {n + 1}", over_face(panels[0][1], one / top)) for n, one in enumerate(maps)]
    picture = Image.new("RGB", (len(panels) * SIDE, CAPTION + SIDE + SCALE), "white")
    draw = ImageDraw.Draw(picture)
    for number, (name, panel) in enumerate(panels):
        picture.paste(panel, (number * SIDE, CAPTION))
        draw.text((number * SIDE + 4, 10), name, fill="black", font_size=14)
    draw_scale(picture, top, title)
    return picture


def tokens_picture(frames: np.ndarray, colors: np.ndarray) -> Image.Image:
    """A strip of frames, uint8 `(n, side, side, 3)`, over the colors of their tokens by [`token_colors`], `(n, height,
    width, 3)`: a column for each moment."""
    said = lines_of("tokens: places of one color are alike to the model", NOTE, len(frames) * SIDE - 8)
    picture = Image.new("RGB", (len(frames) * SIDE, CAPTION + 2 * SIDE + CAPTION * len(said)), "white")
    for column, (frame, color) in enumerate(zip(frames, colors, strict=True)):
        seen = Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        # Tokens stay squares: what lies between them is not known.
        picture.paste(seen, (column * SIDE, CAPTION))
        kinds = Image.fromarray(color).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        picture.paste(kinds, (column * SIDE, CAPTION + SIDE))
    draw = ImageDraw.Draw(picture)
    draw.text((4, 10), "frames, in time", fill="black", font_size=14)
    for number, line in enumerate(said):
        draw.text((4, CAPTION + 2 * SIDE + 8 + number * (NOTE + 4)), line, fill="black", font=font(NOTE))
    return picture


def over_face(face: Image.Image, shares: np.ndarray) -> Image.Image:
    """Values in [0, 1] on a grid as colors over a face, which is gray below them."""
    heat = np.asarray(Image.fromarray(shares.astype(np.float32)).resize(face.size, Image.Resampling.BICUBIC))
    gray = face.convert("L").convert("RGB")
    return Image.blend(gray, Image.fromarray(color_of(heat)), STRENGTH)


def color_of(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as colors, uint8 `(…, 3)`."""
    from matplotlib import colormaps

    table: Any = colormaps[MAP]
    return (255 * table(np.clip(values, 0, 1))[..., :3]).round().astype(np.uint8)


def draw_scale(picture: Image.Image, top: float, title: str) -> None:
    """The colors from 0 to `top` along the foot of a picture, with a mark where attention is even."""
    draw, width = ImageDraw.Draw(picture), min(220, picture.width - 20)
    y = picture.height - SCALE + 6
    bar = color_of(np.tile(np.linspace(0, 1, width), (10, 1)))
    picture.paste(Image.fromarray(bar), (8, y))
    even = 8 + width / top
    draw.line((even, y - 3, even, y + 13), fill="black", width=2)
    said = f"{title}: 0 to {top:.1f} times the average (mark: 1)"
    draw.text((8, y + 16), said, fill="black", font_size=13)
