"""Scores beside each other: points and bars at their numbers, the best first, names that do not touch."""

import numpy as np
import pytest

from preface_hf.pictures.charts import png_of
from preface_hf.pictures.scores import Score, comparison_figure, ranked, separated, shares_figure


def test_lines_hold_their_scores_and_are_named_at_their_ends():
    lines = {
        "pretrained": {1.0: Score(60, 55, 66), 100.0: Score(82, 81, 83)},
        "random": {100.0: Score(81.8, 80, 84), 1.0: Score(50, 45, 52)},
    }
    figure = shares_figure(lines, "labels, %", "WAR, %", "a task", "Bars: of 3 seeds.")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log" and [t.get_text() for t in axes.get_xticklabels()] == ["1", "100"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("labels, %", "WAR, %", "a task")
    for drawn, (name, line) in zip(axes.containers, lines.items(), strict=True):
        points, _, (bars,) = drawn
        assert drawn.get_label() == name and points.get_ydata().tolist() == [line[1.0].value, line[100.0].value]
        ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
        assert ends == [[line[x].low, line[x].high] for x in (1.0, 100.0)]
        assert points.get_xdata() == pytest.approx([1, 100], rel=0.04)
    assert len({points.get_linestyle() for points, *_ in axes.containers}) == 2, "not by color alone"
    png_of(figure)
    written = [text for text in axes.texts if text.get_text() in lines]
    boxes = {text.get_text(): text.get_window_extent() for text in written}
    assert boxes["pretrained"].y0 >= boxes["random"].y1, "the better one above, and they do not touch"
    assert all(box.x1 <= figure.bbox.width for box in boxes.values())
    assert figure._supxlabel.get_text() == "Bars: of 3 seeds."


def test_places_keep_apart():
    wanted = np.array([0.1, 0.5, 0.5, 0.52, 0.9])
    places = separated(wanted, 0.1)
    assert (np.diff(places) >= 0.1 - 1e-9).all()
    assert places[0] == 0.1 and places[-1] == 0.9 and places[1:4].mean() == pytest.approx(wanted[1:4].mean())
    tight = separated(np.zeros(4), 0.1)
    np.testing.assert_allclose(tight, [-0.15, -0.05, 0.05, 0.15])


def test_methods_stand_by_rank_with_their_intervals():
    scores = {
        "moods": {"worst": Score(40, 38, 42), "best": Score(70, 66, 71), "middle": Score(60, 59, 61)},
        "points": {"best": Score(0.05, 0.04, 0.06), "worst": Score(0.09, 0.08, 0.11)},
    }
    assert ranked(scores, ["points"]) == ["best", "middle", "worst"]
    figure = comparison_figure(scores, "scores", "Bars: folds.", {"moods": {"chance": 25.0}}, ["points"])
    moods, points = figure.axes
    assert [label.get_text() for label in moods.get_yticklabels()] == ["best", "middle", "worst"]
    assert moods.get_ylim()[0] > moods.get_ylim()[1], "the first at the top"
    dots = [(c[0].get_xdata()[0], c[0].get_ydata()[0]) for c in moods.containers]
    assert dots == [(70, 0), (60, 1), (40, 2)]
    bars = [c[2][0].get_segments()[0][:, 0].tolist() for c in moods.containers]
    np.testing.assert_allclose(bars, [[66, 71], [59, 61], [38, 42]])
    assert [t.get_text() for t in moods.texts] == ["70.0", "60.0", "40.0"]
    assert [t.get_text() for t in points.texts] == ["0.05", "not run", "0.09"]
    assert points.get_title() == "points, less is better" and moods.get_title() == "moods"
    assert moods.get_legend().get_texts()[0].get_text() == "chance 25.0"
    assert figure._supxlabel.get_text() == "scores. Bars: folds." and png_of(figure).startswith(b"\x89PNG")
