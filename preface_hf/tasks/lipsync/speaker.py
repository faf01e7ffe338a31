"""The frames of a video whose face speaks another sound, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from preface_hf.faces.crops import face_boxes
from preface_hf.faces.detection import MIN_IOU, detect_faces
from preface_hf.faces.landmarkers import Landmarker
from preface_hf.faces.squares import cut_square
from preface_hf.faces.tracking import Track, segments
from preface_hf.modeling import PrefAceForLipSync
from preface_hf.modeling.lipsync_preface import blend_mask
from preface_hf.modeling.sync_preface import FPS, MELS_PER_FRAME
from preface_hf.tasks.lipsync.pasting import paste
from preface_hf.tasks.lipsync.speech import Speech, SpeechMels
from preface_hf.tasks.lipsync.talks import heard
from preface_hf.tasks.lipsync.tracks import Chooser
from preface_hf.tasks.sync.speakers import SEGMENT_SECONDS
from preface_hf.tasks.sync.talks import steady_places
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video


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
            own = mels[max(0, round((begins * FPS - self.margin) * MELS_PER_FRAME)) :]
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
