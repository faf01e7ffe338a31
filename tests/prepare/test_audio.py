"""`prepare --audio` keeps the sound of a track beside its video."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import load_dataset

from preface_hf.audio.sound import SAMPLE_RATE, read_sound
from preface_hf.features.sources import open_corpus, row_schema
from preface_hf.prepare.run import prepare
from preface_hf.synthetic import ClipSpec, energy_envelope, write_synthetic
from preface_hf.tasks.sync.offsets import correlated
from preface_hf.tasks.sync.talks import talk_of_row
from tests.media import given_clip
from tests.prepare.test_run import contents


OPTIONS = {"landmarker": "given", "crop_size": 64, "audio": True}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    """Three clips of 20 frames with their sound, and one without."""
    folder = tmp_path_factory.mktemp("spoken")
    write_synthetic(folder, [ClipSpec(p, "neutral", p, num_frames=20, size=64, sound=p < 3) for p in range(4)])
    return folder


def name(person: int) -> str:
    return f"id_{person:04d}_neutral_{person:06d}"


def placed(spoken: Path, person: int, file: Path) -> None:
    """A clip and its landmarks under another name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(spoken / f"{name(person)}.mp4", file)
    shutil.copy(spoken / f"{name(person)}.npy", file.with_suffix(".npy"))


def test_lrs2_with_its_sound(spoken, tmp_path):
    main_folder = tmp_path / "src/mvlrs_v1/main"
    for person, clip in enumerate(("55/00001.mp4", "55/00002.mp4", "63/00011.mp4")):
        placed(spoken, person, main_folder / clip)
    for file, text in {"train.txt": "55/00001\n", "val.txt": "55/00002\n", "test.txt": "63/00011 NF\n"}.items():
        (tmp_path / "src/mvlrs_v1" / file).write_text(text, encoding="utf-8")
    done = prepare(tmp_path / "src", tmp_path / "set", recipe="lrs2", **OPTIONS)
    assert done.splits == {"train": 1, "test": 1, "validation": 1} and not done.left_out
    row = load_dataset(str(tmp_path / "set"), split="validation")[0]
    heard = read_sound(row["audio"]["bytes"])
    np.testing.assert_array_equal(heard, read_sound(main_folder / "55/00002.mp4", 0, 0.8))
    # What is heard follows the mouth that is seen.
    mouths = np.array(row["landmarks"])[:, [62, 66], 1]
    assert np.corrcoef(mouths[:, 1] - mouths[:, 0], energy_envelope(heard, 20, 25))[0, 1] > 0.5


def test_grid_with_its_sound_however_the_work_is_cut(spoken, tmp_path):
    for person, clip in enumerate(("s1/bbaf2n.mp4", "s4/bbaf2n.mp4")):
        placed(spoken, person, tmp_path / "src" / clip)
    for tasks in (1, 2):
        prepare(tmp_path / "src", tmp_path / str(tasks), recipe="grid", tasks=tasks, **OPTIONS)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    row = load_dataset(str(tmp_path / "1"), split="train")[0]
    assert row["speaker"] == "s4" and len(read_sound(row["audio"]["bytes"])) == 20 * SAMPLE_RATE // 25


def test_a_clip_of_grid(shared, tmp_path):
    """A real face: mouth and voice agree, within what a plain measure can tell."""
    (tmp_path / "src/s1").mkdir(parents=True)
    shutil.copy(shared / "faces/grid_s1/video/bbas3a.mpg", tmp_path / "src/s1")
    prepare(tmp_path / "src", tmp_path / "set", recipe="grid", crop_size=160, audio=True)
    row = load_dataset(str(tmp_path / "set"), split="test")[0]
    assert row["num_frames"] == 75 and row["speaker"] == "s1"
    assert abs(correlated(talk_of_row(row, 48)).offset) <= 2


def test_a_track_has_what_is_heard_while_it_is_seen(spoken, tmp_path):
    placed(spoken, 0, tmp_path / "src/a.mp4")
    points = np.load(tmp_path / "src/a.npy")
    points[:6] = np.nan  # the face comes with frame 6
    np.save(tmp_path / "src/a.npy", points)
    prepare(tmp_path / "src", tmp_path / "set", **OPTIONS)
    row = load_dataset(str(tmp_path / "set"), split="train")[0]
    assert row["start_seconds"] == pytest.approx(0.24)
    np.testing.assert_array_equal(read_sound(row["audio"]["bytes"]), read_sound(tmp_path / "src/a.mp4", 0.24, 0.8))


def test_a_video_without_sound_has_none_and_the_report_says_so(spoken, tmp_path):
    done = prepare(spoken, tmp_path / "set", **OPTIONS)
    rows = load_dataset(str(tmp_path / "set"), split="train").sort("source")
    assert [row["audio"] is None for row in rows] == [False, False, False, True]
    assert done.notes == {"it has no sound": 1} and done.rows == 4
    assert "audio" not in row_schema(open_corpus(tmp_path / "set")).names, "features go without it"


def test_a_set_without_sound_is_as_it_was(spoken, tmp_path):
    given_clip(tmp_path / "src", "a.mp4")
    prepare(tmp_path / "src", tmp_path / "set", landmarker="given")
    assert "audio" not in load_dataset(str(tmp_path / "set"), split="train").column_names
    # One of a release that knew no sound counts as silent.
    options = yaml.safe_load((tmp_path / "set/prepare.yaml").read_text(encoding="utf-8"))
    del options["audio"]
    (tmp_path / "set/prepare.yaml").write_text(yaml.safe_dump(options, sort_keys=False), encoding="utf-8")
    assert prepare(tmp_path / "src", tmp_path / "set", landmarker="given").already_done
    with pytest.raises(ValueError, match=r"other options \(audio\)"):
        prepare(tmp_path / "src", tmp_path / "set", landmarker="given", audio=True)
