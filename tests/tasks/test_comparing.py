"""Fine-tuned runs beside each other: what is one point, what bars are, and what does not go together."""

import json

import pytest

from preface_hf.tasks.results.comparing import few_labels_figure, methods_figure


def write(folder, values, start="pretrained", labels="10%", seed=0, protocol="full", task="expression", **about):
    folder.mkdir(parents=True)
    known = {
        "task": task, "name": "moods", "columns": ["mood"], "names": ["a", "b"], "protocol": protocol,
        "model": "/runs/vit-b/final", "data": "/set", "labels": labels, "shots": None, "seed": seed, "splits": {},
        "settings": {"random_weights": start == "random"},
    }  # fmt: skip
    (folder / "finetune.json").write_text(json.dumps(known | about))
    (folder / "scores-test.json").write_text(json.dumps(values))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two starts, two shares, three seeds each: a start's scores are its own number and the seed's."""
    return [
        write(
            tmp_path / f"{start}-{labels}-{seed}", {"war": base + step + seed / 100, "uar": 0.5}, start, labels, seed
        )
        for start, base in (("random", 0.4), ("pretrained", 0.6))
        for labels, step in (("10%", 0.0), ("100%", 0.2))
        for seed in range(3)
    ]


def lines(figure):
    return {
        drawn.get_label(): (drawn[0].get_ydata(), [s[:, 1].tolist() for s in drawn[2][0].get_segments()])
        for drawn in figure.axes[0].containers
    }


def test_seeds_make_one_point_from_the_lowest_to_the_highest(runs):
    figure = few_labels_figure(runs)
    drawn = lines(figure)
    assert list(drawn) == ["pretrained, all weights", "random, all weights"], "the better at the top"
    values, bars = drawn["pretrained, all weights"]
    assert values == pytest.approx([61, 81]) and bars[0] == pytest.approx([60, 62])
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["10", "100"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("right answers (WAR), %", "labels, % of all")
    assert figure._supxlabel.get_text() == "Mean of 3 seeds; bars: lowest to highest."
    assert lines(few_labels_figure(runs, "uar"))["random, all weights"][0] == pytest.approx([50, 50])


def test_one_seed_has_the_interval_of_its_scores(tmp_path):
    values = {"war": 0.5, "war_low": 0.4, "war_high": 0.7}
    shots = [write(tmp_path / str(n), values, shots=n, labels="100%") for n in (1, 5)]
    figure = few_labels_figure(shots)
    values, bars = lines(figure)["pretrained, all weights"]
    assert values == pytest.approx([50, 50]) and bars[0] == pytest.approx([40, 70])
    assert figure.axes[0].get_xlabel() == "labeled rows of each class"
    assert figure._supxlabel.get_text() == "One seed: bars are 95 % intervals over people."


def test_methods_are_compared_with_the_most_labels(runs, tmp_path):
    points = [
        write(tmp_path / f"points-{name}", {"nme": value, "nme_low": value, "nme_high": value}, task="landmarks",
              labels="100%", name="faces", protocol=name)
        for name, value in (("linear", 0.09), ("full", 0.05))
    ]  # fmt: skip
    figure = methods_figure([*runs, *points])
    moods, faces = figure.axes
    assert moods.get_title() == "moods: right answers (WAR), %"
    assert faces.get_title() == "faces: error of points (NME), less is better"
    names = [label.get_text() for label in moods.get_yticklabels()]
    assert names[0] == "pretrained, all weights" and set(names) == {
        names[0],
        "random, all weights",
        "pretrained, linear",
    }
    assert [c[0].get_xdata()[0] for c in moods.containers] == pytest.approx([81, 61])
    assert [t.get_text() for t in faces.texts if t.get_text() != "not run"] == ["0.05", "0.09"]
    said = " ".join(figure._supxlabel.get_text().split())
    assert "with 100 % of the labels." in said and "3 seeds" in said and "One seed" in said


def test_several_models_are_named(tmp_path):
    other = write(tmp_path / "other", {"war": 0.3}, model="/runs/vit-s/final")
    figure = methods_figure([write(tmp_path / "one", {"war": 0.5}), other])
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["vit-b, all weights", "vit-s, all weights"]


def test_pixels_are_a_line_of_their_own(runs, tmp_path):
    pixels = [
        write(tmp_path / f"pixels-{labels}", {"war": 0.3}, labels=labels, protocol="linear", model="pixels")
        for labels in ("10%", "100%")
    ]
    drawn = lines(few_labels_figure([*runs, *pixels]))
    assert list(drawn) == ["pretrained, all weights", "random, all weights", "pixels, linear"]
    assert drawn["pixels, linear"][0] == pytest.approx([30, 30])


def test_what_does_not_go_together_is_one_sentence(runs, tmp_path):
    with pytest.raises(ValueError, match="no runs are given"):
        few_labels_figure([])
    with pytest.raises(ValueError, match="holds no fine-tuned run"):
        few_labels_figure([tmp_path])
    again = write(tmp_path / "again", {"war": 0.5})
    with pytest.raises(ValueError, match="are both pretrained, all weights on moods with labels 10 and seed 0"):
        few_labels_figure([*runs, again])
    with pytest.raises(ValueError, match="the runs are of faces and moods"):
        few_labels_figure([*runs, write(tmp_path / "faces", {"war": 0.5}, name="faces")])
    with pytest.raises(ValueError, match="some --shots"):
        few_labels_figure([*runs, write(tmp_path / "shots", {"war": 0.5}, shots=5)])
    with pytest.raises(ValueError, match="has no score 'war' of its test part"):
        methods_figure([write(tmp_path / "empty", {})])
