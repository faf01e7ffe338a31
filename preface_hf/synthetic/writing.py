"""Synthetic clips as files: a Hugging Face videofolder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from preface_hf.synthetic.clip import SyntheticClip, draw_clip
from preface_hf.synthetic.fakes import draw_fake
from preface_hf.video.encoding import encode_video


def add_sound(video: bytes, audio: np.ndarray, sample_rate: int) -> bytes:
    """The mp4 with a mono AAC stream of audio, float32 `(samples,)` from -1 to 1, beginning with the first frame.

    The encoded picture is copied packet by packet: it is the same with and without sound. The same arguments give the
    same bytes. Raises ValueError for audio of another shape or without a sample.
    """
    if audio.ndim != 1 or not len(audio):
        raise ValueError(f"the audio has shape {audio.shape}: pass mono, float32 (samples,)")
    out = io.BytesIO()
    with av.open(io.BytesIO(video), "r") as source, av.open(out, "w", format="mp4") as container:
        pictures = container.add_stream_from_template(source.streams.video[0])
        stream = container.add_stream("aac", rate=sample_rate, layout="mono", bit_rate=64_000)
        for packet in source.demux(source.streams.video[0]):
            # The last packet is empty: it only says that the stream has ended.
            if packet.size:
                packet.stream = pictures
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(audio[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
        container.mux([*stream.encode(frame), *stream.encode()])
    return out.getvalue()


# Columns of metadata.csv; the second list only where a clip is a fake.
_COLUMNS = ["file_name", "split", "identity", "expression"]
_COLUMNS += ["mean_mouth_opening", "mean_yaw", "mean_pitch", "mean_roll"]
_FAKE_COLUMNS = ["fake", "donor"]


class ClipSpec(NamedTuple):
    """Which clip `write_synthetic` shall draw, and the split that it belongs to.

    sound: with the voice in the mp4. parsing: with parsing maps beside it. donor: a fake with this person's face.
    """

    identity: int
    expression: str
    seed: int
    split: str = "train"
    num_frames: int = 32
    size: int = 128
    fps: float = 25.0
    sound: bool = False
    parsing: bool = False
    donor: int | None = None

    @property
    def name(self) -> str:
        """File name without ending."""
        name = f"id_{self.identity:04d}_{self.expression}_{self.seed:06d}"
        return name if self.donor is None else f"{name}_fake_{self.donor:04d}"

    def draw(self) -> SyntheticClip:
        """The clip; errors as in `draw_clip` and `draw_fake`."""
        how = (self.expression, self.seed, self.num_frames, self.size, self.fps)
        if self.donor is None:
            return draw_clip(self.identity, *how, sound=self.sound, parsing=self.parsing)
        return draw_fake(self.identity, self.donor, *how, sound=self.sound, parsing=self.parsing)


def write_synthetic(out: Path, clips: Iterable[ClipSpec | tuple], workers: int = 1) -> None:
    """Write clips as a Hugging Face videofolder: `NAME.mp4`, its landmarks `NAME.npy`, and one `metadata.csv`.

    clips: specs, or tuples of their fields. workers: processes to draw with. Parsing maps that a spec asks for go to
    `NAME.parsing.npz`, as `parsing` (see `read_parsing`). Where a clip is a fake, metadata.csv has the columns `fake`
    (0 or 1) and `donor` (as `identity`, empty for real clips).
    Raises ValueError when two specs have the same name (identity, expression, seed and donor), or for an odd size.
    """
    specs = [ClipSpec(*clip) for clip in clips]
    if len({spec.name for spec in specs}) < len(specs):
        raise ValueError("two clips have the same identity, expression and seed: give each clip its own seed")
    out.mkdir(parents=True, exist_ok=True)
    outs = [out] * len(specs)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            rows = list(pool.map(write_clip, outs, specs))
    else:
        rows = list(map(write_clip, outs, specs))
    # Rows always tell of fakes; a table of real clips leaves these columns out (extrasaction).
    columns = _COLUMNS + (_FAKE_COLUMNS if any(spec.donor is not None for spec in specs) else [])
    with (out / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def read_parsing(file: Path) -> np.ndarray:
    """The parsing maps in a `.parsing.npz`, uint8 `(frames, size, size)`, indices into `PARSING_CLASSES`."""
    with np.load(file, allow_pickle=False) as arrays:
        return arrays["parsing"]


def write_clip(out: Path, spec: ClipSpec) -> dict[str, str]:
    """Write the files of one clip into the folder `out`; returns its row of metadata.csv."""
    clip = spec.draw()
    video = encode_video(clip.frames, clip.fps)
    if clip.audio is not None and clip.sample_rate is not None:
        video = add_sound(video, clip.audio, clip.sample_rate)
    (out / f"{spec.name}.mp4").write_bytes(video)
    np.save(out / f"{spec.name}.npy", clip.landmarks)
    if clip.parsing is not None:
        np.savez_compressed(out / f"{spec.name}.parsing.npz", parsing=clip.parsing)
    return metadata_row(spec, clip)


def metadata_row(spec: ClipSpec, clip: SyntheticClip) -> dict[str, str]:
    """A clip's row of metadata.csv as text; numbers are means over its frames."""
    means = [clip.mouth_opening.mean(), *clip.pose.mean(axis=0)]
    labels = [f"{spec.name}.mp4", spec.split, f"id_{spec.identity:04d}", spec.expression]
    donor = "" if spec.donor is None else f"id_{spec.donor:04d}"
    values = [*labels, *(f"{value:.4f}" for value in means), str(int(clip.fake)), donor]
    return dict(zip(_COLUMNS + _FAKE_COLUMNS, values, strict=True))
