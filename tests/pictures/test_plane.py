"""Features on a plane: planted groups lie apart in their colors, directions are those of the largest variance."""

import sys
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.colors import to_hex

from preface_hf.pictures.charts import png_of
from preface_hf.pictures.plane import CLASS_COLORS, features_figure, main_directions


@pytest.fixture
def planted():
    """60 features of width 8: three classes along the first axis, and a smaller spread along the second."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["glad", "sad", "calm"], [30, 20, 10])
    features = 0.01 * rng.normal(size=(60, 8))
    features[:, 0] += 5 * np.unique(labels, return_inverse=True)[1]
    features[:, 1] += rng.normal(size=60)
    return features, labels.tolist()


def texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_classes_lie_apart_and_are_told_by_color_and_shape(planted):
    figure = features_figure(*planted)
    axes = figure.axes[0]
    assert texts(figure) == ["calm (10)", "glad (30)", "sad (20)"]
    places = [cloud.get_offsets() for cloud in axes.collections]
    assert [len(place) for place in places] == [10, 30, 20]
    middles = [place[:, 0].mean() for place in places]
    assert abs(middles[0] - middles[1]) == pytest.approx(5, abs=0.1) and max(p[:, 0].std() for p in places) < 0.1
    assert [to_hex(cloud.get_facecolor()[0]) for cloud in axes.collections] == list(CLASS_COLORS[:3])
    shapes = {tuple(map(tuple, cloud.get_paths()[0].vertices)) for cloud in axes.collections}
    assert len(shapes) == 3
    share = float(axes.get_xlabel().split("(")[1].split(" %")[0])
    assert share == pytest.approx(100 * planted[0][:, 0].var() / planted[0].var(axis=0).sum(), abs=1)
    assert axes.get_title() == "Features: 60 items" and png_of(figure).startswith(b"\x89PNG")


def test_directions_do_not_flip_and_numbers_have_a_scale(planted):
    points, shares = main_directions(planted[0], 2)
    again, _ = main_directions(planted[0][::-1].copy(), 2)
    np.testing.assert_allclose(points, again[::-1], atol=1e-9)
    assert shares[0] > shares[1] > 0 and shares.sum() <= 1
    figure = features_figure(planted[0], np.linspace(20, 80, 60).tolist(), title="Ages")
    assert len(figure.axes) == 2 and not figure.legends, "a bar of colors in place of names"
    assert figure.axes[0].collections[0].get_array().tolist() == np.linspace(20, 80, 60).tolist()


def test_many_classes_and_missing_labels(planted):
    labels = [None, *(f"person {n % 20:02}" for n in range(59))]
    figure = features_figure(planted[0], labels)
    assert len(texts(figure)) == 13 and texts(figure)[0] == "8 smaller classes (23)"
    assert figure.axes[0].get_title() == "Features: 59 items, 1 without a label left out"


def test_a_file_of_extract_gives_the_mean_of_each_face(tmp_path):
    rows = {"source": ["a", "a", "b", "b", "c"], "track": [0, 0, 0, 1, 0], "num_frames": [3, 1, 4, 4, 4],
            "feature": [[4.0, 0], [0.0, 4], [0.0, 1], [9.0, 9], [5.0, 5]],
            "mood": ["x", "x", "y", "y", "y"]}  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "f.parquet")
    figure = features_figure(tmp_path / "f.parquet", "mood")
    assert texts(figure) == ["x (1)", "y (3)"]
    expected, _ = main_directions(np.array([[3.0, 1], [0.0, 1], [9.0, 9], [5.0, 5]]), 2)
    found = np.concatenate([cloud.get_offsets() for cloud in figure.axes[0].collections])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match="no column 'age', but source, track"):
        features_figure(tmp_path / "f.parquet", "age")
    with pytest.raises(ValueError, match="give a file of `extract`"):
        features_figure(tmp_path / "none.parquet", "mood")


def test_what_cannot_be_drawn_is_refused(planted, monkeypatch):
    with pytest.raises(ValueError, match="60 features and 59 known labels"):
        features_figure(planted[0], planted[1][1:])
    with pytest.raises(ValueError, match="choose pca or umap"):
        features_figure(*planted, how="tsne")
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ValueError, match="pip install umap-learn"):
        features_figure(*planted, how="umap")


def test_umap_is_asked_with_a_seed_and_few_neighbors(planted, monkeypatch):
    asked = {}

    class UMAP:
        def __init__(self, **settings):
            asked.update(settings)

        def fit_transform(self, features):
            return features[:, :2]

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    figure = features_figure(planted[0][:9], planted[1][:9], how="umap")
    assert asked == {"n_neighbors": 8, "random_state": 0} and "UMAP 1" in figure.axes[0].get_xlabel()
