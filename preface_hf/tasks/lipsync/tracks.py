"""Which of the faces of a video is to speak."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

from preface_hf.faces.detection import MIN_IOU
from preface_hf.faces.squares import overlap
from preface_hf.faces.tracking import Segment, Track


class Chooser:
    """Chooses the tracks of a video, segment by segment.

    Tracks are numbered as by `preface-hf sync`. A chosen track that ends with its segment is followed into the next.

    Args:
        video: for messages.
        wanted: the number of a track; None takes every face, and refuses several at once.
    """

    def __init__(self, video: Path, wanted: int | None):
        self.video, self.wanted = video, wanted
        self.count = self.found = 0
        self.last: Track | None = None

    def __call__(self, segment: Segment) -> list[Track]:
        """The tracks of the next segment that are to speak."""
        numbered = list(enumerate(segment.tracks, start=self.count))
        self.count += len(numbered)
        if self.wanted is None:
            chosen = segment.tracks
            for one, other in combinations(chosen, 2):
                if one.start < other.stop and other.start < one.stop:
                    faces = "; ".join(f"{number} at {middle(track)}" for number, track in numbered)
                    raise ValueError(
                        f"{self.video} shows several faces at once ({faces}): say which is to speak, by --track 0."
                    )
        else:
            chosen = [track for number, track in numbered if number == self.wanted or self.goes_on(track, segment)]
            self.last = next((track for track in chosen if track.stop == segment.stop), None)
        self.found += len(chosen)
        return chosen

    def goes_on(self, track: Track, segment: Segment) -> bool:
        """Whether a track is the chosen one of the segment before."""
        met = self.last is not None and track.start == segment.start == self.last.stop
        return met and self.last is not None and overlap(self.last.boxes[-1], track.boxes[0]) >= MIN_IOU

    def check(self) -> None:
        """After the last segment: `ValueError` where nothing was chosen."""
        if not self.count:
            raise ValueError(f"no face stays in sight in {self.video}: give a video that shows who is to speak.")
        if not self.found:
            raise ValueError(f"{self.video} has no face {self.wanted}: it has 0 to {self.count - 1}.")


def middle(track: Track) -> str:
    """Where a track is in its first frame, in pixels."""
    x0, y0, x1, y1 = track.boxes[0]
    return f"{(x0 + x1) / 2:.0f}, {(y0 + y1) / 2:.0f}"
