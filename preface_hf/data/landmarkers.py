"""Face detectors with 68-point landmark networks, behind one small interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .landmarks import NUM_LANDMARKS
from .squares import cut_square, from_square, import_cv2, resized


LANDMARKERS = ("onnx", "face-alignment", "given")
# The detector sees the picture with its long side at the first of these; at the next where that shows no face.
DETECTION_SIDES = (256, 640)
MIN_SCORE = 0.6
# What the landmark network was trained on: a square of 1.1 times the box's longer side, 112 pixels, RGB in [0, 1].
NETWORK_MARGIN, NETWORK_SIDE = 1.1, 112


class Landmarker(Protocol):
    """A face detector and a 68-point network, as `prepare` uses them; `name` is the one on the command line."""

    name: str

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Faces in an RGB frame, float32 `(faces, 5)`: x0, y0, x1, y1 in pixels and the score in [0, 1]."""

    def landmarks(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        """iBUG-68 points of the face in `box` (x0, y0, x1, y1): float32 `(68, 2)` in pixels of the frame."""


def load_landmarker(name: str, weights: str | Path | None = None) -> Landmarker | None:
    """The landmarker called `name`; None for `given`, where landmarks come with the data (`sidecars.read_landmarks`).

    `weights` is what `OnnxLandmarker` reads. Raises `ValueError` for an unknown name or missing weights.
    """
    if name == "onnx":
        return OnnxLandmarker(weights)
    if name == "face-alignment":
        return FaceAlignmentLandmarker()
    if name == "given":
        return None
    raise ValueError(f"unknown landmarker {name!r}: choose one of {', '.join(LANDMARKERS)}")


class OnnxLandmarker:
    """YuNet and a 68-point ONNX network, found below the folder `weights` (or a Hub repository of that name).

    The detector is the .onnx file with `yunet` in its name, the landmark network another .onnx with one output of
    136 values in [0, 1] of its input square. Raises `ValueError` where weights are missing.
    """

    name = "onnx"

    def __init__(self, weights: str | Path | None):
        cv2 = import_cv2()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # OpenCV 5 warns of an unused target
        files = sorted(_weights_folder(weights).rglob("*.onnx"))
        detector = _yunet(files, weights)
        self._detector = cv2.FaceDetectorYN.create(str(detector), "", (320, 320), MIN_SCORE)
        self._network, self._output = _landmark_network([file for file in files if "yunet" not in file.name], weights)

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Faces, float32 `(faces, 5)`; see `Landmarker`."""
        for side in DETECTION_SIDES:
            faces = self._detect_at(frame, side)
            if len(faces):
                return faces
        return np.zeros((0, 5), np.float32)

    def _detect_at(self, frame: np.ndarray, side: int) -> np.ndarray:
        small, factor = resized(frame, side)
        self._detector.setInputSize(small.shape[1::-1])
        found = self._detector.detect(np.ascontiguousarray(small[..., ::-1]))[1]
        if found is None:
            return np.zeros((0, 5), np.float32)
        corners = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:4]], axis=1) / factor
        return np.concatenate([corners, found[:, -1:]], axis=1).astype(np.float32)

    def landmarks(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Points, float32 `(68, 2)`; see `Landmarker`. The network runs twice: a box drawn round its own points is a
        better one than the detector's (error 3.5 instead of 3.8 % of the outer-eye distance on Helen and AFW)."""
        points = self._points(frame, box)
        return self._points(frame, np.concatenate([points.min(axis=0), points.max(axis=0)]))

    def _points(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        half = NETWORK_MARGIN * max(box[2] - box[0], box[3] - box[1]) / 2
        centre = np.array([box[0] + box[2], box[1] + box[3]]) / 2
        square = np.concatenate([centre - half, centre + half])
        pixels = cut_square(frame, square, NETWORK_SIDE).transpose(2, 0, 1)[None].astype(np.float32) / 255
        self._network.setInput(pixels)
        points = self._network.forward(self._output)
        return from_square(points.reshape(NUM_LANDMARKS, 2) * NETWORK_SIDE - 0.5, square, NETWORK_SIDE)


class FaceAlignmentLandmarker:
    """The `face-alignment` package: its own detector and the FAN network, downloaded by it at first use.

    `device` None is the first CUDA device where there is one, else the CPU (about a second a frame). Raises
    `ValueError` where the package or its networks are out of reach.
    """

    name = "face-alignment"

    def __init__(self, device: str | None = None, detector: str = "sfd"):
        try:
            import face_alignment
            import torch
        except ImportError as error:
            raise ValueError(
                "the face-alignment package is not installed: pip install 'preface-hf[face-alignment]'"
            ) from error
        try:
            self._aligner = face_alignment.FaceAlignment(
                face_alignment.LandmarksType.TWO_D,
                device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
                flip_input=False,
                face_detector=detector,
                compile=False,
            )
        except OSError as error:
            raise ValueError(
                f"face-alignment cannot fetch its networks ({error}): start it once with a network, they are kept in "
                "$TORCH_HOME/hub/checkpoints"
            ) from error

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Faces, float32 `(faces, 5)`; see `Landmarker`."""
        small, factor = resized(frame, min(DETECTION_SIDES[-1], max(frame.shape[:2])))
        faces = np.array(self._aligner.face_detector.detect_from_image(small.copy()), np.float32).reshape(-1, 5)
        return faces / np.array([factor] * 4 + [1], np.float32)

    def landmarks(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Points, float32 `(68, 2)`; see `Landmarker`."""
        found = self._aligner.get_landmarks_from_image(frame, detected_faces=[[*map(float, box[:4]), 1.0]])
        return np.asarray(found[0], np.float32)


def _weights_folder(weights: str | Path | None) -> Path:
    if weights is None:
        raise ValueError(
            "the onnx landmarker needs weights, and no 68-point network with a stated licence is known to download: "
            "pass --weights DIR (or a Hub repo id), or --landmarker face-alignment"
        )
    if Path(weights).is_dir():
        return Path(weights)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(weights)))
    except Exception as error:
        raise ValueError(
            f"--weights {weights} is neither a folder nor a Hub repository within reach: pass a folder"
        ) from error


def _yunet(files: Sequence[Path], weights: str | Path | None) -> Path:
    detectors = [file for file in files if "yunet" in file.name]
    if not detectors:
        raise ValueError(f"no YuNet detector (*yunet*.onnx) below {weights}: put yunet_n_640_640.onnx there")
    return next((file for file in detectors if file.name == "yunet_n_640_640.onnx"), detectors[0])


def _landmark_network(files: Sequence[Path], weights: str | Path | None) -> tuple[Any, str]:
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
