"""What the page shows of a video: scores, points, similar clips, and its limits."""

import time

import numpy as np
import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceForLandmarkDetection, PrefAceVideoProcessor
from preface_hf.demo import viewing
from preface_hf.demo.viewing import Viewer, check_video
from preface_hf.pictures.sheets import TILE
from preface_hf.video.encoding import encode_video
from tests.demo.conftest import save
from tests.modeling_common import TINY


def test_a_head_gives_scores_over_time_by_name(viewers, clip):
    from preface_hf.demo.answers import answer

    seconds, faces = viewers["tuned"].look(clip)
    assert seconds == pytest.approx(16 / 25) and len(faces) == 1
    assert faces[0].scores.shape == (len(faces[0].windows), 3)
    np.testing.assert_allclose(faces[0].scores.sum(axis=1), 1, rtol=1e-5)
    html = answer(viewers["tuned"], seconds, faces)
    assert "often wrong" in html and "has no head" not in html and "--index" in html


def test_a_checkpoint_for_landmarks_shows_its_points(clip, tmp_path):
    """Planted points: one at the middle of the crop in even frames of a window, at its corner in the others."""
    from preface_hf.demo.answers import answer

    torch.manual_seed(0)
    model = save(PrefAceForLandmarkDetection(PrefAceConfig(**TINY)), tmp_path / "points")
    PrefAceVideoProcessor(size={"shortest_edge": 32}, crop_size=32, num_frames=4, sampling_rate=2).save_pretrained(
        model
    )
    viewer = Viewer(model)
    assert viewer.predictor is None and viewer.pointer is not None
    sizes = []

    def planted(clips):
        sizes.append([clip.shape[:3] for clip in clips])
        points = np.full((len(clips), 8, 7, 2), 3.5, np.float32)
        points[:, ::2] = 15.5
        return points

    viewer.pointer._points = planted
    seconds, (seen,) = viewer.look(clip)
    assert sizes and {shape for shapes in sizes for shape in shapes} == {(8, 32, 32)}, "every frame of a window"
    assert all(window.stop - window.start == 8 for window in seen.windows[:-1])
    # The middle frame of 8 is even: its dot is at the middle of the tile, and there are no others.
    white = (np.asarray(seen.tiles[0]) == 255).all(axis=-1)
    for place, dotted in ((TILE // 2, True), (round(4 * TILE / 32), False)):
        assert white[place - 2 : place + 3, place - 2 : place + 3].any() == dotted
    # Features are those of the encoder alone.
    alone = viewer.encoder([window.frames[::2] for window in seen.windows])
    np.testing.assert_allclose(seen.features, alone, atol=1e-5)
    html = answer(viewer, seconds, [seen])
    assert "the 7 points that the model finds" in html and "This model finds points" in html
    assert "has no head" not in html


def test_a_clip_is_nearest_to_itself(viewers, clip):
    viewer = viewers["encoder"]
    _, (seen,) = viewer.look(clip)
    assert viewer.alike(seen)[0] == pytest.approx(1)
    seen.features = np.repeat(viewer.index.features[5:6], len(seen.windows), axis=0)
    name, _, cosine = viewer.similar(seen)[0]
    assert name == viewer.index.names[5] and cosine == pytest.approx(1, abs=1e-4)


def gone(file):
    """Whether a file is deleted, at the latest after some seconds."""
    end = time.monotonic() + 10
    while file.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not file.exists()


def test_limits_are_one_sentence(clip, monkeypatch, viewers, tmp_path):
    monkeypatch.setattr(viewing, "MAX_SECONDS", 0.5)
    with pytest.raises(ValueError, match="longer than 0.5 seconds"):
        check_video(clip)
    monkeypatch.undo()
    monkeypatch.setattr(viewing, "MAX_PIXELS", 100)
    with pytest.raises(ValueError, match="212 x 160 pixels are too large"):
        check_video(clip)
    monkeypatch.undo()
    from preface_hf.demo.page import Desk

    (tmp_path / "walls").mkdir()
    wall = tmp_path / "walls" / "wall.mp4"
    wall.write_bytes(encode_video(np.full((8, 64, 64, 3), 90, np.uint8), 25))
    monkeypatch.setattr("preface_hf.demo.page.KEPT_SECONDS", 0.0)
    desk = Desk(viewers["encoder"])
    # Two visitors with the same video share a file: it stays until both have their answer.
    desk.noted(str(wall))
    desk.noted(str(wall))
    assert "shows a face" in desk.uploaded(str(wall))[1]
    time.sleep(0.2)
    assert wall.exists()
    assert "choose one that shows a face" in desk.uploaded(str(wall))[1]
    assert gone(wall)
    assert "no longer here" in desk.uploaded(str(wall))[1]
    assert "Choose a video first" in desk.uploaded(None)[1]
