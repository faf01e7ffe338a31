"""Serve the page on this machine alone, until Ctrl-C; no upload is left."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from preface_hf.demo.browser import MAX_MB, STYLE
from preface_hf.demo.page import build_page, gradio_here
from preface_hf.demo.viewing import Viewer
from preface_hf.training import Interrupted
from preface_hf.training.loop import STOP_SIGNALS


PORT = 7860


def start(viewer: Viewer, port: int | None = PORT) -> tuple[Any, str]:
    """Open the page on this machine; returns it and its address. `ValueError` where `port` is in use."""
    gr, page = gradio_here(), build_page(viewer)
    font = ["system-ui", "sans-serif"]
    try:
        _, url, _ = page.launch(
            server_name="127.0.0.1", server_port=port, share=False, prevent_thread_lock=True, quiet=True,
            ssr_mode=False, max_file_size=f"{MAX_MB}mb", css=STYLE, footer_links=[],
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
        output_dir: of the demo, whose model and set are the defaults; without a demo the model is the package's.
        model: checkpoint folder, Hub name or `default`.
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
    """Model and set of the demo, of drawn faces or else of real ones, where none are given; the package's model where
    there was no demo."""
    made = [output_dir / name for name in ("drawn", "faces") if (output_dir / name / "run" / "final").exists()]
    if made and index is None and (made[0] / "prepared" / "data").is_dir():
        index = made[0] / "prepared"
    return model or (made[0] / "run" / "final" if made else "default"), index


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
