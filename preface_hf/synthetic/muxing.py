"""Sound into an mp4, with the picture's stream untouched."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np


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
            if packet.size:
                packet.stream = pictures
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(audio[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
        container.mux([*stream.encode(frame), *stream.encode()])
    return out.getvalue()
