"""Charts hold the numbers they are of, and their labels fit, with few and with many classes."""

import numpy as np
import pytest

from preface_hf.pictures.charts import confusion_figure, error_figure, png_of, reliability_figure


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_cells_show_counts_and_row_shares():
    figure = confusion_figure(np.array([[3, 1], [0, 0]]), ["glad", "sad"])
    assert texts(figure) == ["3\n75 %", "1\n25 %"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["glad (4)", "sad (0)"]
    assert figure.axes[0].images[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]


@pytest.mark.parametrize("classes", [2, 7, 40])
def test_labels_lie_inside_and_do_not_touch(classes):
    names = [f"class with a long name {n}" for n in range(classes)]
    figure = confusion_figure(np.eye(classes, dtype=int) * 1000, names)
    assert png_of(figure).startswith(b"\x89PNG")
    axes = figure.axes[0]
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    assert all(above.y0 >= below.y1 for above, below in zip(boxes, boxes[1:], strict=False))
    assert all(label.get_window_extent().y0 >= 0 for label in axes.get_xticklabels())
    assert len(texts(figure)) == (classes if classes <= 12 else 0)


def test_the_error_curve_steps_at_each_error():
    figure = error_figure(np.array([0.2, 0.05, 0.1]), 0.1)
    x, y = figure.axes[0].lines[0].get_data()
    assert x[:4].tolist() == [0, 0.05, 0.1, 0.2] and y[:4].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert figure.axes[0].lines[1].get_xdata()[0] == 0.1


def test_the_reliability_chart_skips_empty_bins():
    figure = reliability_figure(np.array([0.2, np.nan]), np.array([0.5, np.nan]), np.array([4, 0]), 0.3, "p(fake)")
    assert figure.axes[0].lines[1].get_xdata().tolist() == [0.2]
    assert figure.axes[0].get_legend().get_title().get_text() == "ECE 0.300"
    assert png_of(figure).startswith(b"\x89PNG")
