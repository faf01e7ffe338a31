"""The page in a real browser: files, a webcam, several visitors; nothing beyond loopback, and nothing left on disk."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from preface_hf.cli import main
from preface_hf.synthetic import draw_clip


CHROMIUM = shutil.which("chromium")
KEPT = 2.0  # seconds after an answer
TITLES = ("Faces and their regions", "Where the model looks", "Over time", "Similar clips")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def address(viewers, tmp_path_factory):
    """One server for all tests, and the folder that uploads go to."""
    pytest.importorskip("gradio")
    from preface_hf.demo.serving import start

    uploads = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GRADIO_TEMP_DIR", str(uploads))
        patched.setattr("preface_hf.demo.page.KEPT_SECONDS", KEPT)
        page, url = start(viewers["encoder"], None)
        yield url, uploads
        page.close(verbose=False)


@pytest.fixture(scope="module")
def camera(tmp_path_factory) -> Path:
    """What a webcam shows: a drawn face in a wider picture, in the form that Chromium takes for one."""
    frames = draw_clip(3, "neutral", seed=3, num_frames=8, size=160).frames
    frames = np.pad(frames, ((0, 0), (40, 40), (60, 100), (0, 0)), constant_values=90)
    file = tmp_path_factory.mktemp("camera") / "face.y4m"
    with file.open("wb") as out:
        out.write(b"YUV4MPEG2 W320 H240 F25:1 Ip A1:1 C420jpeg\n")
        for frame in frames:
            planes = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24").to_ndarray(format="yuv420p")
            out.write(b"FRAME\n" + planes.tobytes())
    return file


@pytest.fixture(scope="module")
def browser(address, camera):
    """Chromium with a camera; the page is served before it starts, for its loop holds this thread."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=[*flags, f"--use-file-for-fake-video-capture={camera}"]
        )
        yield browser
        browser.close()


class Visitor:
    """A visitor of the page, and what went wrong on the way: errors, and requests to anywhere else."""

    def __init__(self, browser, url: str, width: int = 1280):
        self.wrong: list[str] = []
        self.tab = tab = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        tab.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        here = (url, "data:", "blob:")
        tab.on("request", lambda asked: None if asked.url.startswith(here) else self.wrong.append(asked.url))
        tab.goto(url)

    def choose(self, file: Path) -> None:
        self.tab.set_input_files("#video input[type=file]", str(file))

    def upload(self, file: Path) -> None:
        self.choose(file)
        self.tab.wait_for_selector("#video video")

    def answer(self) -> str:
        """The answer, when it is there."""
        self.tab.wait_for_selector("#said .answer")
        return self.tab.inner_html("#said .answer")

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        return self.tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.fixture
def visit(browser, address):
    """A new visitor of a window of some width; all leave at the end."""
    visitors = []

    def come(width: int = 1280) -> Visitor:
        visitors.append(Visitor(browser, address[0], width))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.tab.context.close()


def emptied(folder: Path) -> bool:
    """Whether no file is left, at the latest a little after it should be."""
    end = time.monotonic() + 10 * KEPT
    while left := [file for file in folder.rglob("*") if file.is_file()]:
        if time.monotonic() > end:
            return not left
        time.sleep(0.1)
    return True


@needs_browser
def test_two_visitors_get_the_same_answer_and_nothing_leaves_the_machine(address, visit, clip):
    assert address[0].startswith("http://127.0.0.1:")
    visitors = [visit(width) for width in (1280, 390)]
    for visitor in visitors:
        visitor.upload(clip)
    for visitor in visitors:
        visitor.tab.click("#look")
    first, second = (visitor.answer() for visitor in visitors)
    assert all(title in first for title in TITLES)
    assert "has no head" in first and "nearest of 24 clips" in first and first == second
    assert [(visitor.wrong, visitor.overflow()) for visitor in visitors] == [([], 0), ([], 0)]
    assert emptied(address[1]), "no upload is kept"


@needs_browser
def test_a_visitor_waits_while_another_is_answered(visit, viewers, clip, monkeypatch):
    viewer, begun, may_end = viewers["encoder"], threading.Event(), threading.Event()
    look = viewer.look

    def held(file):
        begun.set()
        assert may_end.wait(60)
        return look(file)

    monkeypatch.setattr(viewer, "look", held)
    first, second = visit(), visit()
    first.upload(clip)
    first.tab.click("#look")
    assert begun.wait(60)
    second.tab.click("#drawn")  # by a button of its own, which has a queue of its own
    second.tab.wait_for_selector("#said [data-testid=status-tracker]:not(.hide)")
    time.sleep(0.5)
    assert not second.tab.query_selector("#said .answer"), "the model is in use"
    may_end.set()
    answers = [first.answer(), second.answer()]
    assert "0.6 seconds of video" in answers[0] and "2.0 seconds of video" in answers[1]
    assert all(title in answer for answer in answers for title in TITLES)
    assert first.wrong == second.wrong == []


@needs_browser
def test_a_webcam_is_recorded_and_answered(address, visit):
    visitor = visit()
    tab = visitor.tab
    tab.click("#video button[aria-label='Capture from camera']")
    tab.click("#video button:has-text('Access Webcam')")
    tab.click("#video button:has-text('Record')")
    tab.wait_for_timeout(1200)
    tab.click("#video button:has-text('Stop')")
    tab.wait_for_selector("#video .mirror-wrap video")
    tab.click("#look")
    answer = visitor.answer()
    assert re.search(r"\d\.\d seconds of video, 1 face followed", answer)
    assert all(title in answer for title in TITLES) and visitor.wrong == []
    assert emptied(address[1])


@needs_browser
def test_a_file_that_is_no_video_is_answered_in_one_sentence(address, visit, tmp_path):
    letter = tmp_path / "letter.mp4"
    letter.write_bytes(b"Dear Sir, " * 99)
    visitor = visit()
    visitor.upload(letter)
    visitor.tab.click("#look")
    html = visitor.answer()
    assert "cannot be read as a video" in html and "Faces and their" not in html
    assert emptied(address[1])


@needs_browser
def test_a_file_that_is_too_large_is_told_before_it_travels(address, visit, clip, tmp_path):
    import httpx  # gradio brings it

    url, uploads = address
    assert emptied(uploads)
    large = tmp_path / "holiday.mp4"
    with large.open("wb") as file:
        file.truncate(101 * 2**20)
    visitor = visit(390)
    visitor.choose(large)
    said = visitor.tab.wait_for_selector("#large").inner_text()
    assert said == "This file has 101 MB, and 100 are the most: cut it, or use “preface-hf predict”."
    assert not visitor.tab.query_selector("#video video") and "Error" not in visitor.tab.inner_text("#video")
    assert visitor.overflow() == 0 and emptied(uploads)
    visitor.upload(clip)
    assert not visitor.tab.query_selector("#large")
    # Who does not use the page's own form is refused as well, and leaves nothing.
    with large.open("rb") as file:
        assert httpx.post(f"{url}gradio_api/upload", files={"files": file}).status_code == 413
    visitor.tab.click("#look")
    visitor.answer()
    assert emptied(uploads)


def test_without_gradio_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as end:
        patched.setitem(sys.modules, "gradio", None)
        main(["demo", "--page", "--output-dir", str(tmp_path)])
    assert end.value.code == 2 and "pip install 'preface-hf[faces,demo]'" in capsys.readouterr().err


def test_model_and_set_are_those_of_the_demo_that_was_made(tmp_path):
    from preface_hf.demo.serving import defaults

    assert defaults(tmp_path, None, None) == ("default", None), "the package's own where no demo was made"
    made = tmp_path / "faces"
    (made / "run/final").mkdir(parents=True)
    assert defaults(tmp_path, None, None) == (made / "run/final", None)
    (made / "prepared/data").mkdir(parents=True)
    assert defaults(tmp_path, None, None) == (made / "run/final", made / "prepared")
    assert defaults(tmp_path, "org/name", None) == ("org/name", made / "prepared")
    assert defaults(tmp_path, "org/name", Path("mine")) == ("org/name", Path("mine"))
    (tmp_path / "drawn/run/final").mkdir(parents=True)
    assert defaults(tmp_path, None, None) == (tmp_path / "drawn/run/final", None)


def test_a_port_in_use_is_one_sentence(viewers):
    pytest.importorskip("gradio")
    from preface_hf.demo.serving import start

    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} is in use.*--port"):
            start(viewers["encoder"], port)


@contextmanager
def served(encoder: Path, folder: Path):
    """`preface-hf demo --page` as a process of its own whose temporary files lie in `folder`, and its address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "preface_hf", "demo", "--page", "--model", str(encoder), "--port", str(port)]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "TMPDIR": str(folder)})  # fmt: skip
    try:
        for line in process.stdout:
            if line.startswith("open "):
                break
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_page_in_one_line_and_leaves_no_upload(browser, encoder, clip, tmp_path, number):
    pytest.importorskip("gradio")
    with served(encoder, tmp_path) as (process, url):
        visitor = Visitor(browser, url)
        visitor.upload(clip)
        assert list(tmp_path.rglob("talk.mp4")), "it lies there until the page has answered"
        visitor.tab.click("#drawn")  # while an answer is computed
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        visitor.tab.context.close()
    assert said == "preface-hf: the page is closed, and what was uploaded is deleted.\n" and process.returncode == 130
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
