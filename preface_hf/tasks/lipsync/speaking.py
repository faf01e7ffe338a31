"""`lipsync`: a video whose face speaks another sound, marked as synthetic.

Not to be used to put words into a person's mouth without their consent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from preface_hf.faces.landmarkers import load_landmarker, resolve_landmarker
from preface_hf.faces.squares import one_opencv_thread
from preface_hf.files import check_path, replacing
from preface_hf.progress import rows_shown
from preface_hf.tasks.lipsync.models import load_generator
from preface_hf.tasks.lipsync.muxing import add_speech
from preface_hf.tasks.lipsync.pasting import Mark
from preface_hf.tasks.lipsync.speaker import Speaker
from preface_hf.tasks.lipsync.speech import Speech, read_speech
from preface_hf.tasks.predicting.overlay import EXACT_SECONDS
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import VideoEncoder


SAME_SECONDS = 0.1  # sound and video that differ by less are of one length


@dataclass
class Spoken:
    """What was written: the video's frames, how many of them speak, its seconds, and remarks, a sentence each."""

    frames: int = 0
    spoken: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def lipsync(
    run: str | Path,
    video: str | Path,
    speech: str | Path,
    out: str | Path,
    *,
    track: int | None = None,
    mark: bool = True,
    landmarker: str = "auto",
    weights: str | Path | None = None,
) -> Spoken:
    """Write the mp4 `out`: the face of `video` speaks the sound of `speech`, at the video's own size and times.

    Args:
        run: generator of a `finetune --task lipsync`, a folder or on the Hub.
        video: of any frame rate, also a varying one; its own sound is left out.
        speech: a file with sound of any rate; it begins with the first frame. What is longer than the video is cut
            off, after a shorter one the face is silent.
        out: what is written says in its metadata that it is synthetic.
        track: the number of the face, as `preface-hf sync` numbers them; without, there may be one at a time.
        mark: write `synthetic` into every frame.
        landmarker, weights: how faces are found, as of `prepare`.

    Frames are read, drawn and written one by one: memory does not grow with the length. Raises `ValueError` for a
    video without a face or with several and no choice, and for a file without sound or with silence alone.
    """
    source, sound, target = Path(video), Path(speech), Path(out)
    check_files(source, sound, target)
    if track is not None and track < 0:
        raise ValueError(f"--track {track} is no face: they are counted from 0.")
    generator = load_generator(run)
    voice, clock = read_speech(sound), Clock.of(open_video(source, "pyav"))
    finder = load_landmarker(resolve_landmarker(landmarker, weights), weights)
    if finder is None:
        raise ValueError("--landmarker given has no points of a new video: leave it out.")
    done = Spoken(len(clock.times), seconds=clock.seconds(0, len(clock.times)))
    done.notes += lengths(voice, done.seconds)
    show = Mark() if mark else None
    with replacing(target) as whole, one_opencv_thread():
        with whole.open("wb") as file:
            # Times count from 0, as `add_speech` counts those of the sound.
            offsets = clock.times - clock.times[0]
            uneven = np.abs(offsets - np.arange(len(offsets)) / clock.fps).max() > EXACT_SECONDS
            encoder = VideoEncoder(clock.fps, offsets.tolist() if uneven else None, file)
            speaker = Speaker(generator, source, voice, clock, track, finder)
            for frame in rows_shown(speaker.frames(), "speaking", done.frames):
                height, width = frame.shape[:2]
                frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                encoder.add(frame if show is None else show(frame))
            encoder.finish()
        done.spoken = speaker.spoken
        with replacing(whole) as mixed:
            add_speech(whole, sound, mixed, done.seconds)
    return done


def check_files(video: Path, speech: Path, out: Path) -> None:
    """`ValueError` for names that cannot be."""
    check_path(video)
    check_path(out)
    if out.suffix.lower() != ".mp4":
        raise ValueError(f"{out} is no .mp4: give a file name that ends in .mp4.")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {str(out.parent)!r} to write {out.name} into: make it first.")
    if out.exists() and any(file.exists() and out.samefile(file) for file in (video, speech)):
        raise ValueError(f"{out} would take the place of what it is made of: give another name.")


def lengths(speech: Speech, seconds: float) -> list[str]:
    """What to say of a sound that is longer or shorter than the video."""
    if speech.seconds > seconds + SAME_SECONDS:
        return [f"the sound has {speech.seconds:.2f} seconds and the video {seconds:.2f}: its end is cut off."]
    if speech.seconds < seconds - SAME_SECONDS:
        return [
            f"the sound has {speech.seconds:.2f} seconds and the video {seconds:.2f}: after it the face is silent."
        ]
    return []
