"""The classifier: its three kinds of problem, the frozen encoder, labels that do not fit."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForVideoClassification

from preface_hf import PrefAceConfig, PrefAceForPreTraining, PrefAceForVideoClassification
from tests.modeling_common import TINY, ModelTests


class TestPrefAceForVideoClassification(ModelTests):
    model_class = PrefAceForVideoClassification
    main_output = "logits"

    def labels(self, batch):
        return {"labels": torch.arange(batch) % 5}

    def test_single_label(self, model):
        output = model(self.clips(), labels=torch.tensor([4, 0, -100]))
        assert output.logits.shape == (3, 5)
        chances = output.logits.softmax(-1)
        torch.testing.assert_close(output.loss, -(chances[0, 4].log() + chances[1, 0].log()) / 2)

    def test_multi_label(self, model):
        model.config.problem_type = "multi_label_classification"
        labels = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]).float()
        output = model(self.clips(), labels=labels)
        chances = output.logits.sigmoid()
        torch.testing.assert_close(output.loss, -(labels * chances.log() + (1 - labels) * (1 - chances).log()).mean())

    @pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.int32, torch.uint8, torch.float16])
    @pytest.mark.parametrize("problem", [None, "multi_label_classification"])
    def test_multiple_labels_may_be_integers_or_booleans(self, model, problem, dtype):
        model.config.problem_type = problem
        labels = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
        output = model(self.clips(), labels=labels.to(dtype))
        chances = output.logits.sigmoid()
        torch.testing.assert_close(output.loss, -(labels * chances.log() + (1 - labels) * (1 - chances).log()).mean())
        output.loss.backward()
        expected = ((chances - labels) / labels.numel()).sum(dim=0)  # of the bias, by hand
        torch.testing.assert_close(model.classifier.bias.grad, expected)

    @pytest.mark.parametrize("shape", [(3,), (3, 1)])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
    @pytest.mark.parametrize("problem", [None, "regression", "multi_label_classification"])
    def test_one_label_a_clip_comes_in_either_shape(self, problem, dtype, shape):
        model = PrefAceForVideoClassification(PrefAceConfig(**{**TINY, "num_labels": 1}, problem_type=problem))
        labels = torch.tensor([1, 0, 1]).to(dtype).reshape(shape)
        output = model(self.clips(), labels=labels)
        logits, targets = output.logits[:, 0], labels.reshape(3).float()
        expected = (logits - targets).square().mean()
        if problem == "multi_label_classification":
            expected = -(targets * logits.sigmoid().log() + (1 - targets) * (-logits).sigmoid().log()).mean()
        torch.testing.assert_close(output.loss, expected)
        one = model(self.clips()[:1], labels=labels[:1])  # a batch of one stays a batch
        assert one.loss.shape == () and one.loss.isfinite()

    def test_single_labels_may_be_short_integers(self, model):
        ours, theirs = (
            model(self.clips(), labels=torch.tensor([4, 0, 1], dtype=dtype)).loss
            for dtype in (torch.uint8, torch.int64)
        )
        assert torch.equal(ours, theirs)

    @pytest.mark.parametrize("count", [1, 3])
    def test_regression(self, count):
        model = PrefAceForVideoClassification(
            PrefAceConfig(**{**TINY, "num_labels": count}, problem_type="regression")
        )
        labels = torch.randn(3) if count == 1 else torch.randn(3, count)
        output = model(self.clips(), labels=labels)
        torch.testing.assert_close(output.loss, (output.logits - labels.reshape(3, count)).square().mean())

    @pytest.mark.parametrize(
        ("labels", "problem", "message"),
        [
            (torch.tensor([0, 1, 5]), None, "from 0 to 5, but num_labels=5 allows 0 to 4"),
            (torch.tensor([0, 1, -1]), None, "from -1 to 1, but num_labels=5"),
            (torch.tensor([0, 1]), None, r"shape \(2,\) and .* shape \(3,\): give one integer"),
            (torch.zeros(3, 4), None, r"shape \(3, 4\), but \(3 clips, num_labels=5\)"),
            (torch.zeros(3, 7), "multi_label_classification", r"num_labels=5\) is needed"),
            (torch.zeros(3), "regression", r"num_labels=5\) is needed"),
            (torch.zeros(3, dtype=torch.long), "multi_label_classification", r"num_labels=5\) is needed"),
            (torch.zeros(3), "single_label_classification", "integers"),
            (torch.full((3, 5), float("nan")), None, "multiple labels are 0 or 1"),
            (torch.full((3, 5), 2), None, "from 2 to 2, but multiple labels are 0 or 1"),
            (torch.zeros(3, 5), "single_label_classification", "integers"),
        ],
    )
    def test_labels_that_do_not_fit_are_named(self, model, labels, problem, message):
        model.config.problem_type = problem
        with pytest.raises(ValueError, match=message):
            model(self.clips(), labels=labels)
        assert model.config.problem_type == problem, "labels that are refused decide nothing"

    def test_another_number_of_labels_is_named(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"classifier.* \(5.* asks for \(3.*num_labels"):
            PrefAceForVideoClassification.from_pretrained(tmp_path, num_labels=3)
        anew = PrefAceForVideoClassification.from_pretrained(tmp_path, num_labels=3, ignore_mismatched_sizes=True)
        assert anew(self.clips()).logits.shape == (3, 3)

    def test_it_starts_from_a_pretraining_checkpoint(self, tmp_path):
        student = PrefAceForPreTraining(PrefAceConfig(**TINY)).eval()
        student.save_pretrained(tmp_path)
        model, info = AutoModelForVideoClassification.from_pretrained(tmp_path, num_labels=3, output_loading_info=True)
        assert sorted(info["missing_keys"]) == ["classifier.bias", "classifier.weight"]
        assert not info["unexpected_keys"]
        torch.testing.assert_close(model.preface(self.clips()).pooler_output, student(self.clips()).pooler_output)

    @pytest.mark.slow  # it compiles
    def test_compiled_equals_eager(self, model):
        compiled = torch.compile(model)
        torch.testing.assert_close(self.output(compiled, self.clips()), self.output(model, self.clips()))


def test_a_frozen_encoder_keeps_its_weights(tmp_path):
    torch.manual_seed(0)
    PrefAceForVideoClassification(PrefAceConfig(**TINY, hidden_dropout_prob=0.5)).save_pretrained(tmp_path)
    model = PrefAceForVideoClassification.from_pretrained(tmp_path, freeze_encoder=True).train()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    clips = torch.randn(2, 4, 3, 32, 32)
    torch.testing.assert_close(*(model(clips).logits for _ in range(2)), msg="no dropout in a frozen encoder")
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=1)
    model(clips, labels=torch.tensor([0, 1])).loss.backward()
    optimizer.step()
    changed = [name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])]
    assert changed == ["classifier.weight", "classifier.bias"]
    assert PrefAceForVideoClassification(model.config).preface.embeddings.projection.weight.requires_grad is False
    model.save_pretrained(tmp_path)
    thawed = PrefAceForVideoClassification.from_pretrained(tmp_path, freeze_encoder=False)
    assert all(weight.requires_grad for weight in thawed.parameters())
