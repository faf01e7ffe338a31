"""A page in the browser: drop a video, see what a checkpoint sees."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from preface_hf.demo.answers import answer
from preface_hf.demo.browser import CHECK_SIZE, INTRODUCTION
from preface_hf.demo.viewing import Viewer
from preface_hf.pictures.page import paragraph
from preface_hf.synthetic import draw_clip
from preface_hf.video.encoding import encode_video


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
        gr.Markdown(f"Model: `{viewer.model}` ({kind}).")
        # Sound and mirror stay as they are: gradio would call ffmpeg to change them.
        video = gr.Video(label="your video", sources=["upload", "webcam"], include_audio=True, height=300,
                         webcam_options=gr.WebcamOptions(mirror=False), elem_id="video")  # fmt: skip
        with gr.Row():
            look = gr.Button("Show what the model sees", variant="primary", elem_id="look")
            drawn = gr.Button("Try a drawn face", elem_id="drawn")
        said = gr.HTML(elem_id="said")
        video.change(desk.noted, video, None, queue=False, show_progress="hidden", api_visibility="private")
        look.click(desk.uploaded, video, [video, said], show_progress_on=said, api_visibility="private")
        drawn.click(desk.drawn, None, [video, said], show_progress_on=said, api_visibility="private")
        page.load(None, None, None, js=CHECK_SIZE)
    return page
