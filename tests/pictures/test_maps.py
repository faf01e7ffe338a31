"""Pictures of what a model does: planted attention shows at its place, like tokens have one color, gaps are gaps."""

import numpy as np
import torch

from preface_hf import PrefAceConfig, PrefAceModel
from preface_hf.pictures.maps import attention_maps, attention_picture, token_colors, tokens_picture
from preface_hf.pictures.timeline import timeline_figure
from tests.modeling_common import TINY


def test_attention_planted_at_a_place_shows_there():
    """One place is bright, the others black, and queries meet keys only by brightness."""
    torch.manual_seed(0)
    model = PrefAceModel(PrefAceConfig(**TINY)).eval()
    pixels = torch.zeros(1, 4, 3, 32, 32)
    pixels[:, :, :, 8:16, 16:24] = 3.0  # row 1, column 2 of 4 x 4
    layer = model.layers[0]
    before = model.config._attn_implementation
    even = attention_maps(model, pixels, layer=0)
    assert even.shape == (1, 2, 2, 4, 4) and model.config._attn_implementation == before
    np.testing.assert_allclose(even.mean(axis=(2, 3, 4)), 1, rtol=1e-5)
    # A query that is the planted token's own key, whatever asks.
    seen = {}
    attention = layer.attention
    attention.k_proj.register_forward_hook(lambda m, i, o: seen.update(keys=o.detach()))
    model(pixels)
    key = seen["keys"][:, 4 + 2]
    attention.q_proj.register_forward_hook(lambda m, i, o: (50 * (key - seen["keys"].mean(1))).expand_as(o[0])[None])
    planted = attention_maps(model, pixels, layer=0).sum(axis=(1, 2))[0]
    assert np.unravel_index(planted.argmax(), planted.shape) == (1, 2)


def test_pictures_have_their_places_and_words():
    face, maps = np.full((64, 64, 3), 120, np.uint8), np.full((2, 4, 4), 0.5, np.float32)
    maps[1, 0, 3] = 8.0
    picture = np.asarray(attention_picture(face, maps)).astype(int)
    assert picture.shape[1] == 3 * 192
    panel = picture[34 : 34 + 192, 2 * 192 :]
    yellow = panel[..., 0] - panel[..., 2]
    assert yellow[:48, 144:].mean() > yellow[96:, :96].mean() + 40, "bright where attention is"
    assert (picture[:34].min(axis=(0, 2)) < 80).reshape(3, 192).any(axis=1).all(), "each panel has its name"


def test_alike_tokens_have_one_color():
    torch.manual_seed(0)
    model = PrefAceModel(PrefAceConfig(**TINY)).eval()
    pixels = torch.randn(2, 4, 3, 32, 32)
    pixels[1] = pixels[0]
    colors = token_colors(model, pixels)
    assert colors.shape == (2, 2, 4, 4, 3) and colors.dtype == np.uint8
    assert np.abs(colors[0].astype(int) - colors[1]).max() <= 1 and colors.std() > 20
    frames = np.full((2, 32, 32, 3), 120, np.uint8)
    picture = np.asarray(tokens_picture(frames, colors[0]))
    assert picture.shape == (2 * 34 + 2 * 192, 2 * 192, 3)
    assert (picture[34 + 192 + 24, 192 + 24] == colors[0, 1, 0, 0]).all() and picture[:34].min() < 80
    narrow = np.asarray(tokens_picture(frames[:1], colors[0, :1]))
    assert narrow.shape[0] == 3 * 34 + 2 * 192 and narrow[:, -3:][34 + 2 * 192 :].min() == 255, "words end inside"


def test_a_timeline_has_gaps_where_a_face_was_away():
    spans = np.array([[0.0, 1.0], [1.0, 2.0], [4.0, 5.0]])
    figure = timeline_figure({"face 0": (spans, np.array([0.1, 0.2, 0.3]))}, "probability", 6.0)
    axes = figure.axes[0]
    assert [line.get_xdata().tolist() for line in axes.lines] == [[0, 1, 2], [4, 5]]
    assert axes.get_xlim() == (0, 6) and axes.get_xlabel() == "seconds of the video"
    assert figure.legends[0].get_texts()[0].get_text() == "face 0"
