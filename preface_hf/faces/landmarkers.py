"""Face detectors with 68-point landmark networks, behind one small interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from preface_hf.faces.builtin_landmarker import BuiltinLandmarker
from preface_hf.faces.face_alignment_landmarker import FaceAlignmentLandmarker
from preface_hf.faces.landmarks import NUM_LANDMARKS
from preface_hf.faces.networks.yunet import YuNet
from preface_hf.faces.squares import cut_square, from_square, import_cv2


LANDMARKERS = ("auto", "builtin", "onnx", "face-alignment", "given")
# The 68-point network sees a square of 112 pixels, RGB in [0, 1]: 0.97 times the longer side of YuNet's box, 0.12 of
# it further down, where the points lie. Error 3.40 % of the outer-eye distance on Helen and AFW, 3.66 % in the box as
# it is. Another run in the box of the first one's points takes twice the time for 3.43 % and strays on covered faces.
NETWORK_SIDE, BOX_SIZE, BOX_DOWN = 112, 0.97, 0.12


class Landmarker(Protocol):
    """A face detector and a 68-point network, as `prepare` uses them.

    `name` is the one on the command line, `batch_size` how many frames at once are fastest.
    """

    name: str
    batch_size: int

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Faces in an RGB frame, float32 `(faces, 5)`: x0, y0, x1, y1 in pixels and the score in [0, 1]."""

    def landmarks(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> np.ndarray:
        """iBUG-68 points of one face in each of n RGB frames, float32 `(n, 68, 2)` in pixels of its frame.

        `boxes` are theirs as `detect` finds them (x0, y0, x1, y1). A frame with two faces comes twice.
        """


def resolve_landmarker(name: str, weights: str | Path | None = None) -> str:
    """The landmarker that `auto` stands for: `onnx` where `weights` are named, else `builtin`; other names stay."""
    if name != "auto":
        return name
    return "onnx" if weights else "builtin"


def load_landmarker(name: str, weights: str | Path | None = None) -> Landmarker | None:
    """The landmarker called `name`; None for `given`, where landmarks come with the data (`sidecars.read_landmarks`).

    Args:
        name: one of `LANDMARKERS`; `face-alignment:DETECTOR` takes another of that package's detectors.
        weights: folder or Hub repository of the networks of `onnx`; the other landmarkers take none.

    Raises `ValueError` for an unknown name, for missing weights, and for weights that `builtin` has no use for.
    """
    name = resolve_landmarker(name, weights)
    if name == "builtin":
        if weights:
            raise ValueError(f"the builtin landmarker does not read --weights {weights}: leave them out, or take onnx")
        return BuiltinLandmarker()
    if name == "onnx":
        return OnnxLandmarker(weights)
    package, _, detector = name.partition(":")  # face-alignment:yunet
    if package == "face-alignment":
        return FaceAlignmentLandmarker(detector or "sfd")
    if name == "given":
        return None
    raise ValueError(f"unknown landmarker {name!r}: choose one of {', '.join(LANDMARKERS)}")


class OnnxLandmarker:
    """YuNet and a 68-point ONNX network, found below the folder `weights` (or a Hub repository of that name).

    The detector is the .onnx file with `yunet` in its name, the landmark network another .onnx with one output of
    136 values in [0, 1] of its input square. Raises `ValueError` where weights are missing.
    """

    name = "onnx"
    batch_size = 1  # OpenCV takes as long for a face whether 1, 4, 8 or 16 come at once

    def __init__(self, weights: str | Path | None):
        files = sorted(weights_folder(weights).rglob("*.onnx"))
        self._yunet = YuNet(yunet_file(files, weights))
        self._network, self._output = landmark_network([file for file in files if "yunet" not in file.name], weights)

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Faces, float32 `(faces, 5)`; see `Landmarker`."""
        return self._yunet(frame)

    def landmarks(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> np.ndarray:
        """Points, float32 `(n, 68, 2)`; see `Landmarker`."""
        points = [self._points(frame, box) for frame, box in zip(frames, boxes, strict=True)]
        return np.array(points, np.float32).reshape(-1, NUM_LANDMARKS, 2)

    def _points(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        side = max(box[2] - box[0], box[3] - box[1])
        center = (box[:2] + box[2:4]) / 2 + np.array([0, BOX_DOWN * side])
        square = np.concatenate([center - BOX_SIZE * side / 2, center + BOX_SIZE * side / 2])
        pixels = cut_square(frame, square, NETWORK_SIDE)  # (112, 112, 3)
        pixels = pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255
        self._network.setInput(pixels)
        points = self._network.forward(self._output)
        # the network counts from the edges of the square, in shares of its side
        return from_square(points.reshape(NUM_LANDMARKS, 2) * NETWORK_SIDE - 0.5, square, NETWORK_SIDE)


def weights_folder(weights: str | Path | None) -> Path:
    """The folder of `weights`, fetched from the Hub where it is no local one; `ValueError` where there is none."""
    if not weights:
        raise ValueError(
            "the onnx landmarker needs weights, a YuNet detector and a 68-point network: pass --weights DIR (or a Hub "
            "repo id), or --landmarker builtin"
        )
    if Path(weights).is_dir():
        return Path(weights)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(weights)))
    except Exception as error:
        raise ValueError(
            f"--weights {weights} is neither a folder nor a Hub repository within reach: pass a folder, or leave it "
            "out for the built-in networks"
        ) from error


def yunet_file(files: Sequence[Path], weights: str | Path | None) -> Path:
    """The YuNet detector among `files`, that of 640x640 pixels first; `ValueError` where there is none."""
    detectors = [file for file in files if "yunet" in file.name]
    if not detectors:
        raise ValueError(
            f"no YuNet detector (*yunet*.onnx) below {weights}: put yunet_n_640_640.onnx there, or leave "
            "--weights out for the built-in networks"
        )
    return next((file for file in detectors if file.name == "yunet_n_640_640.onnx"), detectors[0])


def landmark_network(files: Sequence[Path], weights: str | Path | None) -> tuple[Any, str]:
    """The first network with an output of 136 values, and that output's name. OpenCV runs it: the same to 1e-6 as
    onnxruntime, which was ten times slower on some processors."""
    cv2 = import_cv2()
    blank = np.zeros((1, 3, NETWORK_SIDE, NETWORK_SIDE), np.float32)
    for file in files:
        try:
            network = cv2.dnn.readNetFromONNX(str(file))
            network.setInput(blank)
            names = network.getUnconnectedOutLayersNames()
            outputs = dict(zip(names, network.forward(names), strict=True))
        except cv2.error:
            continue  # a network of another input, such as a detector
        for name, output in outputs.items():
            if output.size == 2 * NUM_LANDMARKS:
                return network, name
    raise ValueError(f"no 68-point network (an .onnx with an output of 136 values) below {weights}: put one there")
