"""Exported to ONNX with a dynamic batch, onnxruntime computes the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from preface_hf import PrefAceConfig, PrefAceForLandmarkDetection, PrefAceForVideoClassification, PrefAceModel
from tests.modeling_common import TINY


onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.parametrize(
    ("model_class", "output"),
    [
        (PrefAceModel, "pooler_output"),
        (PrefAceForVideoClassification, "logits"),
        (PrefAceForLandmarkDetection, "landmarks"),
    ],
)
def test_onnxruntime_computes_the_same(model_class, output, tmp_path):
    torch.manual_seed(0)
    model = model_class(PrefAceConfig(**TINY)).eval()
    file = tmp_path / "model.onnx"
    torch.onnx.export(
        model, (torch.randn(2, 4, 3, 32, 32),), file, dynamo=True, verbose=False,
        dynamic_shapes={"pixel_values_videos": {0: torch.export.Dim("batch", min=1, max=64)}},
    )  # fmt: skip
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    clips = torch.randn(3, 4, 3, 32, 32)
    with torch.no_grad():
        expected = model(clips)
    found = session.run(None, {"pixel_values_videos": clips.numpy()})
    place = list(expected.keys()).index(output)
    np.testing.assert_allclose(found[place], expected[output].numpy(), atol=1e-4, rtol=1e-4)
