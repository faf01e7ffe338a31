"""MediaPipe's face mesh: 468 points of a face in an upright crop, and the iBUG-68 points among them."""

from __future__ import annotations

import numpy as np

from preface_hf.faces.landmarks import NUM_LANDMARKS
from preface_hf.faces.networks import FOLDER, Network


SIZE, NUM_POINTS = 192, 468
# The network counts from the edge of the crop, and lies a little to the upper left; we count from pixel centers.
SHIFT = 0.35
RIGHT_EYE, LEFT_EYE = 33, 263  # the outer corners

# Where the mesh has an iBUG point itself (nose, eyes, mouth). The jaw and the brows are computed, see `to_ibug`.
NOSE = (168, 197, 5, 4, 240, 97, 2, 326, 460)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
MOUTH = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
DIRECT = np.array([*NOSE, *EYES, *MOUTH])
# Along the edge of the face from each ear to the chin. iBUG's jaw points are evenly spaced along it.
RIGHT_JAW = np.array([127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152])
LEFT_JAW = np.array([356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152])
# The mesh has the two edges of a brow; iBUG's points lie near the upper.
UPPER_BROWS = np.array([70, 63, 105, 66, 107, 336, 296, 334, 293, 300])
LOWER_BROWS = np.array([46, 53, 52, 65, 55, 285, 295, 282, 283, 276])
UPPER_SHARE = 0.75


class FaceMesh:
    """The network that ships with the package."""

    def __init__(self) -> None:
        self._network = Network(FOLDER / "mesh.onnx")

    def __call__(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The points of crops, uint8 `(n, 192, 192, 3)`, in pixels of the crop: float64 `(n, 468, 2)`. With them how
        sure the network is that a crop shows an upright face, a logit: `(n,)`."""
        pixels = crops.transpose(0, 3, 1, 2) / np.float32(255)  # (n, 3, 192, 192)
        outputs, flags = self._network(pixels)
        points = outputs.reshape(len(crops), NUM_POINTS, 3)[..., :2]  # without the depth
        return points.astype(np.float64) + SHIFT, flags.reshape(len(crops))


def to_ibug(mesh: np.ndarray) -> np.ndarray:
    """From points `(468, 2)` to iBUG-68 `(68, 2)`, each placed by what it means, none fitted to annotations."""
    points = np.empty((NUM_LANDMARKS, 2))
    points[:9] = evenly(mesh[RIGHT_JAW], 9)
    points[16:8:-1] = evenly(mesh[LEFT_JAW], 9)[:-1]  # from the left ear down; the chin is there already
    points[17:27] = UPPER_SHARE * mesh[UPPER_BROWS] + (1 - UPPER_SHARE) * mesh[LOWER_BROWS]
    points[27:] = mesh[DIRECT]
    return points


def evenly(line: np.ndarray, count: int) -> np.ndarray:
    """`count` points evenly spaced along a line through points `(n, 2)`, both ends among them."""
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(lengths)])
    places = np.linspace(0, along[-1], count)
    return np.stack([np.interp(places, along, axis) for axis in line.T], axis=1)
