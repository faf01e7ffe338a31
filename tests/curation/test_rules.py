"""The rules of curation beside slow loops: coverage, neighbors, near-duplicates, retrieval."""

import importlib.util

import numpy as np
import pytest

from preface_hf.curation import neighbors
from preface_hf.curation.neighbors import near_duplicates, nearest, unit_rows
from preface_hf.curation.rules import FAR, NEAR_DUPLICATE, FeatureTable, PoolRow, choose, common_center, face_coverage


BACKENDS = ["numpy"] + (["faiss"] if importlib.util.find_spec("faiss") else [])


def made_up(seed=0, n=300, width=16):
    """Random rows among which are exact and near copies of others, and ties."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, width)).astype(np.float32)
    features[100:140] = features[:40]
    features[200:240] = features[50:90] + 0.1 * rng.normal(size=(40, width))
    features[250:260] = np.sign(features[250:260])  # of few values: many ties
    return features


def cosine(a, b):
    """In float64, of rows as they are rounded."""
    return float(np.dot(a.astype(np.float64), b.astype(np.float64)))


def slow_duplicates(rows, threshold):
    kept, dropped, similarities, neighbors = [], [], [], []
    for i in range(len(rows)):
        best, at = -2.0, -1
        for j in kept:
            if cosine(rows[i], rows[j]) > best:
                best, at = cosine(rows[i], rows[j]), j
        if not best > threshold:
            kept.append(i)
        dropped.append(best > threshold)
        similarities.append(np.clip(best, -1, 1))
        neighbors.append(at)
    return dropped, similarities, neighbors


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("block", [7, 64, 4096])
@pytest.mark.parametrize("threshold", [0.9, 0.3, -0.2])
def test_near_duplicates_are_those_of_a_slow_loop(backend, block, threshold, monkeypatch):
    monkeypatch.setattr(neighbors, "BLOCK", block)
    rows = unit_rows(made_up())
    for result, expected in zip(
        near_duplicates(rows, threshold, backend), slow_duplicates(rows, threshold), strict=True
    ):
        assert result.tolist() == expected


def test_a_threshold_of_one_drops_nothing():
    assert not near_duplicates(unit_rows(made_up()), 1.0)[0].any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("block", [7, 4096])
@pytest.mark.parametrize("k", [1, 5, 299, 1000])
def test_nearest_are_those_of_a_sorted_list(backend, block, k, monkeypatch):
    monkeypatch.setattr(neighbors, "BLOCK", block)
    keys = unit_rows(made_up())
    queries = np.concatenate([keys[::17], unit_rows(made_up(seed=1)[:20]), np.zeros((1, 16), np.float16)])
    similarities, indices = nearest(queries, keys, k, backend)
    for i, query in enumerate(queries):
        ranked = sorted((-cosine(query, key), j) for j, key in enumerate(keys))[:k]
        assert indices[i].tolist() == [j for _, j in ranked]
        assert similarities[i].tolist() == [np.clip(-value, -1, 1) for value, _ in ranked]


def test_rounding_moves_a_cosine_by_little_and_float32_sums_are_exact():
    features = np.random.default_rng(0).normal(size=(200, 768)).astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    rows = unit_rows(features).astype(np.float32)
    assert np.abs(rows @ rows.T - unit.astype(np.float64) @ unit.T).max() < 1e-3
    np.testing.assert_array_equal(rows @ rows.T, rows.astype(np.float64) @ rows.T.astype(np.float64))


@pytest.mark.skipif("faiss" not in BACKENDS, reason="faiss is not installed")
def test_the_approximate_index_finds_nearly_all_that_were_planted():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3000, 32)).astype(np.float32)
    features[2000:] = features[:1000] + 0.1 * rng.normal(size=(1000, 32))
    rows = unit_rows(features)
    exact, found = (near_duplicates(rows, 0.9, backend)[0] for backend in ("numpy", "faiss-ivf"))
    assert not (found & ~exact).any() and found.sum() > 0.98 * exact.sum()


def test_an_unknown_or_absent_backend_is_named(monkeypatch):
    with pytest.raises(ValueError, match="unknown backend 'annoy'"):
        nearest(unit_rows(made_up()), unit_rows(made_up()), 1, "annoy")
    monkeypatch.setattr(neighbors, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install preface-hf\[curation\]"):
        neighbors.check_backend("faiss")


def hull_area(points):
    """Andrew's monotone chain and the shoelace formula."""

    def chain(ordered):
        hull = []
        for p in ordered:
            while len(hull) > 1 and np.linalg.det([hull[-1] - hull[-2], p - hull[-2]]) <= 0:
                hull.pop()
            hull.append(p)
        return hull[:-1]

    ordered = sorted(points, key=tuple)
    corners = np.array(chain(ordered) + chain(ordered[::-1]))
    x, y = corners.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def test_coverage_is_the_hull_of_the_landmarks():
    from preface_hf.synthetic import draw_clip

    landmarks = draw_clip(3, "happiness", seed=1, num_frames=5, size=64).landmarks
    expected = np.median([hull_area(points.astype(np.float64)) for points in landmarks]) / 64**2
    assert face_coverage(landmarks, 64, 64) == pytest.approx(expected, rel=0.01)
    assert face_coverage(landmarks, 64, 128) == pytest.approx(expected / 2, rel=0.01)
    assert face_coverage(landmarks / 4, 64, 64) == pytest.approx(expected / 16, rel=0.01)
    assert face_coverage(landmarks * 100 - 3000, 64, 64) <= 1
    assert face_coverage(landmarks * np.nan, 64, 64) == face_coverage(landmarks[:0], 64, 64) == 0


def pool(n):
    return [PoolRow(10 + i, "train", f"{i}.mp4") for i in range(n)]


def test_each_query_brings_its_own_people_and_duplicates_take_no_place():
    rng = np.random.default_rng(0)
    people = np.eye(8)[[0, 1, 2, 3] * 5]  # rows 0, 4, 8, … show person 0
    features = (people + 0.1 * rng.normal(size=people.shape)).astype(np.float32)
    features[4] = features[0]
    query = FeatureTable(np.array([70, 71]), np.eye(8, dtype=np.float32)[[0, 2]])
    rows = pool(20)
    choose(rows, features, query, neighbors=4, max_similarity=0.999, center=False)
    kept = [row for row in rows if row.reason is None]
    assert {(row.pool_id - 10) % 4 for row in kept} == {0, 2} and len(kept) == 8
    assert {row.neighbor for row in kept if row.pool_id % 4 == 2} == {70}
    assert (rows[4].reason, rows[4].neighbor) == (NEAR_DUPLICATE, 10) and rows[4].similarity == pytest.approx(
        1, abs=1e-3
    )
    assert rows[1].reason == FAR and rows[1].similarity < min(row.similarity for row in kept)


def test_what_has_a_reason_already_is_not_compared():
    rows = pool(3)
    rows[0].reason = "low face coverage"
    choose(rows, np.ones((3, 4), np.float32) + np.eye(3, 4, dtype=np.float32) * 0, None)
    assert [row.reason for row in rows] == ["low face coverage", None, NEAR_DUPLICATE] and rows[2].neighbor == 11


def test_the_center_takes_away_what_all_share_but_not_all_there_is():
    rng = np.random.default_rng(0)
    alike = 100 + rng.normal(size=(50, 8)).astype(np.float32)
    for center, expected in ((False, 1), (True, 50)):
        rows = pool(50)
        choose(rows, alike, center=center)
        assert sum(row.reason is None for row in rows) == expected
    assert common_center(np.repeat(alike[:1], 5, axis=0)) is None
