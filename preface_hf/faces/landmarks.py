"""Landmark conventions: the one place where index order, units and sides are written down.

Landmarks are iBUG-68, `float32` of shape `(frames, 68, 2)`, x then y in pixels, origin at the top left corner.
Left and right are the *subject's*: the right eye (36-41) appears on the left side of an unmirrored picture.
Boxes are `(frames, 4)`: x0, y0, x1, y1 in pixels, square, of one size through a clip; they may leave the picture.
"""

from __future__ import annotations

from statistics import median

import numpy as np


NUM_LANDMARKS = 68
CHIN = 8
INDICES: dict[str, list[int]] = {
    "jaw": list(range(0, 17)),
    "right_brow": list(range(17, 22)),
    "left_brow": list(range(22, 27)),
    "nose": list(range(27, 36)),
    "right_eye": list(range(36, 42)),
    "left_eye": list(range(42, 48)),
    "mouth": list(range(48, 68)),
    "brows": list(range(17, 27)),
    "right_cheek": [2, 3, 31, 48],
    "left_cheek": [14, 13, 35, 54],
    "chin": [7, 8, 9, 57],
}

# The parts of the landmark tubes, in their order (PrefAce: P = {left eye, right eye, nose, mouth, hair}).
PARTS = ("left_eye", "right_eye", "nose", "mouth", "hair")
# The regions that a local tube may follow ("a facial region", drawn at random; the list is not stated, chosen).
LOCAL_REGIONS = (*PARTS[:4], "brows", "right_cheek", "left_cheek", "chin", "hair")

# Side of a part's box in face heights (brow line to chin; not stated, chosen on real faces).
PART_SIDES = {"left_eye": 0.5, "right_eye": 0.5, "nose": 0.55, "mouth": 0.6, "hair": 0.65}

# Where each landmark goes when the picture is mirrored: jaw and brows reverse, eyes and mouth trade sides.
MIRRORED = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
)


def flip_landmarks(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Landmarks `(..., 68, 2)` of a picture `width` pixels wide, mirrored: x reflected, left and right swapped.

    Pixel centers are at integers, as in array indexing: column 0 becomes column `width - 1`.
    """
    flipped = landmarks[..., MIRRORED, :].copy()
    flipped[..., 0] = (width - 1) - flipped[..., 0]
    return flipped


def face_heights(landmarks: np.ndarray) -> np.ndarray:
    """Distance from brow line to chin in pixels, `(frames,)`: the unit of every part's box. Unlike the distance of
    the eyes it hardly shrinks when the head turns."""
    brows = landmarks[:, INDICES["brows"]].mean(axis=1)
    return np.linalg.norm(landmarks[:, CHIN] - brows, axis=-1)


def face_height(landmarks: np.ndarray) -> float:
    """The median of [`face_heights`] over a clip."""
    return median(face_heights(landmarks).tolist())  # NumPy's takes 50 µs for a few frames


def hull_areas(landmarks: np.ndarray, directions: int = 128) -> np.ndarray:
    """Area in square pixels of the convex hull of the landmarks `(frames, 68, 2)` of each frame, `(frames,)`.

    The hull is spanned by the outermost points in `directions` directions: too small by less than 1 %.
    """
    angles = np.arange(directions) * (2 * np.pi / directions)
    outward = np.stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    corners = np.take_along_axis(landmarks, (landmarks @ outward).argmax(axis=1)[..., None], axis=1)
    x, y = corners[..., 0].astype(np.float64), corners[..., 1].astype(np.float64)
    return (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1) / 2


def region_centers(landmarks: np.ndarray, region: str) -> np.ndarray:
    """Center of a region per frame in pixels, `(frames, 2)`.

    `hair` has no landmark: it is extrapolated above the brow line, along the line from chin to brows (so it follows
    the roll of the head) by half the face's own height (method not stated, chosen).
    """
    if region == "hair":
        brows = landmarks[:, INDICES["brows"]].mean(axis=1)
        return brows + 0.5 * (brows - landmarks[:, CHIN])
    if region not in INDICES:
        raise ValueError(f"unknown face region {region!r}: choose one of {', '.join((*INDICES, 'hair'))}")
    points = landmarks[:, INDICES[region]]
    return (points.min(axis=1) + points.max(axis=1)) / 2


def part_boxes(landmarks: np.ndarray, part: str) -> np.ndarray:
    """Boxes `(frames, 4)` of a landmark tube: centered on the part in every frame, one size through the clip."""
    side = PART_SIDES[part] * face_height(landmarks)
    return square_boxes(region_centers(landmarks, part), side)


def square_boxes(centers: np.ndarray, side: float | np.ndarray) -> np.ndarray:
    """Boxes `(frames, 4)` of side `side` (pixels; one number, or one a frame) about `centers` `(frames, 2)`."""
    half = np.asarray(side, dtype=np.float32)[..., None] / 2
    return np.concatenate([centers - half, centers + half], axis=1).astype(np.float32)
