"""`lipsync`: a video whose face speaks another sound, marked as synthetic.

Not to be used to put words into a person's mouth without their consent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from preface_hf.faces.crops import face_boxes
from preface_hf.faces.detection import MIN_IOU, detect_faces
from preface_hf.faces.landmarkers import Landmarker, load_landmarker, resolve_landmarker
from preface_hf.faces.squares import cut_square, one_opencv_thread
from preface_hf.faces.tracking import Track, segments
from preface_hf.files import check_path, replacing
from preface_hf.modeling import PrefAceForLipSync
from preface_hf.modeling.lipsync_preface import blend_mask
from preface_hf.modeling.sync_preface import FPS
from preface_hf.progress import rows_shown
from preface_hf.tasks.lipsync.models import load_generator
from preface_hf.tasks.lipsync.muxing import add_speech
from preface_hf.tasks.lipsync.pasting import Mark, paste
from preface_hf.tasks.lipsync.speech import Speech, SpeechMels, read_speech
from preface_hf.tasks.lipsync.talks import heard
from preface_hf.tasks.lipsync.tracks import Chooser
from preface_hf.tasks.predicting.overlay import EXACT_SECONDS
from preface_hf.tasks.sync.speakers import SEGMENT_SECONDS
from preface_hf.tasks.sync.talks import steady_places
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import VideoEncoder


MELS_A_SECOND = 100
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
    device = "cuda" if torch.cuda.is_available() else "cpu"
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
            speaker = Speaker(generator.to(device), source, voice, clock, track, finder)
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


class Speaker:
    """The frames of a video whose chosen face speaks.

    The video is read three times at once: detection is a segment ahead, the second reading cuts out the face a window
    ahead, and the third gives the frames that mouths are pasted into; so no more than a window of faces is in memory.
    """

    def __init__(
        self, generator: PrefAceForLipSync, video: Path, speech: Speech, clock: Clock, track: int | None,
        finder: Landmarker,
    ):  # fmt: skip
        self.generator, self.video, self.speech, self.clock, self.finder = generator, video, speech, clock, finder
        self.chooser, self.mels, self.spoken = Chooser(video, track), SpeechMels(speech), 0
        self.size, self.margin = generator.config.image_size, generator.config.audio_margin
        self.mask = blend_mask(self.size).numpy()

    def frames(self) -> Iterator[np.ndarray]:
        """Every frame, uint8 `(height, width, 3)`."""
        opened = open_video(self.video, "pyav")
        cut, shown = iter(opened), iter(opened)
        for segment in segments(detect_faces(opened, self.finder), self.clock, SEGMENT_SECONDS, MIN_IOU):
            chosen = self.chooser(segment)
            start = self.clock.times[segment.start] - self.clock.times[0]
            stop = self.clock.ends[segment.stop - 1] - self.clock.times[0]
            pad = (self.margin + 1) / FPS
            mels = self.mels.cut(start - pad, stop + pad)
            # Two faces of one segment are never chosen at once: they are read one after the other.
            mouths = self.mouths(chosen, islice(cut, segment.stop - segment.start), segment.start, mels, start - pad)
            waiting = next(mouths, None)
            for index, frame in enumerate(islice(shown, segment.stop - segment.start), start=segment.start):
                if waiting is not None and waiting[0] == index:
                    frame = paste(frame, waiting[1], self.mask, waiting[2])
                    self.spoken += 1
                    waiting = next(mouths, None)
                yield frame
            for _ in mouths:  # the reading that cuts is brought to the end of the segment
                pass
        self.chooser.check()

    def mouths(
        self, tracks: list[Track], frames: Iterator[np.ndarray], first: int, mels: np.ndarray, start: float
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each frame that is to speak its number, the face `(side, side, 3)` from 0 to 255, and its box.

        `mels` begin at second `start` of the sound; `frames` at frame `first` of the video.
        """
        index = first
        for track in sorted(tracks, key=lambda track: track.start):
            for _ in islice(frames, max(0, track.start - index)):
                pass
            part = self.clock.part(track.start, track.stop)
            boxes = face_boxes(track.landmarks, part.times)
            begins = part.times[0] - self.clock.times[0] - start  # seconds of mel frames before the track
            own = mels[max(0, round(begins * MELS_A_SECOND) - 4 * self.margin) :]
            steps = self.windows(islice(frames, len(boxes)), boxes, steady_places(part), own)
            # 25 faces a second: a frame has that which is nearest to its middle.
            middles = ((part.times + part.ends) / 2 - part.times[0]) * FPS
            step, face = -1, np.zeros(0)
            for place, wanted in enumerate(middles.astype(int).clip(0, len(steady_places(part)) - 1).tolist()):
                while step < wanted:
                    step, face = step + 1, next(steps)
                yield track.start + place, face, boxes[place]
            for _ in steps:
                pass
            index = track.stop
        for _ in frames:
            pass

    @torch.inference_mode()
    def windows(
        self, frames: Iterator[np.ndarray], boxes: np.ndarray, places: np.ndarray, mels: np.ndarray
    ) -> Iterator[np.ndarray]:
        """The faces of a track that speak, 25 a second, float32 `(side, side, 3)` from 0 to 255."""
        count = self.generator.config.num_frames
        faces: list[torch.Tensor] = []
        reference, done, waiting = None, 0, places.tolist()
        for index, frame in enumerate(frames):
            face = None
            while done + len(faces) < len(waiting) and waiting[done + len(faces)] == index:
                face = cut_square(frame, boxes[index], self.size) if face is None else face
                faces.append(torch.from_numpy(face).permute(2, 0, 1).float() / 255)
                if len(faces) == count or done + len(faces) == len(waiting):
                    # A window that ends with the track is filled up by its last face.
                    target = torch.stack(faces + faces[-1:] * (count - len(faces)))[None]
                    reference = target if reference is None else reference
                    yield from self.window(target, reference, mels, done)[: len(faces)]
                    done, faces = done + len(faces), []

    def window(self, target: torch.Tensor, reference: torch.Tensor, mels: np.ndarray, first: int) -> np.ndarray:
        """A window from step `first` on, float32 `(frames, side, side, 3)`."""
        sound = heard(mels, self.speech.level, first, target.shape[1] + 2 * self.margin)
        device = self.generator.device
        drawn = self.generator(
            target.to(device), reference.to(device), torch.from_numpy(sound)[None].to(device)
        ).frames
        return (drawn[0].permute(0, 2, 3, 1) * 255).float().cpu().numpy()
