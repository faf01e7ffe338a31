"""One clip: everything that is drawn of somebody acting, and all that is true of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preface_hf.synthetic.camera import Camera, draw_cameras
from preface_hf.synthetic.motion import Performance
from preface_hf.synthetic.painter import Painter
from preface_hf.synthetic.shape import EXPRESSIONS, identity_shape, mouth_opening
from preface_hf.synthetic.sound import SAMPLE_RATE, speak


@dataclass(frozen=True)
class SyntheticClip:
    """A drawn clip and what is true of it.

    frames: uint8 `(num_frames, size, size, 3)`, RGB. landmarks: float32 `(num_frames, 68, 2)`, iBUG-68 in pixels.
    mouth_opening: float32 `(num_frames,)`, gap of the inner lips in face heights (brow line to chin), in 3-D.
    pose: float32 `(num_frames, 3)`, degrees: yaw (positive: the face turns to the right of the picture), pitch
    (positive: up), roll (positive: clockwise in the picture). fps: frames per second.
    audio: float32 `(samples,)` from -1 to 1, mono, sample_rate of them a second, or None where no sound was asked for;
    frame i is what is heard at second i / fps. parsing: uint8 `(num_frames, size, size)`, indices into
    `PARSING_CLASSES`, or None. fake: whether the face is the `donor`'s, blended in.
    """

    frames: np.ndarray
    landmarks: np.ndarray
    mouth_opening: np.ndarray
    pose: np.ndarray
    identity: int
    expression: str
    fps: float
    audio: np.ndarray | None = None
    sample_rate: int | None = None
    parsing: np.ndarray | None = None
    fake: bool = False
    donor: int | None = None


@dataclass(frozen=True)
class Shot:
    """A performance by one face, filmed: points `(frames, 68, 3)` in face units, a camera a frame, a painter."""

    points: np.ndarray
    cameras: list[Camera]
    gaze: np.ndarray
    painter: Painter

    @classmethod
    def take(cls, rng: np.random.Generator, identity: int, performance: Performance, size: int) -> Shot:
        """Film a person in a performance; rng decides place, background, light and noise."""
        # The order matters: `draw_cameras` and `Painter` draw from one generator, place before background.
        rest = identity_shape(identity)
        points = performance.points(rest)
        cameras = draw_cameras(rng, performance.times, performance.pose, points, size)
        return cls(points, cameras, performance.gaze, Painter(identity, rest, rng, size))

    @property
    def landmarks(self) -> np.ndarray:
        """Landmarks in pixels, float32 `(frames, 68, 2)`."""
        places = [camera(face) for camera, face in zip(self.cameras, self.points, strict=True)]
        return np.stack(places).astype(np.float32)

    def develop(self, parsing: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """The frames, uint8 `(frames, size, size, 3)`, and on request their parsing maps `(frames, size, size)`.

        Call it once: the noise of the next frame comes from where the last one left the generator.
        """
        moments = list(zip(self.points, self.cameras, self.gaze, strict=True))
        if not parsing:
            return np.stack([self.painter.paint(*moment) for moment in moments]), None
        frames, maps = zip(*(self.painter.paint_with_parsing(*moment) for moment in moments), strict=True)
        return np.stack(frames), np.stack(maps)


def draw_clip(
    identity: int,
    expression: str,
    seed: int,
    num_frames: int = 32,
    size: int = 128,
    fps: float = 25.0,
    *,
    sound: bool = False,
    parsing: bool = False,
) -> SyntheticClip:
    """Draw one clip of a person: the same arguments give the same bytes.

    identity and seed are any integers from 0: the identity fixes face, appearance and voice, the seed all that
    differs between clips (motion, speech, place, background, light). size is the side of a frame in pixels. sound and
    parsing add their fields to the clip and leave the others as they are.
    Raises ValueError for an unknown expression, a negative identity or seed, or a size, count or rate not above 0.
    """
    rng, performance = rehearse(identity, expression, seed, num_frames, size, fps)
    shot = Shot.take(rng, identity, performance, size)
    frames, maps = shot.develop(parsing)
    return finish(shot, performance, frames, maps, (identity, expression, seed), fps, sound)


def rehearse(
    identity: int, expression: str, seed: int, num_frames: int, size: int, fps: float
) -> tuple[np.random.Generator, Performance]:
    """The generator of a clip, and the performance that it draws first; arguments and errors as in `draw_clip`."""
    if expression not in EXPRESSIONS:
        raise ValueError(f"unknown expression {expression!r}: choose one of {', '.join(EXPRESSIONS)}")
    if identity < 0 or seed < 0:
        raise ValueError(f"identity {identity} and seed {seed} must be integers from 0")
    if num_frames <= 0 or size <= 0 or fps <= 0:
        raise ValueError(f"num_frames {num_frames}, size {size} and fps {fps} must be above 0")
    # Another seed, person or expression is another stream; the performance is drawn before all else.
    rng = np.random.default_rng([seed, identity, EXPRESSIONS.index(expression)])
    return rng, Performance.draw(rng, np.arange(num_frames) / fps, expression)


def finish(
    shot: Shot,
    performance: Performance,
    frames: np.ndarray,
    maps: np.ndarray | None,
    who: tuple[int, str, int],
    fps: float,
    sound: bool,
    donor: int | None = None,
) -> SyntheticClip:
    """A clip: a shot's truth, and the frames and maps that were made of it. who: identity, expression, seed."""
    identity, expression, seed = who
    # A stream of its own: a clip with sound has the same frames as one without.
    rng = np.random.default_rng([seed, identity, EXPRESSIONS.index(expression), 4])
    audio = speak(rng, identity, performance.speech, len(frames) / fps) if sound else None
    return SyntheticClip(
        frames, shot.landmarks, mouth_opening(shot.points), performance.pose.astype(np.float32), identity, expression,
        fps, audio, SAMPLE_RATE if sound else None, maps, donor is not None, donor,
    )  # fmt: skip
