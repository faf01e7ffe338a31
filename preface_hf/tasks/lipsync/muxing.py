"""A silent mp4 and a sound as one mp4, which says that it is synthetic."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import Any

import av

from preface_hf.audio.sound import choose_sound
from preface_hf.modeling.video_frames_preface import damaged
from preface_hf.modeling.video_streams_preface import open_container
from preface_hf.modeling.video_timeline_preface import FREE_CLOCKS
from preface_hf.tasks.predicting.overlay import encoded, timed


# Sample rates of AAC; a sound of another rate is brought to the last one.
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# IPTC's word for pictures of which a part was made by a model.
COMMENT = (
    "synthetic: the mouth was generated to fit another sound, by preface_hf. "
    "Digital source type: http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)


def add_speech(silent: Path, speech: Path, target: Path, seconds: float) -> None:
    """The picture of the mp4 `silent` and the sound of `speech` as the mp4 `target`, with `COMMENT` in it.

    Both begin together; what comes after `seconds` of the sound is left out.
    Raises `DecodingError` where the sound is damaged.
    """
    try:
        with (
            open_container(speech) as source,
            av.open(str(silent)) as pictures,
            av.open(str(target), "w", format="mp4") as container,
        ):
            container.metadata.update({"title": "synthetic", "comment": COMMENT})
            outgoing = container.add_stream_from_template(pictures.streams.video[0])
            sound = choose_sound(source)
            rate = sound.rate if sound.rate in RATES else RATES[-1]
            layout = "mono" if sound.channels == 1 else "stereo"
            audio: Any = container.add_stream("aac", rate=rate, layout=layout)
            heard = encoded(placed(source, sound, audio, seconds), audio)
            streams = timed(pictures.demux(video=0), outgoing, 0.0), timed(heard, audio, 0.0)
            # In the order of their times: else one of them would wait in memory for the other.
            for _, _, packet in merge(*streams, key=lambda item: item[:2]):
                container.mux(packet)
    except (av.FFmpegError, OSError) as error:
        raise damaged(str(speech), error) from error


def placed(source: Any, sound: Any, audio: Any, seconds: float) -> Iterator[Any]:
    """Frames of sound as the encoder `audio` takes them, up to `seconds`."""
    free = not FREE_CLOCKS.isdisjoint(source.format.name.split(","))
    origin = (source.start_time or 0) / av.time_base if free else 0.0
    resampler = av.AudioResampler("fltp", audio.layout.name, audio.rate)
    end: int | None = None
    for frame in source.decode(sound):
        for piece in resampler.resample(frame):
            stated = (
                None if piece.pts is None else round((float(piece.pts * (piece.time_base or 0)) - origin) * audio.rate)
            )
            # Rounded stamps would tear the sound: a piece follows the one before, unless there is a true gap.
            if end is None or (stated is not None and stated > end + 0.02 * audio.rate):
                end = max(stated or 0, 0)
            if end >= seconds * audio.rate:
                return
            piece.pts, piece.time_base = end, Fraction(1, audio.rate)
            end += piece.samples
            yield piece
