"""Which part of the face each cell of a grid shows: from landmarks, or from a parsing map where one is given.

MARLIN's face-guided masking and the region-wise views need it; MARLIN parses faces with a network, here landmarks do
(not stated, chosen).
"""

from __future__ import annotations

import numpy as np

from preface_hf.faces.landmarks import CHIN, INDICES, PARTS, face_heights, part_boxes


# Their place is their code in a map.
REGIONS = ("background", "skin", "left_eye", "right_eye", "nose", "mouth", "hair")
FEATURES = ("left_eye", "right_eye", "nose", "mouth")
# The forehead above the brow line and the hair above it, the hair's half width, and the room about the landmarks of
# eyes, nose and mouth, in face heights (brow line to chin; chosen on drawn faces, whose parsing is known).
FOREHEAD, HAIR, HAIR_WIDTH, MARGIN = 0.25, 0.6, 0.5, 0.04


def region_boxes(landmarks: np.ndarray, region: str, height: int, width: int) -> np.ndarray:
    """The box of a region in every frame, float32 `(frames, 4)`: x0, y0, x1, y1 in pixels.

    The parts are those of the landmark tubes, `skin` holds all landmarks, `background` is the picture. Raises
    `ValueError` for an unknown region.
    """
    if region not in REGIONS:
        raise ValueError(f"unknown region {region!r}: choose one of {', '.join(REGIONS)}")
    if region in PARTS:
        return part_boxes(landmarks, region)
    if region == "skin":
        return np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1).astype(np.float32)
    return np.tile(np.array([0, 0, width, height], np.float32), (len(landmarks), 1))


def region_map(landmarks: np.ndarray, height: int, width: int, grid: int = 14) -> np.ndarray:
    """The region at the center of each cell, uint8 `(frames, grid, grid)`, codes as in `REGIONS`.

    landmarks: float32 `(frames, 68, 2)` in pixels of a picture of `height` x `width`. Where the boxes of
    eyes, nose and mouth meet, the nearer counts; they lie over skin, skin over hair, hair over background.
    """
    x = (np.arange(grid) + 0.5) * width / grid - 0.5
    y = (np.arange(grid) + 0.5) * height / grid - 0.5
    cells = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    boxes = np.stack([tight_boxes(landmarks, part) for part in FEATURES], axis=1)  # (frames, features, 4)
    codes = np.array([REGIONS.index(part) for part in FEATURES])
    maps = np.zeros((len(landmarks), grid * grid), np.uint8)
    for number, points in enumerate(landmarks):
        half = (boxes[number, :, 2:] - boxes[number, :, :2]) / 2
        away = (np.abs(cells[:, None] - boxes[number, :, :2] - half) / half).max(axis=2)  # (cells, features)
        maps[number] = np.where(away.min(axis=1) < 1, codes[away.argmin(axis=1)], 0)
        empty = maps[number] == 0
        skin, hair = outlines(points)
        maps[number, empty & inside(cells, hair)] = REGIONS.index("hair")
        maps[number, empty & inside(cells, skin)] = REGIONS.index("skin")
    return maps.reshape(-1, grid, grid)


def map_of_parsing(parsing: np.ndarray, grid: int = 14) -> np.ndarray:
    """The commonest class in each cell of a parsing map, uint8 `(frames, grid, grid)`.

    parsing: uint8 `(frames, height, width)` with the codes of `REGIONS`. Raises `ValueError` for other codes, and for
    pictures smaller than the grid.
    """
    frames, height, width = parsing.shape
    if parsing.max() >= len(REGIONS):
        raise ValueError(f"the parsing map holds class {parsing.max()}: codes go from 0 to {len(REGIONS) - 1}")
    if min(height, width) < grid:
        raise ValueError(f"a parsing map of {width}x{height} pixels is smaller than the grid of {grid}: enlarge it")
    rows, columns = np.arange(height) * grid // height, np.arange(width) * grid // width
    cell = (rows[:, None] * grid + columns) * len(REGIONS)
    size = grid * grid * len(REGIONS)
    counts = [np.bincount((cell + frame).ravel(), minlength=size) for frame in parsing]
    return np.stack(counts).reshape(frames, grid, grid, -1).argmax(axis=-1).astype(np.uint8)


def tight_boxes(landmarks: np.ndarray, part: str) -> np.ndarray:
    """The part's own landmarks with a margin, `(frames, 4)`: less than the box of its tube."""
    points, margin = landmarks[:, INDICES[part]], MARGIN * face_heights(landmarks)[:, None]
    return np.concatenate([points.min(axis=1) - margin, points.max(axis=1) + margin], axis=1)


def outlines(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons of skin and hair for landmarks `(68, 2)`, upright in the face's own axes."""
    brows = points[INDICES["brows"]].mean(axis=0)
    up = brows - points[CHIN]
    across = np.array([-up[1], up[0]])
    raised = points[INDICES["brows"]][::-1] + FOREHEAD * up
    corners = [(-HAIR_WIDTH, 0), (-HAIR_WIDTH, HAIR), (HAIR_WIDTH, HAIR), (HAIR_WIDTH, 0)]
    hair = np.array([brows + side * across + rise * up for side, rise in corners])
    return np.concatenate([points[INDICES["jaw"]], raised]), hair


def inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Whether each of the points `(n, 2)` lies in the polygon `(corners, 2)`: an odd number of edges to its right."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, :1], points[:, 1:]
    crosses = (start[:, 1] > y) != (end[:, 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = start[:, 0] + (y - start[:, 1]) * (end[:, 0] - start[:, 0]) / (end[:, 1] - start[:, 1])
    return (crosses & (x < at)).sum(axis=1) % 2 == 1
