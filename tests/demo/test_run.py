"""The demo from end to end, small: every step runs, and its table is complete."""

import pytest

from preface_hf.demo.run import HELD_OUT, SEEN, drawn_clips, run_demo


def test_test_people_and_expressions_are_held_out():
    clips = drawn_clips(people=10, test_people=4)
    train, test = ([clip for clip in clips if clip.split == split] for split in ("train", "test"))
    assert {clip.identity for clip in train}.isdisjoint(clip.identity for clip in test)
    assert {clip.expression for clip in train} == set(SEEN) and {clip.expression for clip in test} == set(HELD_OUT)
    assert (len(train), len(test)) == (20, 48)


def test_the_demo_runs(tmp_path, capsys):
    run_demo(tmp_path / "demo", people=8, test_people=3, max_steps=2)
    out = capsys.readouterr().out
    for word in ("pixels", "random encoder", "pretrained encoder", "chance", "identity", "expression"):
        assert word in out
    assert (tmp_path / "demo/drawn/features.parquet").exists()
    assert (tmp_path / "demo/drawn/prepared/preview.png").exists()
    with pytest.raises(ValueError, match="holds a demo already"):
        run_demo(tmp_path / "demo")
