from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Sequence, Value, Video, load_dataset

from preface_hf.data.opening import open_prepared, open_splits
from preface_hf.features.labeled import open_split
from preface_hf.prepare.run import prepare
from preface_hf.recipes.hub import is_on_the_hub, medium_bytes
from tests.media import as_bytes, given_clip, pattern
from tests.recipes.trees import aside, labels, listing, notes, splits


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PREFACE_HF_CACHE", str(place))
    return place


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    features = Features(
        {
            "image": Image(), "mood": ClassLabel(names=["sad", "glad"]), "age": Value("int32"), "ok": Value("bool"),
            "fps": Value("float32"), "box": Sequence(Value("float32")),
        }
    )  # fmt: skip
    picture = {"bytes": as_bytes(pattern(1)[0], "png"), "path": "a.png"}
    rows = [
        {"image": picture, "mood": 1, "age": 30, "ok": True, "fps": 2.5, "box": [1.0]},
        {"image": None, "mood": 0, "age": None, "ok": None, "fps": None, "box": []},
    ]
    parts = {"train": rows, "test": rows[:1]}
    data = DatasetDict({split: Dataset.from_list(part, features=features) for split, part in parts.items()})
    for split, part in data.items():
        part.to_parquet(tmp_path / f"set/data/{split}-00000-of-00001.parquet")
    return tmp_path / "set"


def test_hub_stills_of_parquet_files(stills: Path, cache: Path):
    found = listing("hub", stills)
    assert splits(found) == {"test/0000000.png": "test", "train/0000000.png": "train"}
    assert found.columns == {"mood": "string", "age": "int64", "ok": "int64", "original_fps": "float64"}
    assert labels(found, "train/0000000.png") == {"mood": "glad", "age": 30, "ok": 1, "original_fps": 2.5}
    file = Path(found.root, "train/0000000.png")
    assert file.read_bytes() == as_bytes(pattern(1)[0], "png") and cache in file.parents
    assert "holds no media" in aside(found, "left out")["train/0000001.jpg"] and "columns box" in notes(found)
    before = file.stat().st_mtime_ns
    assert listing("hub", stills).root == found.root and file.stat().st_mtime_ns == before, "written once"
    with pytest.raises(ValueError, match="no column of videos"):
        listing("hub", stills, "video")


def test_hub_video_folder_through_prepare(tmp_path: Path):
    points = {name: given_clip(tmp_path / "all", f"{name}.mp4", frames=6, seed=n) for n, name in enumerate("abc")}
    for split, names in {"train": "ab", "test": "c"}.items():
        (tmp_path / "src" / split).mkdir(parents=True)
        for name in names:
            (tmp_path / f"all/{name}.mp4").rename(tmp_path / f"src/{split}/{name}.mp4")
    assert isinstance(load_dataset(str(tmp_path / "src"))["train"].features["video"], Video)
    options = {"recipe": "hub", "landmarker": "given", "crop_size": 32}
    with pytest.raises(ValueError, match="no face could be prepared"):
        prepare(tmp_path / "src", tmp_path / "bare", **options)
    assert "no landmarks beside it" in (tmp_path / "bare/report.jsonl").read_text()
    found = listing("hub", tmp_path / "src")
    assert splits(found) == {"test/0000000.mp4": "test", "train/0000000.mp4": "train", "train/0000001.mp4": "train"}
    for source, name in zip(splits(found), "cab", strict=True):
        np.save(Path(found.root, source).with_suffix(".npy"), points[name])
    done = prepare(tmp_path / "src", tmp_path / "out", **options)
    assert done.splits == {"train": 2, "test": 1}
    assert load_dataset(str(tmp_path / "out"), split="test")[0]["source"] == "test/0000000.mp4"


def test_hub_refuses_what_datasets_cannot_open(tmp_path: Path):
    with pytest.raises(ValueError, match="datasets cannot open"):
        listing("hub", tmp_path / "nowhere" / "at" / "all")


def test_hub_opens_no_file_outside_the_set(tmp_path: Path, monkeypatch):
    """Whoever wrote a data set wrote its paths: a secret of this machine must not get into the prepared set."""
    folder = tmp_path / "set"
    (folder / "pictures").mkdir(parents=True)
    for file in (folder / "pictures/in.png", tmp_path / "secret.png"):
        file.write_bytes(as_bytes(pattern(1)[0], "png"))
    (folder / "pictures/link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "set-beside").mkdir()
    (tmp_path / "set-beside/x.png").write_bytes((tmp_path / "secret.png").read_bytes())
    good = [str(folder / "pictures/in.png"), "pictures/in.png", str(folder / "pictures/../pictures/in.png")]
    bad = [
        str(tmp_path / "secret.png"),
        "../secret.png",
        str(folder / "../secret.png"),
        str(folder / "pictures/link.png"),
        str(tmp_path / "set-beside/x.png"),
        f"file://{tmp_path}/secret.png",
        f"file://{folder}/pictures/in.png",
        f"zip://secret.png::{tmp_path}/secret.zip",
        "http://127.0.0.1:9/secret.png",
        "hf://datasets/org/name@main/secret.png",
        "memory://secret.png",
        f"simplecache::file://{tmp_path}/secret.png",
        "pictures/\0.png",
        "nowhere.png",
    ]
    rows = [{"image": {"bytes": None, "path": path}} for path in (*good, *bad)]
    (folder / "data").mkdir()
    schema = Dataset.from_list(rows[:1], features=Features({"image": Image()})).data.schema
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "data/train-00000-of-00001.parquet")
    opened = []
    monkeypatch.setattr("fsspec.open", lambda path, *rest: opened.append(path))
    found = listing("hub", folder)
    assert [int(Path(source).stem) for source in splits(found)] == list(range(len(good)))
    reasons = aside(found, "left out")
    assert len(reasons) == len(bad) and not opened
    outside = [reason for reason in reasons.values() if "lies outside the data set and is not opened" in reason]
    assert len(outside) == len(bad) - 2
    assert len(list(Path(found.root).rglob("*.png"))) == len(good)


def test_hub_opens_files_of_a_set_on_the_hub_only(monkeypatch, tmp_path: Path):
    for path, allowed in {
        "hf://datasets/org/name@0a1b/data/a.mp4": True,
        "zip://a.mp4::hf://datasets/org/name@0a1b/data.zip": True,
        "hf://datasets/org/name-of-others@0a1b/a.mp4": False,
        "hf://datasets/org/name@0a1b/../../other/name/a.mp4": False,
        "zip://a.mp4::/etc/a.zip": False,
        "filecache::hf://datasets/org/name@0a1b/a.mp4": False,
        "https://huggingface.co/datasets/org/name/a.mp4": False,
    }.items():
        assert is_on_the_hub(path, Path("org/name")) is allowed, path


def test_prepare_opens_a_set_by_its_name_on_the_hub(monkeypatch, tmp_path: Path):
    names = []

    def load(name: str):
        names.append(name)
        raise ConnectionError("no network")

    monkeypatch.setattr("datasets.load_dataset_builder", load)
    with pytest.raises(ValueError, match=r"datasets cannot open org/name \(no network\)"):
        prepare("org/name", tmp_path / "out", recipe="hub", landmarker="given")
    assert names == ["org/name"]


class Counter(BaseHTTPRequestHandler):
    """A server that counts who asks it."""

    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(as_bytes(pattern(1)[0], "png"))

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def address(monkeypatch):
    """The address of a server that must not be asked."""
    Counter.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Counter) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
    assert not Counter.asked


def test_hub_reads_no_other_column_of_media(tmp_path: Path, address):
    """`datasets` opens the paths of every column of pictures that it decodes, the unused ones too."""
    good = {"bytes": as_bytes(pattern(1)[0], "png"), "path": None}
    rows = [
        {"image": good, "thumb": {"bytes": None, "path": f"{address}/a.png"}, "deep": [{"path": f"{address}/b.png"}]}
    ]
    rows += [{"image": good, "thumb": {"bytes": None, "path": str(tmp_path / "none.png")}, "deep": []}]
    features = Features({"image": Image(), "thumb": Image(), "deep": [Image()]})
    schema = features.arrow_schema
    (tmp_path / "set/data").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, tmp_path / "set/data/train-00000-of-00001.parquet")
    found = listing("hub", tmp_path / "set")
    assert len(found.items) == 2 and "columns deep, thumb" in notes(found)


def test_a_text_that_is_a_path_is_no_video(tmp_path: Path):
    (tmp_path / "set").mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "set/train.jsonl").write_text(f'{{"video": "{tmp_path}/secret.mp4"}}\n')
    with pytest.raises(ValueError, match="no column of video"):
        listing("hub", tmp_path / "set")


def test_paths_of_windows_and_of_homes_stay_inside(stills: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(stills.parent))
    (stills.parent / "secret.png").write_bytes(b"secret")
    for path in ("~/secret.png", "..\\secret.png", "C:\\secret.png", "\\\\host\\secret.png", "//secret.png"):
        with pytest.raises((ValueError, OSError)):
            medium_bytes({"bytes": None, "path": path}, stills)


def test_a_folder_of_links_into_its_blobs_is_whole(tmp_path: Path):
    """So huggingface_hub keeps what it fetches."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/0a").write_bytes(as_bytes(pattern(1)[0], "png"))
    (tmp_path / "snapshots/1b/train").mkdir(parents=True)
    (tmp_path / "snapshots/1b/train/a.png").symlink_to("../../../blobs/0a")
    assert len(listing("hub", tmp_path / "snapshots/1b").items) == 1


@pytest.mark.parametrize("place", ["{folder}/secret/*.parquet", "../secret/*.parquet", "{address}/a.parquet"])
def test_a_card_names_files_of_its_set_only(stills: Path, tmp_path: Path, address, place):
    (tmp_path / "secret").mkdir()
    (stills / "data/train-00000-of-00001.parquet").rename(tmp_path / "secret/a.parquet")
    place = place.format(folder=tmp_path, address=address)
    head = f"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {place!r}\n---\n"
    (stills / "README.md").write_text(head)
    doors = [
        lambda path: listing("hub", path),
        open_prepared,
        open_splits,
        lambda path: open_split(path, "train", "label", None),
    ]
    for door in doors:
        with pytest.raises(ValueError, match="lies outside the set|cannot open"):
            door(stills)
