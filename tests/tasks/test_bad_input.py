"""What users give by mistake, from the command line: one sentence and exit code 2, or what is left out is counted."""

import json

import numpy as np
import pytest
from transformers import AutoModelForVideoClassification

from preface_hf.cli import main
from preface_hf.synthetic import draw_clip
from preface_hf.video.encoding import encode_video
from tests.tasks.test_clips import write
from tests.tasks.test_finetune import encoder, features_cache, read  # noqa: F401


PARTS = ("train", "validation", "test")


def finetuned(capsys, model, data, run, *more, protocol="linear"):
    """Exit code, and the last line of stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["finetune", str(model), "--data", str(data), "--output-dir", str(run), "--protocol", protocol,
              "--max-steps", "2", "--windows", "1", *more])  # fmt: skip
    # Loading shows a bar, which ends with a carriage return.
    said = capsys.readouterr().err.split("\r")[-1].split("it/s]")[-1].strip()
    return ended.value.code, said


def mood(train, test):
    """Cells of the column `mood` of six rows each, of as many people."""
    rows = {"train": train, "validation": test, "test": test}
    return lambda split, n: {"mood": rows[split][n % len(rows[split])], "person": f"{split}{n}"}


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (["glad"], ["glad"], "has one class of 'mood' at most ('glad'): nothing can be told apart"),
        (["glad", "sad"], ["glad", "angry"], "has 'mood' 'angry', which no row of 'train' has ('glad', 'sad')"),
        (["Happy", "sad"], ["happy ", "sad"], "has 'mood' 'happy ', which no row of 'train' has ('Happy', 'sad')"),
        ([0.5, 1.25], [0.5, 1.25], "'mood' holds numbers such as 0.5, a scale and no classes"),
        ([float("nan")] * 2, [0.0, 1.0], "has one class of 'mood' at most (none)"),
    ],
)
def test_labels_that_cannot_be_learned(encoder, prepared, tmp_path, capsys, train, test, message):  # noqa: F811
    data = write(prepared, tmp_path / "set", mood(train, test))
    code, said = finetuned(capsys, encoder, data, tmp_path / "run", "--label", "mood", "--group", "person")
    assert code == 2 and message in said and "\n" not in said
    assert not (tmp_path / "run").exists()


def test_a_class_that_few_labels_leave_out_is_kept(encoder, prepared, tmp_path, capsys):  # noqa: F811
    """A hundredth of six rows is one of each class."""
    data = write(prepared, tmp_path / "set", mood(["glad", "sad", "angry"], ["glad", "sad", "angry"]), PARTS)
    more = ("--label", "mood", "--labels", "1%", "--group", "person")
    code, said = finetuned(capsys, encoder, data, tmp_path / "run", *more)
    assert code == 0, said
    assert read(tmp_path / "run", "finetune.json")["splits"]["train"]["rows"] == 3
    assert read(tmp_path / "run", "finetune.json")["names"] == ["angry", "glad", "sad"]


def test_integers_are_categories_and_empty_cells_are_counted(encoder, prepared, tmp_path, capsys):  # noqa: F811
    whole = write(prepared, tmp_path / "whole", mood([3, 7, 5], [5, 3, 7]), PARTS)
    code, said = finetuned(capsys, encoder, whole, tmp_path / "run", "--label", "mood", "--group", "person")
    assert code == 0, said
    names = AutoModelForVideoClassification.from_pretrained(tmp_path / "run").config.id2label
    assert names == {0: "3", 1: "5", 2: "7"} and read(tmp_path / "run", "scores-test.json")["left_out"] == 0
    empty = [0.0, 1.0, float("nan")]
    data = write(prepared, tmp_path / "set", mood([0.0, 1.0, 0.0, 1.0, 0.0, float("nan")], empty), PARTS)
    code, said = finetuned(capsys, encoder, data, tmp_path / "other", "--label", "mood", "--group", "person")
    assert code == 0, said
    scores, told = (read(tmp_path / "other", name) for name in ("scores-test.json", "finetune.json"))
    assert (scores["count"], scores["left_out"]) == (4, 2) and "| 4 | 2 |" in (
        tmp_path / "other/table-test.md"
    ).read_text(encoding="utf-8")
    assert told["splits"]["train"]["left_out"] == 1 and told["splits"]["test"]["left_out"] == 2


def test_people_in_two_splits_are_named_unless_one_insists(encoder, prepared, tmp_path, capsys):  # noqa: F811
    cells = lambda split, n: {"mood": ["glad", "sad"][n % 2], "person": f"p{n + 3 * (split == 'test')}"}  # noqa: E731
    data = write(prepared, tmp_path / "set", cells)
    more = ("--label", "mood", "--group", "person")
    code, said = finetuned(capsys, encoder, data, tmp_path / "run", *more)
    assert code == 2 and "p3, p4, p5 are in 'train' and in 'test'" in said and "--allow-overlap" in said
    code, said = finetuned(capsys, encoder, data, tmp_path / "run", *more, "--allow-overlap")
    assert code == 0, said


def test_videos_without_a_face_are_listed_and_counted(encoder, tmp_path, capsys):  # noqa: F811
    """A gray video and one that is none: in the set's report, in no part, and in the results by their number."""
    for person in range(8):
        file = tmp_path / "videos" / ("calm", "glad")[person % 2] / f"{person}.mp4"
        file.parent.mkdir(parents=True, exist_ok=True)
        clip = draw_clip(person, ("neutral", "happiness")[person % 2], person, num_frames=2, size=64)
        file.write_bytes(encode_video(clip.frames, 25))
    (tmp_path / "videos/calm/gray.mp4").write_bytes(encode_video(np.full((4, 64, 64, 3), 90, np.uint8), 25))
    (tmp_path / "videos/glad/text.mp4").write_text("no video")
    run = tmp_path / "run"
    code, said = finetuned(capsys, encoder, tmp_path / "videos", run, "--label", "label")
    assert code == 0, said
    lines = [json.loads(line) for line in (run / "set/report.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["source"] for line in lines if line["status"] == "left out"} == {"calm/gray.mp4", "glad/text.mp4"}
    told = read(run, "finetune.json")
    assert sum(part["rows"] for part in told["splits"].values()) == 8
    assert read(run, "scores-test.json")["files_left_out"] == 2
    table = (run / "table-test.md").read_text(encoding="utf-8")
    assert "2 files show no face or cannot be read (report.jsonl): no score has them." in table
    assert "| files_left_out |" not in table


@pytest.fixture(scope="module")
def tuned(encoder, prepared, tmp_path_factory):  # noqa: F811
    """A run on three expressions."""
    run = tmp_path_factory.mktemp("tuned") / "run"
    with pytest.raises(SystemExit) as ended:
        main(["finetune", str(encoder), "--data", str(prepared), "--label", "expression", "--output-dir", str(run),
              "--protocol", "linear", "--windows", "1"])  # fmt: skip
    assert ended.value.code == 0
    return run


def test_a_head_of_other_labels_is_named(tuned, prepared, tmp_path, capsys):
    data = write(prepared, tmp_path / "set", mood(["glad", "sad"], ["glad", "sad"]))
    code, said = finetuned(capsys, tuned, data, tmp_path / "run", "--label", "mood", "--group", "person")
    assert code == 2 and "has a head for happiness, sadness, surprise (pooling grid), and the labels need one for "
    assert "glad, sad (pooling grid): give the encoder that it was fine-tuned from" in said
    code, said = finetuned(capsys, tuned, prepared, tmp_path / "run", "--label", "expression", "--pooling", "mean")
    assert code == 2 and "(pooling mean): give the encoder" in said and not (tmp_path / "run").exists()
    # The same labels train further.
    code, said = finetuned(capsys, tuned, prepared, tmp_path / "run", "--label", "expression", protocol="full")
    assert code == 0, said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--label", "mood"], "mood='glad' is none of the classes 'happiness', 'sadness', 'surprise'"),
        (["--label", "landmarks"], "was trained for expression, and landmarks asks for landmarks"),
        (["--task", "300w"], "was trained for expression, and 300w asks for landmarks: give a run of that"),
        (["--task", "celeba"], "the model's outputs are not those of the task 'celeba'"),
        (["--label", "expression"], "has no column 'expression'"),
    ],
)
def test_a_set_that_a_model_cannot_be_evaluated_on(tuned, prepared, tmp_path, capsys, more, message):
    data = write(prepared, tmp_path / "set", mood(["glad", "sad"], ["glad", "sad"]))
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(tuned), "--data", str(data), "--output-dir", str(tmp_path / "out"), *more])
    said = capsys.readouterr().err.split("\r")[-1].split("it/s]")[-1].strip()
    assert ended.value.code == 2 and message in said and "\n" not in said
    assert not (tmp_path / "out").exists()
