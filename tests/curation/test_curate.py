"""Curation of real prepared sets: what was planted goes, and nothing else; what is left is a prepared set."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset

from preface_hf.cli import main
from preface_hf.curation import curate as curation
from preface_hf.curation.curate import curate
from preface_hf.data import shards
from preface_hf.data.opening import open_splits, stream_rows
from preface_hf.features.encoders import pixel_encoder
from preface_hf.prepare.run import prepare
from preface_hf.synthetic import draw_clip
from preface_hf.video.decoding import open_video
from preface_hf.video.encoding import encode_video
from tests.features.test_extract import checkpoint  # noqa: F401


def change_rows(folder, change):
    """Write a prepared set's rows again after `change(row)`."""
    for file in (folder / "data").glob("*.parquet"):
        rows = list(shards.read_rows(file))
        for row in rows:
            row["landmarks"] = np.asarray(row["landmarks"], np.float32)
            change(row)
        shards.write_rows(file, rows, next(iter(load_dataset(str(folder), streaming=True).values())).features)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Six people; 2 stands there again as the same file, 3 encoded again, 4's face is small, 5's file is damaged."""
    folder = tmp_path_factory.mktemp("pool")
    (folder / "videos").mkdir()
    for person in range(6):
        clip = draw_clip(person, "neutral", seed=person, num_frames=10, size=64)
        video = encode_video(clip.frames, 25)
        copies = {f"{person}.mp4": video}
        if person == 2:
            copies["2_same.mp4"] = video
        if person == 3:
            copies["3_again.mp4"] = encode_video(open_video(video).frames(range(10)), 25)
        for name, content in copies.items():
            (folder / "videos" / name).write_bytes(content)
            np.save((folder / "videos" / name).with_suffix(".npy"), clip.landmarks)
    prepare(folder / "videos", folder / "set", landmarker="given", crop_size=64)

    def damage(row):
        if row["source"] == "4.mp4":
            row["landmarks"] *= 0.2
        if row["source"] == "5.mp4":
            row["video"]["bytes"] = b"no video"

    change_rows(folder / "set", damage)
    text = (folder / "set/README.md").read_text()
    (folder / "set/README.md").write_text(text.replace("license: unknown", "license: cc-by-4.0") + "\nOwned by Ada.\n")
    return folder / "set"


def write_features(file, ids, features, **columns):
    table = pa.table(
        {"instance_id": np.asarray(ids), **columns, "feature": [list(map(float, row)) for row in features]}
    )
    pq.write_table(table, file)
    return file


def pixel_features(path, file):
    rows = [row for data in open_splits(path).values() for row in stream_rows(data.rows)]
    clips = []
    for row in rows:
        try:
            video = open_video(row["video"]["bytes"])
            clips.append(video.frames(range(video.num_frames)))
        except ValueError:
            clips.append(np.zeros((1, 64, 64, 3), np.uint8))
    ids, sources = [row["instance_id"] for row in rows], [row["source"] for row in rows]
    return write_features(file, ids, pixel_encoder(clips), source=sources)


def report(out):
    return [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]


def by_source(out):
    return {line["source"]: line for line in report(out)}


PLANTED = {"2_same.mp4": "near-duplicate", "3_again.mp4": "near-duplicate", "4.mp4": "low face coverage"}


@pytest.mark.parametrize("kind", ["model", "features"])
def test_what_was_planted_goes_and_nothing_else(kind, pool, checkpoint, tmp_path):  # noqa: F811
    how = {kind: checkpoint if kind == "model" else pixel_features(pool, tmp_path / "pool.parquet")}
    done = curate(pool, tmp_path / "out", **how)
    lines = by_source(tmp_path / "out")
    assert {name: line["reason"] for name, line in lines.items() if line["reason"] and name != "5.mp4"} == PLANTED
    assert lines["5.mp4"]["reason"].startswith("cannot be decoded: ")
    assert lines["2_same.mp4"]["neighbor"] == lines["2.mp4"]["pool_id"] and lines["2_same.mp4"]["similarity"] > 0.998
    assert lines["3_again.mp4"]["neighbor"] == lines["3.mp4"]["pool_id"]
    assert lines["4.mp4"]["coverage"] < 0.1 < lines["0.mp4"]["coverage"]
    assert done.splits == {"train": 4}
    assert done.dropped == {"near-duplicate": 2, "low face coverage": 1, "cannot be decoded": 1}


def test_what_is_left_is_a_prepared_set(pool, checkpoint, tmp_path):  # noqa: F811
    curate(pool, tmp_path / "out", model=checkpoint)
    before = {row["instance_id"]: row for row in load_dataset(str(pool), split="train")}
    after = list(load_dataset(str(tmp_path / "out"), split="train"))
    assert [row["instance_id"] for row in after] == [0, 1, 2, 3]
    assert [row["source"] for row in after] == ["0.mp4", "1.mp4", "2.mp4", "3.mp4"]
    for row in after:
        old = before[row.pop("pool_id")]
        assert {**row, "instance_id": old["instance_id"]} == old
    kept = [line for line in report(tmp_path / "out") if line["status"] == "kept"]
    assert [line["instance_id"] for line in kept] == [0, 1, 2, 3] and len(report(tmp_path / "out")) == len(before)
    text = (tmp_path / "out/README.md").read_text()
    assert "license: cc-by-4.0" in text and "Owned by Ada." in text and "4 of 8 rows" in text
    assert yaml.safe_load((tmp_path / "out/curate.yaml").read_text())["max_similarity"] == 0.95
    again = curate(tmp_path / "out", tmp_path / "again", model=checkpoint)
    assert again.splits == {"train": 4} and again.dropped == {}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again", "out"]


def identity_features(path, file, people=None):
    """One direction for each person, and a little noise."""
    rows = [row for data in open_splits(path).values() for row in stream_rows(data.rows)]
    rows = [row for row in rows if people is None or row["identity"] in people]
    names = sorted({row["identity"] for data in open_splits(path).values() for row in stream_rows(data.rows)})
    noise = np.random.default_rng(len(rows)).normal(size=(len(rows), len(names)))
    features = np.eye(len(names))[[names.index(row["identity"]) for row in rows]] + 0.1 * noise
    return write_features(file, [row["instance_id"] for row in rows], features)


def test_a_query_brings_its_people_of_both_splits(prepared, tmp_path):
    pool_file = identity_features(prepared, tmp_path / "pool.parquet")
    names = sorted({row["identity"] for split in load_dataset(str(prepared)).values() for row in split})
    query = identity_features(prepared, tmp_path / "query.parquet", people={names[0], names[7]})
    done = curate(prepared, tmp_path / "out", features=pool_file, query=query, neighbors=2, max_similarity=1)
    assert done.splits == {"train": 2, "test": 2} and done.dropped == {"far from the query": 20}
    sets = load_dataset(str(tmp_path / "out"))
    assert set(sets["train"]["identity"]) == {names[0]} and set(sets["test"]["identity"]) == {names[7]}
    assert [*sets["train"]["instance_id"], *sets["test"]["instance_id"]] == [0, 1, 2, 3]


def test_the_command_line_with_a_query(pool, prepared, checkpoint, tmp_path, capsys):  # noqa: F811
    options = ["--model", checkpoint, "--query", pool, "--neighbors", 1, "--max-similarity", "0.99"]
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in ["curate", prepared, tmp_path / "out", *options]])
    assert stop.value.code == 2 and "of the query" in capsys.readouterr().err  # its damaged row
    assert not list(tmp_path.iterdir())
    options[3] = prepared
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in ["curate", prepared, tmp_path / "out", *options]])
    assert stop.value.code == 0 and "12 rows in train, 12 rows in test" in capsys.readouterr().out
    assert all(line["neighbor"] == line["pool_id"] for line in report(tmp_path / "out"))


def test_windows_in_batches_of_any_size_give_the_same(pool, checkpoint):  # noqa: F811
    encoder = curation.load_encoder(checkpoint)
    (rows, one), (_, many) = (curation.embed(open_splits(pool), encoder, size) for size in (1, 7))
    np.testing.assert_allclose(one, many, atol=1e-5)
    assert one.shape == (8, 32) and len(rows) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_similarity": 1.2}, r"max_similarity 1.2 is no cosine.*\[-1, 1\]"),
        ({"max_similarity": float("nan")}, "max_similarity nan is no cosine"),
        ({"min_coverage": -0.1}, "min_coverage -0.1 is no share"),
        ({"min_coverage": 0.99}, "no row of .* is left, the first for low face coverage: lower min_coverage"),
        ({"neighbors": 0}, "neighbors 0 .* at least 1"),
        ({"backend": "annoy"}, "unknown backend 'annoy'"),
        ({"features": None}, "give either model"),
        ({"model": "somewhere"}, "and not both"),
        ({"features": "nowhere.parquet"}, "cannot read features from .*nowhere.parquet"),
        ({"query": "nowhere.parquet"}, "cannot read features from .*nowhere.parquet"),
        ({"features": None, "model": "/nowhere"}, "cannot open '/nowhere' as a model"),
    ],
)
def test_options_without_sense_are_named_and_nothing_is_written(options, message, prepared, tmp_path):
    (tmp_path / "in").mkdir()
    chosen = {"features": identity_features(prepared, tmp_path / "in/pool.parquet"), **options}
    with pytest.raises(ValueError, match=message):
        curate(prepared, tmp_path / "out", **chosen)
    assert [file.name for file in tmp_path.iterdir()] == ["in"]


def test_features_of_another_set_are_refused(pool, prepared, tmp_path):
    def refuse(message, file, path=pool):
        with pytest.raises(ValueError, match=message):
            curate(path, tmp_path / "out", features=file)
        assert not (tmp_path / "out").exists()

    refuse("another set: its instance ids", identity_features(prepared, tmp_path / "a.parquet"))
    pixels = pixel_features(pool, tmp_path / "b.parquet")
    refuse("another set: row 0 is '0.mp4' there", pixels, prepared)
    ids = np.arange(8)
    refuse("no feature of row 3", write_features(tmp_path / "c.parquet", ids[:3], np.ones((3, 4))))
    refuse("not finite", write_features(tmp_path / "d.parquet", ids, np.full((8, 4), np.nan)))
    refuse("cannot read features", write_features(tmp_path / "e.parquet", ids, [[1.0] * (2 + i % 2) for i in ids]))
    refuse("no row", write_features(tmp_path / "f.parquet", ids[:0], np.ones((0, 4))))
    pq.write_table(pa.table({"source": ["a"]}), tmp_path / "g.parquet")
    refuse("no column instance_id, feature", tmp_path / "g.parquet")
    short = write_features(tmp_path / "short.parquet", ids, np.ones((8, 4)))
    with pytest.raises(ValueError, match="768 and 4 wide"):
        curate(pool, tmp_path / "out", features=pixels, query=short)


def test_a_pool_or_query_that_is_none_and_an_out_that_is_taken(prepared, checkpoint, tmp_path):  # noqa: F811
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="empty' as a prepared set"):
        curate(tmp_path / "empty", tmp_path / "out", model=checkpoint)
    with pytest.raises(ValueError, match="empty' as a prepared set"):
        curate(prepared, tmp_path / "out", model=checkpoint, query=tmp_path / "empty")
    with pytest.raises(ValueError, match="taken' exists"):
        curate(prepared, tmp_path / "taken", model=checkpoint)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["empty", "taken"]
    assert (tmp_path / "taken/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("failure", ["raises", "nan"])
def test_an_encoder_that_fails_is_an_error_of_one_sentence(failure, prepared, tmp_path, monkeypatch):
    class Broken:
        clip = (4, 2)

        def __call__(self, clips):
            if failure == "raises":
                raise RuntimeError("out of\nmemory")
            return np.full((len(clips), 4), np.nan, np.float32)

    monkeypatch.setattr(curation, "load_encoder", lambda path: Broken())
    with pytest.raises(ValueError, match={"raises": "failed at row 0 .out of memory", "nan": "row 0"}[failure]):
        curate(prepared, tmp_path / "out", model="broken")
    assert not list(tmp_path.iterdir())


def test_a_killed_run_leaves_no_out_and_the_next_starts_again(pool, tmp_path, monkeypatch):
    pixels = pixel_features(pool, tmp_path / "pool.parquet")
    with monkeypatch.context() as patch:
        patch.setattr("preface_hf.curation.writing.curated_readme", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            curate(pool, tmp_path / "out", features=pixels)
    assert [file.name for file in tmp_path.iterdir()] == ["pool.parquet"]
    (tmp_path / ".building-out/data").mkdir(parents=True)  # what a kill leaves
    (tmp_path / ".building-out/data/train-00000.parquet").write_text("half")
    (tmp_path / "out").mkdir()  # empty: may be taken
    assert curate(pool, tmp_path / "out", features=pixels).splits == {"train": 4}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "pool.parquet"]
