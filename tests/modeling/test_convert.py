"""Random VideoMAE weights give the same hidden states here."""

import pytest
import torch
from transformers import VideoMAEConfig, VideoMAEModel

from preface_hf.convert import from_videomae


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
    videomae = VideoMAEModel(
        VideoMAEConfig(image_size=32, num_frames=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    ).eval()
    mask = torch.zeros(2, 8, dtype=torch.bool)
    mask[:, [1, 5, 6]] = True
    clip = torch.randn(2, 4, 3, 32, 32)
    ours = from_videomae(videomae)(clip, bool_masked_pos=mask).last_hidden_state
    torch.testing.assert_close(ours, videomae(clip, mask).last_hidden_state, atol=1e-5, rtol=1e-5)
    assert ours.shape == (2, 5, 32)
