"""Faces of runs: the planted neighbor stands first, each face at its place, masks where they are, else a sentence."""

import numpy as np
import pytest
import torch
from PIL import Image

from preface_hf.data.opening import open_mixture
from preface_hf.modeling import PrefAceForPreTraining, PrefAceVideoProcessor
from preface_hf.pictures import faces as faces_module
from preface_hf.pictures import sheets
from preface_hf.pictures.faces import BREAK, FACE, GAP, Face, Faces, faces_picture, spread
from preface_hf.pictures.sheets import Clip, strips_picture
from preface_hf.pictures.words import MARGIN, fitted, font, lines_of
from preface_hf.training.build import pixel_scale
from preface_hf.training.gallery import (
    neighbors_picture,
    open_run,
    prototypes_picture,
    reconstructions,
    reconstructions_picture,
)
from tests.pictures.runs import written_run


def places(picture, face):
    """Where a face is in a picture, to the pixel: rows and columns of its corner."""
    big, small = np.asarray(picture).astype(int), np.asarray(face).astype(int)
    corners = (big[: -FACE + 1, : -FACE + 1] == small[0, 0]).all(axis=-1)
    return [
        (int(y), int(x))
        for y, x in zip(*np.nonzero(corners), strict=True)
        if (big[y, x : x + FACE] == small[0]).all() and (big[y : y + FACE, x : x + FACE] == small).all()
    ]


@pytest.fixture
def words(monkeypatch):
    """All captions of faces and strips, in the order in which they are fitted."""
    said = []

    def kept(text, size, width):
        said.append(text)
        return fitted(text, size, width)

    for module in (faces_module, sheets):
        monkeypatch.setattr(module, "fitted", kept)
    return said


def test_the_planted_neighbor_stands_beside_its_face(prepared, tmp_path, words):
    """Instance i and the one 6 places on share a direction of their own; all others are at right angles."""
    entries = torch.eye(6).repeat(2, 1)
    run = written_run(tmp_path / "run", prepared, "preface", {"cache.entries": entries.bfloat16()})
    picture = neighbors_picture(run)
    data = Faces(open_mixture(prepared))
    asked = spread(6, 12)
    for row, instance in enumerate(asked):
        other = (instance + 6) % 12
        (top, _) = next(place for place in places(picture, data.face(instance).picture) if place[1] == MARGIN)
        found = [place for place in places(picture, data.face(other).picture) if place[1] > MARGIN]
        assert (top, MARGIN + FACE + GAP + BREAK) in found, "the first to the right"
        assert words[6 * row].startswith(f"{instance} · ") and words[6 * row + 1].startswith(f"{other} · ")


def test_a_moved_set_and_another_set_are_told_apart(prepared, tmp_path):
    run = written_run(tmp_path / "run", prepared, "preface", {"cache.entries": torch.eye(13)}, data="gone")
    with pytest.raises(ValueError, match="cannot open"):
        neighbors_picture(run)
    with pytest.raises(ValueError, match="has 13 instances, the data 12"):
        neighbors_picture(run, prepared)


def test_prototypes_stand_with_the_faces_that_are_nearest(prepared, tmp_path, words):
    run = written_run(tmp_path / "run", prepared, "pros")
    picture = prototypes_picture(run)
    opened, data = open_run(run), Faces(open_mixture(prepared))
    checkpoint = opened.checkpoint("groups")
    model, processor = (kind.from_pretrained(checkpoint) for kind in (PrefAceForPreTraining, PrefAceVideoProcessor))
    # By another way: the processor's, on the middle frame.
    middle = [faces_module.read_frames(row, np.full(2, row["num_frames"] // 2))[0] for row in map(data.row, range(12))]
    pixels = processor(middle, do_sample_frames=False, return_tensors="pt")["pixel_values_videos"]
    with torch.no_grad():
        cosines = model.eval()(pixels).prototype_logits
    used = cosines.argmax(1).bincount(minlength=cosines.shape[1])
    most = int(used.argsort(descending=True, stable=True)[0])
    best = cosines[:, most].argsort(descending=True)[:6].tolist()
    assert [int(word.split(" · ")[0]) for word in words[:6]] == best
    columns = [min(place[1] for place in places(picture, data.face(instance).picture)) for instance in best[:2]]
    assert columns[0] == MARGIN and columns[1] <= MARGIN + FACE + GAP


@pytest.mark.parametrize("method", ["marlin", "videomae"])
def test_reconstructions_leave_what_is_seen_and_gray_what_is_hidden(prepared, tmp_path, method):
    run = written_run(tmp_path / "run", prepared, method)
    opened = open_run(run)
    clips = reconstructions(opened.mixture(), opened.arguments, opened.parts, opened.checkpoint("reconstruct"))
    assert len(clips) == 3
    for clip in clips:
        assert [name for name, _ in clip.strips] == ["original", "seen", "reconstructed"]
        original, seen, filled = (np.asarray(strip).astype(int) for _, strip in clip.strips)
        hidden = (np.abs(seen - 127.5) < 1).all(axis=-1)
        assert 0.7 < hidden.mean() < 1
        assert (seen[~hidden] == original[~hidden]).all() and np.abs(filled - original)[~hidden].max() <= 1
        assert np.abs(filled - original)[hidden].mean() > 1
    picture = np.asarray(reconstructions_picture(run)).astype(int)
    gray = (np.abs(picture - 127.5) < 1).all(axis=-1).sum(axis=1)
    assert (np.diff((gray > 100).astype(int)) == 1).sum() >= 3, "a gray strip for each clip"
    assert pixel_scale(PrefAceVideoProcessor.from_pretrained(opened.checkpoint("reconstruct")))


def test_what_a_method_does_not_have_is_one_sentence(prepared, tmp_path):
    run = written_run(tmp_path / "run", prepared, "dino")
    for call, names in ((neighbors_picture, "preface"), (prototypes_picture, "pros"),
                        (reconstructions_picture, "marlin or videomae")):  # fmt: skip
        with pytest.raises(ValueError, match=rf"a run of dino has no \w+ to show: give one of .*{names}\."):
            call(run)
    with pytest.raises(ValueError, match="holds no run"):
        neighbors_picture(tmp_path)
    early = written_run(tmp_path / "early", prepared, "preface")
    (early / "checkpoints" / "step-00000003").rename(early / "moved")
    with pytest.raises(ValueError, match="no checkpoint yet: wait until step 3"):
        neighbors_picture(early)


def test_words_fit():
    assert fitted("short.mp4", 10, FACE) == "short.mp4"
    cut = fitted("a/very/long/path/to/clip-000123.mp4", 10, FACE)
    assert cut.startswith("…") and cut.endswith("000123.mp4") and font(10).getlength(cut) <= FACE
    lines = lines_of("one two three four five six seven", 13, 80)
    assert " ".join(lines) == "one two three four five six seven" and len(lines) > 2
    assert all(font(13).getlength(line) <= 80 for line in lines)


def test_small_frames_stay_squares_and_large_ones_become_small():
    checks = Image.fromarray((np.indices((16, 32)).sum(axis=0) % 2 * 255).astype(np.uint8)).convert("RGB")
    picture = np.asarray(strips_picture("title", "note", [Clip("0", [("a", checks)])]))
    pixel = picture[-21:-14, -17:-10, 0]  # the last of the strip, 7 times as large
    assert (pixel == pixel[0, 0]).all()
    wide = Image.new("RGB", (800, 400), "black")
    assert strips_picture("title", "note", [Clip("0", [("a", wide)])]).width < 400


def test_a_face_without_neighbors_is_drawn(words):
    picture = faces_picture("t", "n", [("", [Face("only one", Image.new("RGB", (FACE, FACE), "red"))])])
    assert words == ["only one"] and (np.asarray(picture) == (255, 0, 0)).all(axis=-1).sum() == FACE * FACE
