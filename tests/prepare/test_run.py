from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset, load_dataset_builder

from preface_hf.data import shards
from preface_hf.prepare.run import PrepareSummary, prepare
from preface_hf.recipes import folder
from preface_hf.synthetic import draw_clip
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import encode_video
from tests.media import SHARED, as_bytes, face_points, given_clip, pattern
from tests.video.test_presentation import hdr


pytest.importorskip("cv2")
ROOT = Path(__file__).parents[2]
IMPORT = "from preface_hf.prepare.run import prepare"


def run(src: Path, out: Path, **options) -> PrepareSummary:
    return prepare(src, out, **{"landmarker": "given", "crop_size": 64, **options})


def contents(out: Path) -> dict[str, bytes]:
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


def report(out: Path) -> dict[str, dict]:
    return {row["source"]: row for row in map(json.loads, (out / "report.jsonl").read_text().splitlines())}


@pytest.fixture(scope="module")
def src(tmp_path_factory) -> Path:
    """Twenty short clips in two folders, and files that are wrong in one way each."""
    place = tmp_path_factory.mktemp("src")
    for index in range(20):
        given_clip(place, f"{'real' if index % 2 else 'fake'}/clip{index:02d}.mp4", frames=6 + index, seed=index)
    given_clip(place, "real/unseen.mp4")
    np.save(place / "real/unseen.npy", np.full((12, 68, 2), np.nan))
    given_clip(place, "real/empty.mp4")
    (place / "real/empty.mp4").write_bytes(b"")
    given_clip(place, "real/text.mp4")
    (place / "real/text.mp4").write_text("this is no video")
    (place / "real/alone.mp4").write_bytes(encode_video(pattern(4), 25))
    (place / "notes.txt").write_text("notes")
    (place / "still.png").write_bytes(as_bytes(pattern(1)[0], "png"))
    return place


@pytest.fixture(scope="module")
def prepared(src: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert run(src, out).rows == 20
    return out


def test_datasets_opens_it_streamed_and_not(prepared: Path):
    rows = load_dataset(str(prepared), split="train")
    streamed = list(load_dataset(str(prepared), split="train", streaming=True))
    assert load_dataset_builder(str(prepared)).info.splits["train"].num_examples == len(rows) == len(streamed) == 20
    names = [
        "instance_id",
        "video",
        "landmarks",
        "fps",
        "num_frames",
        "start_seconds",
        "frame_seconds",
        "track",
        "source",
        "quality",
        "label",
    ]
    assert rows.column_names == names
    assert rows["instance_id"][:] == list(range(20)) == [row["instance_id"] for row in streamed]
    assert rows["source"][:] == sorted(rows["source"][:])
    for row, same in zip(rows.with_format("numpy"), streamed, strict=True):
        video = open_video(row["video"]["bytes"])
        assert video.num_frames == row["num_frames"] == len(row["landmarks"])
        assert row["landmarks"].shape == (row["num_frames"], 68, 2) and row["landmarks"].dtype == np.float32
        assert np.allclose(row["landmarks"], same["landmarks"])
        assert (row["fps"], row["track"], row["start_seconds"]) == (25.0, 0, 0.0)
        assert video.frames([0]).shape == (1, 64, 64, 3)
        assert row["label"] == row["source"].split("/")[0]


def test_the_card_counts_what_is_there(prepared: Path):
    rows = load_dataset(str(prepared), split="train")
    card = (prepared / "README.md").read_text()
    frames = sum(rows["num_frames"])
    assert f"20 files, 20 tracks, {frames} frames, {frames / 25 / 3600:.2f} hours" in card
    bins = np.histogram(rows["quality"], bins=10, range=(0, 1))[0]
    assert [int(line.split("|")[2]) for line in card.splitlines() if "–" in line and line.startswith("| 0")] == [*bins]
    assert "license: unknown" in card and "explicit consent" in card


def test_every_file_has_its_reason(src: Path, prepared: Path):
    lines = report(prepared)
    assert sum(line["status"] == "prepared" for line in lines.values()) == 20
    assert "no face found" in lines["real/unseen.mp4"]["reason"]
    assert "0 bytes" in lines["real/empty.mp4"]["reason"]
    assert "cannot be opened" in lines["real/text.mp4"]["reason"]
    assert "no landmarks beside it" in lines["real/alone.mp4"]["reason"]
    assert str(src) not in (prepared / "report.jsonl").read_text(), "paths are relative to the source"
    assert ".txt" in lines["notes.txt"]["reason"] and lines["notes.txt"]["status"] == "ignored"
    assert "1 images set aside" in lines["*.image"]["reason"]
    assert lines["fake/clip00.mp4"]["frames_left_out"] == []


def test_landmarks_point_at_the_same_content(tmp_path: Path):
    given_clip(tmp_path / "src", "a.mp4", frames=15)
    run(tmp_path / "src", tmp_path / "out", crop_size=160)
    row = next(iter(load_dataset(str(tmp_path / "out"), split="train").with_format("numpy")))
    frames = np.stack(list(open_video(row["video"]["bytes"])))[..., 1].astype(float)
    v, u = np.mgrid[-6:7, -6:7]
    for frame, points in zip(frames, row["landmarks"], strict=True):
        for x, y in points[[8, 36, 45, 48, 54]]:
            column, line = round(float(x)), round(float(y))
            patch = (frame[line - 6 : line + 7, column - 6 : column + 7] - 80).clip(0)
            found = np.array([column + (u * patch).sum() / patch.sum(), line + (v * patch).sum() / patch.sum()])
            assert np.abs(found - [x, y]).max() < 0.7


def test_frames_without_a_face_are_left_out_and_named(tmp_path: Path):
    points = given_clip(tmp_path / "src", "a.mp4", frames=30)
    points[:5], points[12], points[27:] = np.nan, np.nan, np.nan
    np.save(tmp_path / "src/a.npy", points)
    run(tmp_path / "src", tmp_path / "out")
    row = load_dataset(str(tmp_path / "out"), split="train")[0]
    assert (row["num_frames"], row["start_seconds"]) == (22, 0.2)
    assert report(tmp_path / "out")["a.mp4"]["frames_left_out"] == [[0, 4], [27, 29]]


def test_two_workers_make_the_same_bytes(src: Path, prepared: Path, tmp_path: Path):
    run(src, tmp_path / "out", workers=2)
    assert contents(tmp_path / "out") == contents(prepared)


@pytest.mark.parametrize("tasks", [1, 2, 7])
def test_any_number_of_tasks_makes_the_same_bytes(src: Path, prepared: Path, tmp_path: Path, tasks: int):
    run(src, tmp_path / "out", tasks=tasks)
    assert contents(tmp_path / "out") == contents(prepared)


def test_large_rows_make_small_groups_whatever_the_tasks(src: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(shards, "GROUP_BYTES", 20_000)
    for tasks in (1, 5):
        run(src, tmp_path / str(tasks), tasks=tasks)
    assert contents(tmp_path / "1") == contents(tmp_path / "5")
    (shard,) = (tmp_path / "1/data").glob("*.parquet")
    assert 2 < pq.ParquetFile(shard).num_row_groups < 20


@pytest.mark.parametrize(
    "tasks", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(7, marks=pytest.mark.slow)]
)
def test_so_does_ray(src: Path, prepared: Path, tmp_path: Path, two_ray_workers, tasks: int):
    run(src, tmp_path / "out", tasks=tasks, executor="ray", workers=2)
    assert contents(tmp_path / "out") == contents(prepared)


def test_so_does_slurm_whose_last_job_finishes_the_set(src: Path, prepared: Path, tmp_path: Path, slurm_queue: Path):
    cluster = {"partition": "cpu", "time": "01:00:00"}
    assert run(src, tmp_path / "out", tasks=2, executor="slurm", workers=2, cluster=cluster).submitted
    made = {name: data for name, data in contents(tmp_path / "out").items() if not name.startswith(".work")}
    assert made == contents(prepared)
    assert run(src, tmp_path / "out").already_done, "and tidies up what the last job still had in use"
    assert contents(tmp_path / "out") == made


@pytest.mark.slow
def test_killed_at_twenty_random_moments_makes_the_same_bytes(src: Path, prepared: Path, tmp_path: Path):
    """One run after another is killed, each after a random time, until one of them ends by itself."""
    rng, out, kills = np.random.default_rng(0), tmp_path / "out", 0
    call = f"prepare({str(src)!r}, {str(out)!r}, landmarker='given', crop_size=64, workers=2)"
    code = f"{IMPORT}; {call}"
    started = time.time()
    subprocess.run([sys.executable, "-c", code.replace(str(out), str(tmp_path / "whole"))], check=True, cwd=ROOT)
    whole = time.time() - started
    while kills < 20:
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
        try:
            process.wait(timeout=float(rng.uniform(0.2, 1)) * whole)
            assert process.returncode == 0
            assert contents(out) == contents(prepared)
            shutil.rmtree(out)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    run(src, out, workers=2)
    assert contents(out) == contents(prepared)


def test_killed_and_started_again_makes_the_same_bytes(src: Path, prepared: Path, tmp_path: Path):
    out = tmp_path / "out"
    call = f"prepare({str(src)!r}, {str(out)!r}, landmarker='given', crop_size=64)"
    code = f"{IMPORT}; {call}"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT)
    deadline = time.time() + 60
    while process.poll() is None and not list(out.glob(".work/tasks-*/completions/*")) and time.time() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "README.md").exists(), "it was killed before it ended"
    kept = {file: file.stat().st_mtime_ns for file in out.glob(".work/tasks-*/completions/*")}
    assert kept
    run(src, out)
    assert contents(out) == contents(prepared)


def test_every_file_is_counted(src: Path, prepared: Path):
    summary = run(src, prepared)
    assert (summary.prepared, summary.left_out, sum(summary.ignored.values())) == (20, 4, 2)
    assert len(summary.reasons) == 4 and sum(summary.reasons.values()) == 4
    assert list(summary.ignored.values()) == [1, 1] and any("set aside" in reason for reason in summary.ignored)
    first, *lines = summary.sentences()
    assert first == "20 files prepared, 4 left out, 2 ignored" and len(lines) == 6


def test_remarks_on_files_are_counted(tmp_path: Path):
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        given_clip(tmp_path / "src", name, frames=8)
    points = np.load(tmp_path / "src/a.npy")
    for name in ("a.mp4", "b.mp4"):
        hdr(tmp_path / "src" / name, pattern(8, height=180, width=240))
    np.save(tmp_path / "src/b.npy", np.full_like(points, np.nan))
    summary = run(tmp_path / "src", tmp_path / "out")
    (note,) = summary.notes
    assert "HDR" in note and summary.notes[note] == 2 and f"  note: 2 x {note}" in summary.sentences()
    lines = report(tmp_path / "out")
    assert lines["a.mp4"]["notes"] == lines["b.mp4"]["notes"] == [note] and lines["c.mp4"]["notes"] == []


def test_a_finished_set_is_left_as_it_is(src: Path, prepared: Path):
    before = {file: file.stat().st_mtime_ns for file in prepared.rglob("*")}
    summary = run(src, prepared)
    assert summary.already_done and summary.splits == {"train": 20} and summary.left_out == 4
    assert {file: file.stat().st_mtime_ns for file in prepared.rglob("*")} == before


def test_other_options_and_foreign_folders_are_refused(src: Path, prepared: Path, tmp_path: Path):
    before = contents(prepared)
    with pytest.raises(ValueError, match="crop_size"):
        run(src, prepared, crop_size=96)
    assert contents(prepared) == before
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="max_seconds nan must be at least 1"):
        run(src, tmp_path / "new", max_seconds=float("nan"))
    with pytest.raises(ValueError, match="holds other files"):
        run(src, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_nothing_to_prepare(tmp_path: Path):
    with pytest.raises(ValueError, match="does not exist"):
        run(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "src").mkdir()
    with pytest.raises(ValueError, match="holds no video or image"):
        run(tmp_path / "src", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "src/a.mp4").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"report\.jsonl"):
            run(tmp_path / "src", tmp_path / "out")
    assert "0 bytes" in report(tmp_path / "out")["a.mp4"]["reason"]


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "other"},
        {"crop_size": 65},
        {"workers": 0},
        {"tasks": 0},
        {"executor": "x"},
        {"test_fraction": 1.0},
        {"landmarker": "x"},
        {"media": "x"},
    ],
)
def test_options_that_make_no_sense(src: Path, tmp_path: Path, options):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        run(src, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_images_with_pts_one_file_and_a_drawn_test_split(tmp_path: Path):
    place = tmp_path / "src"
    place.mkdir()
    lines = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in face_points((64, 48), 50))
    for index in range(12):
        (place / f"{index}.jpg").write_bytes(as_bytes(pattern(1)[0], "jpeg"))
        (place / f"{index}.pts").write_text(lines)
    summary = run(place, tmp_path / "out", test_fraction=0.4)
    assert set(summary.splits) == {"train", "test"} and summary.rows == 12
    ids = {split: load_dataset(str(tmp_path / "out"), split=split)["instance_id"][:] for split in summary.splits}
    assert ids["train"] + ids["test"] == list(range(12))
    assert "label" not in load_dataset(str(tmp_path / "out"), split="train").column_names
    assert run(place / "3.jpg", tmp_path / "one").rows == 1


def test_metadata_gives_typed_labels_and_splits(tmp_path: Path):
    for index in range(4):
        given_clip(tmp_path / "src", f"people/clip{index}.mp4", frames=6)
    table = ["file_name,split,age,subject,weight,note"]
    table += [
        f"people/clip{i}.mp4,{'test' if i == 1 else 'train'},{20 + i},00{i},{i}.5,{'' if i else 'x'}" for i in range(3)
    ]
    (tmp_path / "src/metadata.csv").write_text("\n".join([*table, "people/lost.mp4,train,1,001,1,"]))
    assert run(tmp_path / "src", tmp_path / "out").splits == {"train": 3, "test": 1}
    train = load_dataset(str(tmp_path / "out"), split="train")
    assert train.column_names[-5:] == ["label", "age", "subject", "weight", "note"]
    assert train["age"][:] == [20, 22, None]
    assert train["subject"][:] == ["000", "002", None]
    assert train["weight"][:] == [0.5, 2.5, None]
    assert load_dataset(str(tmp_path / "out"), split="test")["instance_id"][:] == [3]
    assert "not found" in report(tmp_path / "out")["people/lost.mp4"]["reason"]


def test_the_listing_survives_symlink_loops(src: Path, tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a/clip.mp4").write_bytes(b"x")
    assert [item.source for item in folder(tmp_path).items] == ["a/clip.mp4"]
    assert len(folder(src, "all").items) == 25 and len(folder(src, "image").items) == 1


def test_a_folder_that_may_not_be_read_is_listed(tmp_path: Path, monkeypatch):
    """Whoever runs as root may read everything, so the operating system's refusal is raised by hand."""
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").write_bytes(b"x")
    scandir = os.scandir

    def refusing(place):
        if Path(place).name == "closed":
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)
    listing = folder(tmp_path)
    assert [item.source for item in listing.items] == ["open/clip.mp4"]
    assert listing.aside[-1]["source"] == "closed" and "may not be read" in listing.aside[-1]["reason"]


def test_preview_is_drawn(src: Path, prepared: Path):
    from PIL import Image, ImageColor

    from preface_hf.pictures.sheets import PART_COLORS, contact_sheet

    sheet = contact_sheet(prepared)
    assert isinstance(sheet, Image.Image)
    colors = {color for _, color in sheet.getcolors(10**6)}
    assert {ImageColor.getrgb(color) for color in PART_COLORS.values()} <= colors


@pytest.mark.skipif(not (SHARED / "weights").is_dir() or not (SHARED / "faces").is_dir(), reason="no ../shared")
def test_a_real_clip_with_the_onnx_landmarker(tmp_path: Path):
    clip = SHARED / "faces" / "marlin_clips" / "cropped04.mp4"
    summary = prepare(clip, tmp_path / "out", weights=SHARED / "weights", preview=True)
    assert summary.rows == 1 and (tmp_path / "out/preview.png").is_file()
    row = next(iter(load_dataset(str(tmp_path / "out"), split="train").with_format("numpy")))
    assert row["landmarks"].shape == (15, 68, 2)
    assert row["landmarks"].min() > 0 and row["landmarks"].max() < 224


def test_without_weights_the_built_in_landmarker_is_taken_and_remembered(tmp_path: Path):
    clip = draw_clip(2, "neutral", seed=1, num_frames=8, size=96)
    (tmp_path / "clip.mp4").write_bytes(encode_video(clip.frames, 25))
    assert prepare(tmp_path / "clip.mp4", tmp_path / "out", crop_size=64).rows == 1
    options = yaml.safe_load((tmp_path / "out/prepare.yaml").read_text())
    assert (options["landmarker"], options["weights"]) == ("builtin", None)
    assert "by the landmarker `builtin`" in (tmp_path / "out/README.md").read_text()
    assert prepare(tmp_path / "clip.mp4", tmp_path / "out", crop_size=64, landmarker="builtin").already_done
    with pytest.raises(ValueError, match=r"other options \(landmarker, weights\)"):
        prepare(tmp_path / "clip.mp4", tmp_path / "out", crop_size=64, weights=tmp_path)
    (row,) = load_dataset(str(tmp_path / "out"), split="train").with_format("numpy")
    assert row["landmarks"].shape == (8, 68, 2) and row["landmarks"].min() > 0 and row["landmarks"].max() < 64


def test_a_set_half_done_by_onnx_goes_on_where_auto_is_the_default(tmp_path: Path):
    """The release before wrote `landmarker: onnx` with these weights; now that name is the default with weights."""
    out, weights = tmp_path / "out", tmp_path / "weights"
    (out / ".work").mkdir(parents=True)
    weights.mkdir()
    defaults = {
        "src": str(tmp_path / "clip.mp4"), "recipe": "folder", "landmarker": "onnx", "weights": str(weights),
        "crop_size": 64, "crop": "smooth", "detect_every": 1, "max_seconds": 60.0, "min_quality": 0.0,
        "max_pixels": 50_000_000, "media": "auto", "test_fraction": 0.0, "seed": 0,
    }  # fmt: skip
    (out / "prepare.yaml").write_text(yaml.safe_dump(defaults))
    with pytest.raises(ValueError, match="no YuNet detector"):  # the options match, the weights are next
        prepare(tmp_path / "clip.mp4", out, crop_size=64, weights=weights)
    with pytest.raises(ValueError, match=r"other options \(landmarker, weights\)"):
        prepare(tmp_path / "clip.mp4", out, crop_size=64)
