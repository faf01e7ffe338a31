"""Square crops that follow a track: where they lie, and the pixels and landmarks in them."""

from __future__ import annotations

import numpy as np

from preface_hf.faces.landmarks import CHIN, face_heights, region_centers, square_boxes
from preface_hf.faces.squares import to_square
from preface_hf.faces.tracking import Track


CROPS = ("smooth", "fixed", "per-frame")
# The crop: side in face extents (the longer side of the landmarks' bounding box), center raised to take in the hair,
# room kept about the hair and about the landmarks, and the width in time of the smoothing of its center.
CROP_SIDE, CROP_RAISE, HAIR_ROOM, FACE_ROOM, SMOOTH_SECONDS = 2.0, 0.33, 1.1, 1.03, 0.3
# The mouth's square: side, and drop below the corners of the mouth, in face heights, so that the chin is in it; its
# center is smoothed less, as the mouth is to stay in its place while the head moves.
MOUTH_CORNERS, MOUTH_SIDE, MOUTH_DROP, MOUTH_SECONDS = [48, 54], 0.75, 0.08, 0.12
# The tight square of a face: side, and rise above the corners of the mouth, in face heights: its lower half begins
# below the nose, and the mouth's square is always at the same place of it, x0, y0, x1, y1 in shares of its side.
TIGHT_SIDE, TIGHT_RISE = 1.5, 0.25
MOUTH_IN_TIGHT = (0.25, 0.47, 0.75, 0.97)


def crop_boxes(track: Track, times: np.ndarray, crop: str = "smooth") -> np.ndarray:
    """Square boxes `(frames, 4)` in pixels of the video that hold the face, hair included.

    Args:
        track: the face to follow.
        times: float64 `(frames,)`, the seconds at which the frames of the track are shown.
        crop: `smooth`: one side through the track, the center smoothed over time, so the crop glides and never
            jitters. `fixed`: one box for the whole track. `per-frame`: each frame by itself, as most published crops
            are; it jitters.
    """
    hair = region_centers(track.landmarks, "hair")  # (F, 2)
    low, high = track.landmarks.min(axis=1), track.landmarks.max(axis=1)
    extents = (high - low).max(axis=1)
    up = hair - track.landmarks[:, CHIN]  # from chin to hair: also a head on its side has room for its hair
    up /= np.linalg.norm(up, axis=1, keepdims=True) + 1e-6
    centers = (low + high) / 2 + CROP_RAISE * extents[:, None] * up
    if crop == "per-frame":
        return square_boxes(centers, CROP_SIDE * extents)
    if crop == "fixed":
        middle = (np.minimum(low, hair).min(axis=0) + np.maximum(high, hair).max(axis=0)) / 2
        centers = np.repeat(middle[None], len(low), axis=0)
    else:
        centers = smooth(centers, times, SMOOTH_SECONDS)
    # The side holds the face in every frame, and the hair in nearly all: one outlier must not make the face small.
    with_hair = np.maximum(centers - np.minimum(low, hair), np.maximum(high, hair) - centers).max(axis=1)
    face = np.maximum(centers - low, high - centers).max()
    side = max(CROP_SIDE * np.median(extents), 2 * HAIR_ROOM * np.percentile(with_hair, 98), 2 * FACE_ROOM * face)
    return square_boxes(centers, float(side))


def mouth_boxes(landmarks: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Square boxes `(frames, 4)` of one size about mouth and chin, from landmarks `(frames, 68, 2)` in pixels.

    The box follows the corners of the mouth and not the lower lip: what opens is the mouth, not the box.
    """
    height = float(np.median(face_heights(landmarks)))
    corners = landmarks[:, MOUTH_CORNERS].mean(axis=1)  # (F, 2)
    centers = smooth(corners, times, MOUTH_SECONDS) + [0.0, MOUTH_DROP * height]
    return square_boxes(centers, MOUTH_SIDE * height)


def face_boxes(landmarks: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Tight square boxes `(frames, 4)` of one size about a face without its hair, which follow the mouth as
    [`mouth_boxes`] do: its lower half holds mouth and chin."""
    mouths = mouth_boxes(landmarks, times)
    side = float(mouths[0, 2] - mouths[0, 0]) * TIGHT_SIDE / MOUTH_SIDE
    centers = (mouths[:, :2] + mouths[:, 2:]) / 2 - [0.0, (MOUTH_DROP + TIGHT_RISE) * side / TIGHT_SIDE]
    return square_boxes(centers, side)


def smooth(values: np.ndarray, times: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth `(frames, channels)` over `times`: about each frame a line is fitted with Gaussian weights.

    `sigma` and `times` are in seconds. Unlike a plain average this does not lag behind a moving face at the two ends.
    """
    reach = 3 * sigma + 1e-6  # seconds: what lies beyond weighs nearly nothing
    first, stop = np.searchsorted(times, times - reach), np.searchsorted(times, times + reach, side="right")
    smoothed = np.empty(values.shape)
    for frame, (start, end) in enumerate(zip(first, stop, strict=True)):
        away = times[start:end] - times[frame]  # (N,) seconds
        weights = np.exp(-0.5 * (away / sigma) ** 2)
        s0, s1, s2 = (float((weights * away**power).sum()) for power in range(3))
        # The value at 0 of the line that fits best is a weighted sum of values. A frame that stands alone keeps its
        # own value: no line can be fitted.
        spread = s0 * s2 - s1**2
        kernel = weights * (s2 - s1 * away) / spread if spread > 1e-12 * (s0 * sigma) ** 2 else weights / s0  # (N,)
        smoothed[frame] = kernel @ values[start:end]
    return smoothed


def crop_landmarks(track: Track, boxes: np.ndarray, crop_size: int) -> np.ndarray:
    """The landmarks of a track in pixels of its crops, float32 `(frames, 68, 2)`."""
    return np.stack([to_square(points, box, crop_size) for points, box in zip(track.landmarks, boxes, strict=True)])
