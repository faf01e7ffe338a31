"""A page in the browser: drop a video, see what a checkpoint sees. It listens on this machine alone."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from preface_hf.demo.answers import answer
from preface_hf.demo.browser import CHECK_SIZE, INTRODUCTION, MAX_MB, STYLE
from preface_hf.demo.viewing import Viewer
from preface_hf.pictures.page import paragraph
from preface_hf.synthetic import draw_clip
from preface_hf.training import Interrupted
from preface_hf.training.loop import STOP_SIGNALS
from preface_hf.video.encoding import encode_video


PORT = 7860
# Uploads that nobody asks about are looked for every minute, and deleted when ten minutes old.
CLEANING = (60, 600)
# A browser may still show a video that another visitor has just had answered.
KEPT_SECONDS = 20.0
GONE = "This upload is no longer here: choose the video again."
NOTHING = "Choose a video first, or press “Try a drawn face”."


def gradio_here() -> Any:
    """gradio, which asks nobody about its version and counts no visits."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise ValueError("the page needs gradio: pip install 'preface-hf[faces,demo]'.") from error
    return gradio


class Desk:
    """Takes videos and gives answers; a mistake is answered by one sentence."""

    def __init__(self, viewer: Viewer):
        self.viewer, self.lock = viewer, threading.Lock()
        # gradio names an upload by its content: two visitors with the same video share one file.
        self.waiting: Counter[str] = Counter()

    def noted(self, file: str | None) -> None:
        """One more visitor has uploaded this file."""
        if file:
            self.waiting[file] += 1

    def uploaded(self, file: str | None) -> tuple[None, str]:
        """The answer for an upload, which is deleted soon after; the first value empties its place on the page."""
        if not file:
            return None, warning(NOTHING)
        if not Path(file).exists():
            return None, warning(GONE)
        try:
            return None, self.answered(Path(file))
        finally:
            self.waiting[file] -= 1
            timer = threading.Timer(KEPT_SECONDS, self.forget, [file])
            timer.daemon = True  # the page's end deletes all uploads
            timer.start()

    def forget(self, file: str) -> None:
        """Delete an upload, unless somebody has yet to ask about it: the last one has it deleted."""
        if self.waiting[file] <= 0:
            del self.waiting[file]
            Path(file).unlink(missing_ok=True)

    def drawn(self) -> tuple[None, str]:
        """The answer for a face that is drawn by the package."""
        clip = draw_clip(7, "surprise", seed=7, num_frames=50, size=256)
        with tempfile.TemporaryDirectory(dir=os.environ.get("GRADIO_TEMP_DIR")) as folder:
            file = Path(folder) / "drawn.mp4"
            file.write_bytes(encode_video(clip.frames, 25))
            return None, self.answered(file)

    def answered(self, file: Path) -> str:
        """The answer, or what is wrong with the file. One video at a time: each visitor has the whole model."""
        try:
            with self.lock:
                return answer(self.viewer, *self.viewer.look(file))
        except (ValueError, OSError) as error:
            text = " ".join(str(error).split()).replace(str(file), "this video")
            return warning("No face stays in sight in this video: choose one that shows a face."
                           if "no face stays" in text else text)  # fmt: skip


def warning(text: str) -> str:
    """One sentence in the place of an answer."""
    return f'<div class="answer">{paragraph(text, "warn")}</div>'


def build_page(viewer: Viewer) -> Any:
    """The page, as gradio's Blocks."""
    gr, desk = gradio_here(), Desk(viewer)
    kind = "an encoder alone" if viewer.predictor is None else f"tells {', '.join(viewer.predictor.names[:6])}"
    if viewer.pointer is not None:
        kind = f"finds {viewer.pointer.model.config.num_landmarks} points"
    with gr.Blocks(title="preface_hf", analytics_enabled=False, delete_cache=CLEANING) as page:
        gr.Markdown(INTRODUCTION)
        gr.Markdown(f"Model: `{viewer.encoder.name}` ({kind}).")
        # Sound and mirror stay as they are: gradio would call ffmpeg to change them.
        video = gr.Video(label="your video", sources=["upload", "webcam"], include_audio=True, height=300,
                         webcam_options=gr.WebcamOptions(mirror=False), elem_id="video")  # fmt: skip
        with gr.Row():
            look = gr.Button("Show what the model sees", variant="primary", elem_id="look")
            drawn = gr.Button("Try a drawn face", elem_id="drawn")
        said = gr.HTML(elem_id="said")
        video.change(desk.noted, video, None, queue=False, show_progress="hidden", api_visibility="private")
        look.click(desk.uploaded, video, [video, said], api_visibility="private")
        drawn.click(desk.drawn, None, [video, said], api_visibility="private")
        page.load(None, None, None, js=CHECK_SIZE)
    return page


def start(viewer: Viewer, port: int | None = PORT) -> tuple[Any, str]:
    """Open the page on this machine; returns it and its address. `ValueError` where `port` is in use."""
    gr, page = gradio_here(), build_page(viewer)
    font = ["system-ui", "sans-serif"]
    try:
        _, url, _ = page.launch(
            server_name="127.0.0.1", server_port=port, share=False, prevent_thread_lock=True, quiet=True, ssr_mode=False,
            max_file_size=f"{MAX_MB}mb", css=STYLE, footer_links=[],
            theme=gr.themes.Base(font=font, font_mono=["monospace"]),
        )  # fmt: skip
    except OSError as error:
        if "empty port" not in str(error):
            raise
        raise ValueError(f"port {port} is in use, perhaps by another page: choose one by --port.") from error
    return page, url


def run_page(output_dir: Path, model: str | None = None, index: Path | None = None, port: int = PORT) -> None:
    """Serve the page until Ctrl-C.

    Args:
        output_dir: of the demo, whose model and set are the defaults.
        model: checkpoint folder or Hub name.
        index: prepared set of the clips to compare with.
        port: of this machine.

    Raises [`Interrupted`] after Ctrl-C or SIGTERM.
    """
    gradio_here()
    checkpoint, clips = defaults(output_dir, model, index)
    with stopped_by_signals(), tempfile.TemporaryDirectory(prefix="preface-page-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        print("reading the model" + (" and the clips to compare with" if clips else "") + " …", flush=True)
        page, url = start(Viewer(checkpoint, clips), port)
        print(f"open {url} in a browser; Ctrl-C ends it", flush=True)
        try:
            threading.Event().wait()
        finally:
            page.close(verbose=False)


def defaults(output_dir: Path, model: str | Path | None, index: Path | None) -> tuple[str | Path, Path | None]:
    """Model and set of the demo, of drawn faces or else of real ones, where none are given."""
    made = [output_dir / name for name in ("drawn", "faces") if (output_dir / name / "run" / "final").exists()]
    if not made and model is None:
        raise ValueError(f"there is no demo in {str(output_dir)!r}: run `preface-hf demo` first, or give --model.")
    if made and index is None and (made[0] / "prepared" / "data").is_dir():
        index = made[0] / "prepared"
    return model or made[0] / "run" / "final", index


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise `Interrupted`: plainly ended by the second, the page would leave uploads behind."""

    def stop(number: int, frame: Any) -> None:
        for other in STOP_SIGNALS:
            signal.signal(other, signal.SIG_IGN)  # what has begun to end ends
        raise Interrupted("the page is closed, and what was uploaded is deleted.")

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
