"""The page in a real browser: a stranger's video, a file that is none, two visitors, and nothing beyond loopback."""

import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from preface_hf import (
    PrefAceConfig,
    PrefAceForLandmarkDetection,
    PrefAceForVideoClassification,
    PrefAceModel,
    PrefAceVideoProcessor,
)
from preface_hf.cli import main
from preface_hf.demo import viewing
from preface_hf.demo.viewing import Viewer, check_video
from preface_hf.pictures.sheets import TILE
from preface_hf.synthetic import draw_clip
from preface_hf.video.encoding import encode_video
from tests.modeling_common import TINY


CHROMIUM = shutil.which("chromium")
KEPT = 5.0  # seconds after an answer
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A drawn face in a wider picture, in which it is found as in a real one."""
    frames = draw_clip(3, "neutral", seed=3, num_frames=16, size=128).frames
    file = tmp_path_factory.mktemp("clip") / "talk.mp4"
    file.write_bytes(encode_video(np.pad(frames, ((0, 0), (16, 16), (24, 60), (0, 0)), constant_values=90), 25))
    return file


def save(model, folder: Path) -> Path:
    model.save_pretrained(folder)
    PrefAceVideoProcessor(size={"shortest_edge": 32}, crop_size=32, num_frames=4, sampling_rate=1).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="module")
def viewers(tmp_path_factory, prepared) -> dict[str, Viewer]:
    """An encoder alone, and one with a head for three names."""
    torch.manual_seed(0)
    folder, names = tmp_path_factory.mktemp("models"), {0: "calm", 1: "glad", 2: "<sad>"}
    config = PrefAceConfig(**TINY | {"num_labels": 3, "problem_type": "single_label_classification"}, id2label=names)
    tuned = save(PrefAceForVideoClassification(config), folder / "tuned")
    encoder = save(PrefAceModel(PrefAceConfig(**TINY)), folder / "encoder")
    return {"encoder": Viewer(encoder, prepared), "tuned": Viewer(tuned)}


@pytest.fixture(scope="module")
def address(viewers, tmp_path_factory):
    """One server for all tests, and the folder that uploads go to."""
    pytest.importorskip("gradio")
    from preface_hf.demo.page import start

    uploads, before = tmp_path_factory.mktemp("uploads"), os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("preface_hf.demo.page.KEPT_SECONDS", KEPT)
        page, url = start(viewers["encoder"], None)
        yield url, uploads
        page.close()
    os.environ.pop("GRADIO_TEMP_DIR") if before is None else os.environ.update(GRADIO_TEMP_DIR=before)


def emptied(folder: Path) -> bool:
    """Whether no file is left, at the latest a little after it should be."""
    end = time.monotonic() + 4 * KEPT
    while left := [file for file in folder.rglob("*") if file.is_file()]:
        if time.monotonic() > end:
            return not left
        time.sleep(0.1)
    return True


def visit(url: str, file: Path, width: int = 1280) -> tuple[str, list[str], int]:
    """The answer to an upload, what went wrong on the way, and how many pixels the page is too wide."""
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on(
            "request", lambda asked: None if asked.url.startswith((url, "data:", "blob:")) else wrong.append(asked.url)
        )
        tab.goto(url)
        tab.set_input_files("#video input[type=file]", str(file))
        tab.wait_for_selector("#video video")
        tab.click("#look")
        tab.wait_for_selector("#said .answer")
        html = tab.inner_html("#said .answer")
        beyond = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        browser.close()
    return html, wrong, beyond


@needs_browser
def test_two_visitors_get_the_same_answer_and_nothing_leaves_the_machine(address, clip):
    url, uploads = address
    assert url.startswith("http://127.0.0.1:")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda width: visit(url, clip, width), (1280, 390))
    for html, wrong, beyond in (first, second):
        assert wrong == [] and beyond == 0
        for title in ("Faces and their regions", "Where the model looks", "Over time", "Similar clips"):
            assert title in html
        assert "has no head" in html and "nearest of 24 clips" in html
    assert first[0] == second[0]
    assert emptied(uploads), "no upload is kept"


@needs_browser
def test_a_file_that_is_no_video_is_answered_in_one_sentence(address, clip, tmp_path):
    url, uploads = address
    (tmp_path / "letter.mp4").write_bytes(b"Dear Sir, " * 99)
    html, _, _ = visit(url, tmp_path / "letter.mp4")
    assert "cannot be read as a video" in html and "Faces and their" not in html
    assert emptied(uploads)


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
    assert emptied(tmp_path / "walls")
    assert "no longer here" in desk.uploaded(str(wall))[1]
    assert "Choose a video first" in desk.uploaded(None)[1]


def test_without_gradio_and_without_a_demo_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as end:
        patched.setitem(sys.modules, "gradio", None)
        main(["demo", "--page", "--output-dir", str(tmp_path)])
    assert end.value.code == 2 and "pip install 'preface-hf[faces,demo]'" in capsys.readouterr().err
    pytest.importorskip("gradio")
    from preface_hf.demo.page import run_page

    with pytest.raises(ValueError, match=r"run `preface-hf demo` first"):
        run_page(tmp_path)
