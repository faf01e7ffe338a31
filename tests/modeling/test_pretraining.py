"""The student with its heads."""

from __future__ import annotations

import torch

from preface_hf import PrefAceForPreTraining
from tests.modeling_common import ModelTests


class TestPrefAceForPreTraining(ModelTests):
    model_class = PrefAceForPreTraining
    main_output = "prototype_logits"

    def test_promised_shapes(self, model):
        output = model(self.clips())
        assert output.prototype_logits.shape == (3, 32) and output.prototype_logits.abs().max() <= 1 + 1e-5
        assert output.facefeat.shape == (3, 16)
        torch.testing.assert_close(output.facefeat.norm(dim=-1), torch.ones(3))

    def test_heads_see_standardized_features(self, model):
        model.feature_mean.normal_()
        model.feature_std.uniform_(0.5, 2)
        pooled = model(self.clips()).pooler_output
        expected = torch.stack([(clip - model.feature_mean) / (model.feature_std + 1e-4) for clip in pooled])
        torch.testing.assert_close(model.standardize(pooled), expected)
