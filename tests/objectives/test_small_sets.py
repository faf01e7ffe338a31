"""Sets that lack something: landmarks, or rows."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from preface_hf.data.opening import open_prepared
from preface_hf.data.shards import prepared_features, read_rows, write_shards
from preface_hf.data.streams import PlainClips, ViewStream
from preface_hf.data.views import ViewConfig
from tests.objectives.test_preface import VIEWS, make


GLOBAL_ONLY = ViewConfig(num_frames=4, global_size=32, local_size=16, num_local=0, parts=[])
OPTIONS = [{}, {"targets": "sinkhorn", "koleo_weight": 0.1}, {"instance_weight": 0.0}]


def write_some(prepared, folder, count, landmarks=None):
    """The first rows of the prepared set, with other landmarks: nan, empty or null."""
    (folder / "data").mkdir(parents=True)
    rows = list(read_rows(next((prepared / "data").glob("train-*"))))[:count]
    for row in rows:
        points = np.array(row["landmarks"], np.float32)
        row["landmarks"] = {None: points, "nan": points * np.nan}.get(landmarks, points[:0])
    write_shards(folder / "data", "train", rows, prepared_features({}))
    if landmarks == "null":
        [file] = (folder / "data").glob("*.parquet")
        table = pq.read_table(file)
        place, field = table.schema.get_field_index("landmarks"), table.schema.field("landmarks")
        nothing = pa.ExtensionArray.from_storage(field.type, pa.nulls(count, field.type.storage_type))
        pq.write_table(table.set_column(place, field, nothing), file)
    return open_prepared(folder)


def one_step(data, views, batch_size, **config):
    """The logs of a step on the set, which has to leave everything finite."""
    objective = make(num_instances=data.num_rows, **config)
    objective.num_local = views.num_local
    objective.start(PlainClips(data, views, batch_size))
    output = objective(next(iter(ViewStream(data, views, batch_size, seed=0))), step=0)
    output.loss.backward()
    objective.after_step(0)
    numbers = [output.loss, objective.cache.entries.float(), objective.center, objective.student.feature_std]
    numbers += [*output.logs.values(), *(p.grad for p in objective.trainable_parameters() if p.grad is not None)]
    assert all(torch.isfinite(tensor).all() for tensor in numbers)
    return output.logs


@pytest.mark.parametrize("landmarks", ["nan", "empty", "null"])
def test_a_set_without_landmarks_has_global_tubes_only(prepared, tmp_path, landmarks):
    data = write_some(prepared, tmp_path, 5, landmarks)
    logs = one_step(data, GLOBAL_ONLY, 4)
    assert "loss_global" in logs and not {"loss_local", "loss_landmark"} & set(logs)


@pytest.mark.parametrize("landmarks", ["nan", "empty", "null"])
@pytest.mark.parametrize("wanted", [{"num_local": 1, "parts": []}, {"num_local": 0, "parts": ["nose"]}])
def test_tubes_that_need_landmarks_say_what_to_change(prepared, tmp_path, landmarks, wanted):
    data = write_some(prepared, tmp_path, 2, landmarks)
    views = ViewConfig(num_frames=4, global_size=32, local_size=16, **wanted)
    for rows in (PlainClips(data, views, 2), ViewStream(data, views, 2, seed=0)):
        with pytest.raises(ValueError, match=r"instance_id \d .*views.num_local to 0 and views.parts to \[\]"):
            next(iter(rows))


@pytest.mark.parametrize("config", OPTIONS)
def test_fewer_instances_than_the_batch(prepared, tmp_path, config):
    assert one_step(write_some(prepared, tmp_path, 3), VIEWS, 8, **config)["effective_rank"] < 8


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("config", OPTIONS)
def test_one_instance(prepared, tmp_path, config, batch_size):
    logs = one_step(write_some(prepared, tmp_path, 1), VIEWS, batch_size, **config)
    assert float(logs.get("loss_id", 0)) == pytest.approx(0, abs=1e-5)  # there is nobody to be told from
