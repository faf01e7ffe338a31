"""Detection every k-th frame and across cuts, by a detector of bright squares that counts what it is asked."""

from __future__ import annotations

import numpy as np
import pytest

from preface_hf.faces.detection import detect_faces


cv2 = pytest.importorskip("cv2")


class Squares:
    """Finds white squares; its landmarks are the center of brightness of the box that it is given."""

    name = "squares"

    def __init__(self, batch_size: int = 1):
        self.batch_size = batch_size
        self.detections, self.batches = 0, []

    def detect(self, frame: np.ndarray) -> np.ndarray:
        self.detections += 1
        white = (frame[..., 0] > 200).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(white)[2][1:]
        found = [[x, y, x + width, y + height, 0.9] for x, y, width, height, _ in stats]
        return np.array(found, np.float32).reshape(-1, 5)

    def landmarks(self, frames, boxes) -> np.ndarray:
        self.batches.append(len(frames))
        return np.stack([self.center(frame, box) for frame, box in zip(frames, boxes, strict=True)])

    def center(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        x0, y0, x1, y1 = (int(round(value)) for value in box)
        ys, xs = np.nonzero(frame[y0:y1, x0:x1, 0] > 200)
        return np.tile([xs.mean() + x0, ys.mean() + y0], (68, 1)).astype(np.float32)


def shot(lefts, background: int = 0) -> list[np.ndarray]:
    frames = np.full((len(lefts), 120, 200, 3), background, np.uint8)
    for frame, left in zip(frames, lefts, strict=True):
        if left is not None:
            frame[40:80, left : left + 40] = 255
    return list(frames)


def lefts(found) -> list[float | None]:
    return [float(frame.faces[0].landmarks[0, 0]) - 19.5 if frame.faces else None for frame in found]


@pytest.mark.parametrize("every", [1, 3, 4, 50])
def test_every_frame_has_its_face_whatever_the_interval(every):
    places = [20 + index // 2 for index in range(31)]
    finder = Squares()
    found = lefts(detect_faces(shot(places), finder, every))
    assert found == pytest.approx(places, abs=0.5), "the landmark network sees every frame"
    assert finder.detections == {1: 31, 3: 11, 4: 9, 50: 2}[every]


def test_a_cut_is_detected_at_once_and_not_interpolated_over():
    frames = shot([20] * 10) + shot([120] * 9, background=90)
    finder = Squares()
    found = list(detect_faces(frames, finder, 6))
    assert [index for index, frame in enumerate(found) if frame.cut] == [10]
    assert lefts(found) == [20] * 10 + [120] * 9


def test_a_face_that_comes_or_goes_between_two_detections():
    finder = Squares()
    found = lefts(detect_faces(shot([None] * 5 + [30] * 12), finder, 4))
    assert found == [None] * 5 + [30] * 12, "while there is no face, every frame is searched"
    gone = lefts(detect_faces(shot([30] * 9 + [None] * 6), Squares(), 4))
    assert gone == [30] * 9 + [None] * 6


def test_a_face_that_moves_far_between_two_detections_is_not_lost():
    places = [index * 9 for index in range(17)]
    assert lefts(detect_faces(shot(places), Squares(), 4)) == pytest.approx(places, abs=0.5)


@pytest.mark.parametrize("every", [1, 4])
def test_landmarks_come_in_batches_and_do_not_depend_on_them(every):
    frames = shot([20] * 10 + [None] * 3 + [30] * 9) + shot([120] * 9, background=90)
    for frame in frames[3:20]:
        frame[5:30, 150:175] = 255  # a second, smaller face
    alone, together = Squares(), Squares(batch_size=8)
    expected, found = list(detect_faces(frames, alone, every)), list(detect_faces(frames, together, every))
    assert [frame.cut for frame in found] == [frame.cut for frame in expected]
    assert [[face.landmarks[0].tolist() for face in frame.faces] for frame in found] == [
        [face.landmarks[0].tolist() for face in frame.faces] for frame in expected
    ]
    assert [len(frame.faces) for frame in found[:4]] == [1, 1, 1, 2]
    assert len(together.batches) == 4 and sum(together.batches) == sum(alone.batches)


def test_no_more_frames_are_read_than_a_batch_and_an_interval_need():
    frames = iter(shot([20] * 40))
    next(detect_faces(frames, Squares(batch_size=8), 4))
    assert len(list(frames)) >= 40 - (8 + 4 + 1)
