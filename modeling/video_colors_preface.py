"""HDR pictures (PQ, HLG) brought to the range of an ordinary screen, as players do."""

from functools import cache
from typing import Any

import numpy as np
import torch


TRANSFERS = {16: "PQ", 18: "HLG"}  # by FFmpeg's numbers
WHITE = 203.0  # candela per square meter of a white page in an HDR picture (ITU-R BT.2408)
BRIGHTEST = 1000.0  # what films are made for: where a tenth of a picture is brighter, the header lies
LUMA = np.array([0.2627, 0.678, 0.0593])  # of BT.2020
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
NODES = 33


class ToneMap:
    """Brings HDR frames to 8 bits: up to half of white as they are, brighter ones ever closer to white."""

    def __init__(self, transfer: str):
        self._table = _table(transfer)

    def __call__(self, frame: Any, height: int, width: int) -> np.ndarray:
        """A frame of PyAV's as uint8 `(height, width, 3)` in the colors of BT.709."""
        colors = frame.to_ndarray(format="rgb48le", height=height, width=width, threads=1)  # (height, width, 3)
        # The table is sampled at coordinates in [-1, 1], of which the first (red) goes along its last axis.
        places = torch.from_numpy(colors.astype(np.float32))[None, None] / 32767.5 - 1  # -1 is black, 1 the maximum
        found = torch.nn.functional.grid_sample(self._table, places, align_corners=True)  # (1, 3, 1, height, width)
        return found[0, :, 0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


def read_tone_map(stream: Any, frame: Any, notes: list[str]) -> ToneMap | None:
    """The tone mapping that the first frame asks for, None for ordinary ones; `notes` gets a remark."""
    codes = [int(frame.color_trc or 0) if frame is not None else 0, int(stream.codec_context.color_trc or 0)]
    transfer = next((TRANSFERS[code] for code in codes if code in TRANSFERS), None)
    if transfer is None:
        return None
    if frame is not None:
        # A small copy of the frame is enough to see how bright it is.
        light = to_light(frame.to_ndarray(format="rgb48le", height=90, width=160, threads=1) / 65535, transfer)
        if np.percentile(light @ LUMA, 90) > BRIGHTEST:
            notes.append(f"its header says HDR ({transfer}), but it is too bright for that: shown as ordinary colors")
            return None
    notes.append(f"its colors are HDR ({transfer}): tone-mapped to ordinary ones")
    return ToneMap(transfer)


def to_light(colors: np.ndarray, transfer: str) -> np.ndarray:
    """Light in candela per square meter, `(..., 3)`, of colors in [0, 1] (SMPTE ST 2084; ITU-R BT.2100)."""
    if transfer == "PQ":
        power = colors ** (1 / 78.84375)
        return 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    scene = np.where(colors <= 0.5, colors**2 / 3, (np.exp((colors - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return 1000 * scene * np.maximum(scene @ LUMA, 1e-9)[..., None] ** 0.2  # on a screen of 1000 candela


@cache
def _table(transfer: str) -> torch.Tensor:
    """8-bit colors at the nodes of a cube of HDR colors: float32 `(1, 3, blue, green, red)`."""
    axis = np.linspace(0, 1, NODES)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    # In units of white.
    light = to_light(np.stack([red, green, blue], axis=-1), transfer) / WHITE
    luma = np.maximum(light @ LUMA, 1e-9)[..., None]
    # Both pieces meet at half of white with the same slope.
    mapped = np.where(luma <= 0.5, luma, 1 - 0.5 * np.exp(1 - 2 * luma))
    colors = (light * mapped / luma) @ TO_BT709.T
    # What BT.709 cannot show is drawn towards gray of the same brightness.
    high, low = colors.max(axis=-1, keepdims=True), colors.min(axis=-1, keepdims=True)
    keep_high = np.where(high > 1, (1 - mapped) / np.maximum(high - mapped, 1e-9), 1)
    keep_low = np.where(low < 0, mapped / np.maximum(mapped - low, 1e-9), 1)
    colors = mapped + (colors - mapped) * np.minimum(np.minimum(keep_high, keep_low), 1)
    # The curve of an ordinary screen.
    values = colors.clip(0, 1) ** (1 / 2.4) * 255
    return torch.from_numpy(values.astype(np.float32)).permute(3, 0, 1, 2)[None].contiguous()
