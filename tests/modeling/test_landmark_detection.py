"""The landmark head: places in pixels, at any size, against a slow loop; one batch is learned."""

from __future__ import annotations

import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceForLandmarkDetection
from preface_hf.synthetic import draw_clip
from tests.modeling_common import TINY, ModelTests


class TestPrefAceForLandmarkDetection(ModelTests):
    model_class = PrefAceForLandmarkDetection
    main_output = "landmarks"

    def labels(self, batch):
        return {"labels": torch.rand(batch, 4, 7, 2, generator=torch.Generator().manual_seed(2)) * 32}

    @pytest.mark.parametrize(("frames", "height", "width"), [(4, 32, 32), (2, 16, 40)])
    def test_each_point_is_the_mean_vote_of_its_frame(self, model, frames, height, width):
        clips = self.clips(2, frames, height, width)
        output = model(clips)
        tokens, head = model.preface(clips).last_hidden_state, model.landmark_head
        assert output.landmarks.shape == (2, frames, 7, 2) and output.landmarks.dtype == torch.float32
        rows, columns = height // 8, width // 8
        for clip, frame, point in [(0, 0, 0), (1, frames - 1, 6), (0, 1, 3)]:
            time, inside = divmod(frame, 2)
            votes, weights = [], []
            for row in range(rows):
                for column in range(columns):
                    token = tokens[clip, (time * rows + row) * columns + column]
                    offset = head.offsets(token)[(inside * 7 + point) * 2 :][:2]
                    center = torch.tensor([column * 8 + 3.5, row * 8 + 3.5])  # of the patch, in pixels
                    votes.append(center + 8 * offset)
                    weights.append(head.weights(token)[inside * 7 + point])
            expected = (torch.stack(votes) * torch.stack(weights).softmax(0)[:, None]).sum(0)
            torch.testing.assert_close(output.landmarks[clip, frame, point], expected, atol=1e-4, rtol=1e-4)

    def test_the_loss_is_in_widths_and_heights(self, model):
        clips, labels = self.clips(3, 4, 16, 40), torch.rand(3, 4, 7, 2) * 16
        output = model(clips, labels=labels)
        error = (output.landmarks - labels).abs()
        torch.testing.assert_close(output.loss, (error[..., 0].mean() / 40 + error[..., 1].mean() / 16) / 2)

    def test_labels_that_do_not_fit_are_named(self, model):
        with pytest.raises(ValueError, match=r"\(3, 4, 68, 2\), but .* \(3, 4, 7, 2\) .* num_landmarks"):
            model(self.clips(), labels=torch.zeros(3, 4, 68, 2))


def test_faces_are_learned():
    """One batch of drawn faces: from the middle of the picture to within two pixels of 64."""
    torch.manual_seed(0)
    clips = [draw_clip(person, "happiness", person, num_frames=4, size=64) for person in range(4)]
    pixels = torch.stack([torch.from_numpy(clip.frames).permute(0, 3, 1, 2) / 127.5 - 1 for clip in clips])
    labels = torch.stack([torch.from_numpy(clip.landmarks) for clip in clips])
    model = PrefAceForLandmarkDetection(
        PrefAceConfig(**{**TINY, "image_size": 64, "initializer_range": 0.02, "num_landmarks": 68})
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(200):
        optimizer.zero_grad()
        output = model(pixels, labels=labels)
        output.loss.backward()
        optimizer.step()
    assert (output.landmarks - labels).norm(dim=-1).mean() < 2
