"""LSE-D and LSE-C by the public SyncNet, where the file of its weights is given: the numbers that papers report.

SyncNet (Chung and Zisserman 2016) as its authors published it, and its evaluation as Wav2Lip's (Prajwal et al. 2020)
runs it: 5 frames of a face at 25 a second against 20 MFCC of 13 numbers (0.2 s), at offsets of -15 to 15 frames.
Faces are squares about the detector's boxes. The weights are not part of this package: `syncnet_v2.model`.

Shapes at line ends: B windows.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import nn

from preface_hf.audio.sound import SAMPLE_RATE, has_sound, read_sound
from preface_hf.faces.detection import detect_faces
from preface_hf.faces.landmarkers import load_landmarker, resolve_landmarker
from preface_hf.faces.squares import cut_square
from preface_hf.features.encoders import best_device
from preface_hf.modeling.video_frames_preface import first_line
from preface_hf.tasks.sync.offsets import MOST_OFFSET, Offsets
from preface_hf.tasks.sync.talks import steady_places
from preface_hf.video.clock import Clock
from preface_hf.video.decoding import open_video


SIZE, FRAMES, BATCH = 224, 5, 20  # pixels and frames of a window, windows of a forward pass
MFCC, PER_FRAME, HEARD = 13, 4, 20  # numbers of a step of sound, steps of a frame of video and of a window
WIDER = 0.4  # how much wider than the face its square is, on each side of the middle; it reaches as much further down


Sizes = int | tuple[int, ...]


def block(
    kind: str, inputs: int, outputs: int, kernel: Sizes, stride: Sizes = 1, padding: Sizes = 0
) -> list[nn.Module]:
    """A convolution (`2d` or `3d`), norm, ReLU."""
    convolution, norm = getattr(nn, f"Conv{kind}"), getattr(nn, f"BatchNorm{kind}")
    return [convolution(inputs, outputs, kernel, stride, padding), norm(outputs), nn.ReLU()]


def last_layers() -> nn.Sequential:
    """From what the convolutions give to an embedding of 1024 numbers."""
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class SyncNet(nn.Module):
    """Faces and sounds to vectors that are near where they belong together; names and sizes are those of the file."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *block("2d", 1, 64, (3, 3), padding=1), nn.MaxPool2d(1, 1),
            *block("2d", 64, 192, (3, 3), padding=1), nn.MaxPool2d(3, (1, 2)),
            *block("2d", 192, 384, (3, 3), padding=1),
            *block("2d", 384, 256, (3, 3), padding=1),
            *block("2d", 256, 256, (3, 3), padding=1), nn.MaxPool2d(3, 2),
            *block("2d", 256, 512, (5, 4)),
        )  # fmt: skip
        self.netfcaud = last_layers()
        self.netcnnlip = nn.Sequential(
            *block("3d", 3, 96, (5, 7, 7), (1, 2, 2)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *block("3d", 96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *block("3d", 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *block("3d", 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *block("3d", 256, 256, (1, 3, 3), padding=(0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *block("3d", 256, 512, (1, 6, 6)),
        )  # fmt: skip
        self.netfclip = last_layers()

    def see(self, faces: torch.Tensor) -> torch.Tensor:
        """Faces `(B, 3, 5, 224, 224)`, blue first, from 0 to 255, to `(B, 1024)`."""
        return self.netfclip(self.netcnnlip(faces).flatten(1))

    def hear(self, sounds: torch.Tensor) -> torch.Tensor:
        """MFCC `(B, 1, 13, 20)` to `(B, 1024)`."""
        return self.netfcaud(self.netcnnaud(sounds).flatten(1))


def load_syncnet(file: str | Path) -> SyncNet:
    """SyncNet with the weights of a file; `ValueError` where there is none, or other weights."""
    if find_spec("python_speech_features") is None:
        raise ValueError("SyncNet hears MFCC of python_speech_features: pip install python_speech_features.")
    if not Path(file).is_file():
        raise ValueError(f"there is no file {str(file)!r} of SyncNet's weights (syncnet_v2.model): give one.")
    network = SyncNet()
    # Counts of batches are not used, and files of old releases of PyTorch have none.
    counts = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({**counts, **torch.load(file, map_location="cpu", weights_only=True)})
    except (RuntimeError, UnpicklingError, TypeError, AttributeError, EOFError, KeyError) as error:
        reason = first_line(error)
        raise ValueError(f"{str(file)!r} holds no weights of SyncNet ({reason}): give syncnet_v2.model.") from error
    return network.eval().to(best_device())


def syncnet_offsets(
    src: str | Path, weights: str | Path, *, landmarker: str = "auto", landmarker_weights: str | Path | None = None
) -> Offsets:
    """The distances of the largest face of a video and its sound, by SyncNet.

    `LipSync().compute(predictions=[found.mean], references=[0], expert="SyncNet")` makes LSE-D and LSE-C of several.

    Args:
        src: a video with sound, of one shot; faces of a minute take 230 MB of memory.
        weights: the file of SyncNet's.
        landmarker, landmarker_weights: how faces are found, as of `prepare`.

    Raises `ValueError` for a video without sound or without a face, and one shorter than a window.
    """
    network, video = load_syncnet(weights), open_video(src, "pyav")
    if not has_sound(src):
        raise ValueError(f"{src} has no sound: give a video with speech in it.")
    finder = load_landmarker(resolve_landmarker(landmarker, landmarker_weights), landmarker_weights)
    if finder is None:
        raise ValueError("--landmarker given has no points of a new video: leave it out.")
    boxes: list[np.ndarray] = []
    for found in detect_faces(video, finder):
        if found.faces or boxes:
            boxes.append(found.faces[0].box if found.faces else boxes[-1])
    if not boxes:
        raise ValueError(f"no face is found in {src}: give a video that shows who speaks.")
    boxes = [boxes[0]] * (video.num_frames - len(boxes)) + boxes  # before the face is found it is where it will be
    cut = (cut_square(frame, box, SIZE) for frame, box in zip(video, face_squares(np.stack(boxes)), strict=True))
    places = steady_places(Clock.of(video))
    return compare(network, np.stack(list(cut))[places], read_sound(src))


def face_squares(boxes: np.ndarray) -> np.ndarray:
    """Squares `(frames, 4)` about faces in boxes `(frames, 4)`, steadied by a median over 13 frames."""
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    x, y, half = (steadied(values) for values in (x, y, half))
    reach, y = half * (1 + WIDER), y + WIDER * half
    return np.stack([x - reach, y - reach, x + reach, y + reach], axis=1)


def steadied(values: np.ndarray, frames: int = 13) -> np.ndarray:
    """The running median of `(frames,)`, at the ends with the first and last value repeated."""
    padded = np.pad(values, frames // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, frames), axis=1)


@torch.inference_mode()
def compare(network: SyncNet, faces: np.ndarray, samples: np.ndarray) -> Offsets:
    """The distances of faces uint8 `(frames, 224, 224, 3)`, RGB at 25 a second, and int16 samples of 16 kHz.

    Where the sound does not reach it is a vector of zeros, as in the evaluation that papers run.
    """
    from python_speech_features import mfcc

    steps = mfcc(samples, SAMPLE_RATE, numcep=MFCC).T  # (13, steps of 10 ms)
    count = min(len(faces) - FRAMES, (steps.shape[1] - HEARD) // PER_FRAME)
    if count < 1:
        seconds = len(samples) / SAMPLE_RATE
        raise ValueError(
            f"{len(faces)} frames with {seconds:.2f} s of sound are too short for SyncNet: give half a second."
        )
    pixels = torch.from_numpy(faces[..., ::-1].transpose(3, 0, 1, 2).copy())  # (3, frames, 224, 224)
    sounds = torch.from_numpy(steps.copy()).float()[None]  # (1, 13, steps)
    seen, heard, device = [], [], best_device()
    for first in range(0, count, BATCH):
        part = range(first, min(first + BATCH, count))
        seen.append(network.see(torch.stack([pixels[:, i : i + FRAMES] for i in part]).float().to(device)).cpu())
        starts = [PER_FRAME * i for i in part]
        parts = torch.stack([sounds[..., start : start + HEARD] for start in starts])
        heard.append(network.hear(parts.to(device)).cpu())
    mouths = torch.cat(seen)  # (count, 1024)
    voices = nn.functional.pad(torch.cat(heard), (0, 0, MOST_OFFSET, MOST_OFFSET))  # (count + 30, 1024)
    reach = 2 * MOST_OFFSET + 1
    rows = [nn.functional.pairwise_distance(mouths[[i]], voices[i : i + reach]).numpy() for i in range(count)]
    return Offsets(np.stack(rows).astype(np.float64))
