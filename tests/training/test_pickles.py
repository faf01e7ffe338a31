"""Checkpoints with a planted payload: a pickle that writes a file when it is opened. Nothing opens it."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from preface_hf import PrefAceForPreTraining, PrefAceModel
from preface_hf.features.encoders import load_encoder
from preface_hf.objectives.base import OBJECTIVE_FILE, PICKLED_STATE, part, saved_state
from preface_hf.training.pickles import check_pickles
from preface_hf.training.report import write_report
from tests.training.test_loop import assert_same, run, state


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def plant(file, mark, how):
    """Put the payload in the place of `file`, as torch writes it or as a plain pickle."""
    if how == "torch":
        torch.save({"state": Payload(mark)}, file)
    else:
        file.write_bytes(pickle.dumps(Payload(mark)))


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """A run of one step: its settings, its folder."""
    from tests.conftest import tiny

    settings = {**tiny(prepared), "max_steps": 2, "save_steps": 1}
    folder = tmp_path_factory.mktemp("trained") / "run"
    run(settings, folder)
    return settings, folder


def resumable(trained, target):
    """A copy of the run that stopped after its first step, and that checkpoint."""
    shutil.copytree(trained, target)
    for folder in ("final", "checkpoints/step-00000002"):
        shutil.rmtree(target / folder)
    return target / "checkpoints/step-00000001"


@pytest.mark.parametrize("how", ["torch", "plain"])
@pytest.mark.parametrize("name", ["optimizer.bin", "random_states_0.pkl", "pytorch_model.bin", "scaler.pt"])
def test_what_accelerate_reads_runs_no_code_on_resume(trained, tmp_path, name, how):
    settings, folder = trained
    checkpoint = resumable(folder, tmp_path / "run")
    plant(checkpoint / name, tmp_path / "harm", how)
    with pytest.raises(ValueError, match=rf"{name} is not opened .*: take another checkpoint"):
        run(settings, tmp_path / "run", resume=True)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("how", ["torch", "plain"])
def test_a_state_of_before_runs_no_code(trained, tmp_path, how):
    """On resume, at the start of another run, and in the report."""
    settings, folder = trained
    checkpoint = resumable(folder, tmp_path / "run")
    (checkpoint / OBJECTIVE_FILE).unlink()
    plant(checkpoint / PICKLED_STATE, tmp_path / "harm", how)
    for options in ({"resume": True}, {"init_from": str(checkpoint)}):
        target = tmp_path / ("run" if "resume" in options else "other")
        with pytest.raises(ValueError, match=f"{PICKLED_STATE} is not opened"):
            run(settings, target, **options)
    assert f"{PICKLED_STATE} is not opened" in write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert not (tmp_path / "harm").exists()


def test_a_state_beside_ours_is_not_read(trained, tmp_path):
    settings, folder = trained
    checkpoint = resumable(folder, tmp_path / "run")
    plant(checkpoint / PICKLED_STATE, tmp_path / "harm", "torch")
    run(settings, tmp_path / "run", resume=True)
    assert not (tmp_path / "harm").exists()
    assert_same(*(state(root / "checkpoints/step-00000002") for root in (folder, tmp_path / "run")))


def test_a_state_of_before_is_read(trained, tmp_path):
    settings, folder = trained
    checkpoint = resumable(folder, tmp_path / "run")
    now = saved_state(checkpoint)
    nested = {name: {k: v.clone() for k, v in part(now, name).items()} for name in ("teacher", "cache")}
    torch.save(
        {**nested, "centre": now["center"], "facefeat_centre": now["facefeat_center"]}, checkpoint / PICKLED_STATE
    )
    (checkpoint / OBJECTIVE_FILE).unlink()
    assert_same(saved_state(checkpoint), state_of(folder))
    run(settings, tmp_path / "run", resume=True)
    assert_same(*(state(root / "checkpoints/step-00000002") for root in (folder, tmp_path / "run")))


def state_of(folder):
    return saved_state(folder / "checkpoints/step-00000001")


@pytest.mark.parametrize("how", ["torch", "plain"])
def test_weights_run_no_code(trained, tmp_path, how):
    """In the place of weights, wherever they are opened; a folder from the Hub is opened by the same calls."""
    settings, folder = trained
    shutil.copytree(folder / "final", tmp_path / "final")
    (tmp_path / "final/model.safetensors").unlink()
    plant(tmp_path / "final/pytorch_model.bin", tmp_path / "harm", how)
    with pytest.raises(ValueError, match="cannot start from"):
        run(settings, tmp_path / "other", init_from=str(tmp_path / "final"))
    with pytest.raises(ValueError, match="final"):
        load_encoder(str(tmp_path / "final"))
    for cls in (PrefAceModel, PrefAceForPreTraining):
        with pytest.raises(pickle.UnpicklingError):
            cls.from_pretrained(tmp_path / "final")
    assert not (tmp_path / "harm").exists()


def test_ours_is_no_pickle(trained):
    file = trained[1] / "checkpoints/step-00000001" / OBJECTIVE_FILE
    assert "cache.entries" in load_file(file)
    assert not list(file.parent.glob("custom_checkpoint_*"))
    check_pickles(file.parent)


def write_shards(folder, value=0.5):
    """What FSDP2 leaves of an optimizer: tensors, and values that are none."""
    import torch.distributed.checkpoint as shards

    content = {
        "optimizer": {"state": {"weight": {"step": torch.tensor(3.0), "exp_avg": torch.ones(4, 2)}}, "lr": value}
    }
    shards.save(content, checkpoint_id=folder / "optimizer_0", no_dist=True)
    return folder / "optimizer_0/.metadata"


def test_whole_shards_pass(tmp_path):
    write_shards(tmp_path)
    check_pickles(tmp_path)


@pytest.mark.parametrize("name", [".metadata", "__0.metadata"])
def test_shards_described_by_a_payload_are_refused(tmp_path, name):
    file = write_shards(tmp_path).with_name(name)
    plant(file, tmp_path / "harm", "plain")
    with pytest.raises(ValueError, match=rf"{name} is not opened \(it holds more than tensors and numbers"):
        check_pickles(tmp_path)
    assert not (tmp_path / "harm").exists()


def test_a_payload_among_the_values_of_shards_is_refused(tmp_path):
    write_shards(tmp_path, Payload(tmp_path / "harm"))
    with pytest.raises(ValueError, match="is not opened .it holds more than"):
        check_pickles(tmp_path)
    assert not (tmp_path / "harm").exists()


def test_shards_that_are_cut_are_refused(tmp_path):
    file = write_shards(tmp_path)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(ValueError, match="is not opened"):
        check_pickles(tmp_path)


def test_an_adapter_runs_no_code(tmp_path):
    pytest.importorskip("peft")
    from preface_hf import PrefAceConfig
    from preface_hf.adapters import add_lora, load_lora

    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    PrefAceModel(PrefAceConfig(image_size=32, num_frames=4, **size)).save_pretrained(tmp_path / "base")
    add_lora(PrefAceModel.from_pretrained(tmp_path / "base")).save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter/adapter_model.safetensors").unlink()
    plant(tmp_path / "adapter/adapter_model.bin", tmp_path / "harm", "torch")
    with pytest.raises(ValueError, match="may be code that harms"):
        load_lora(tmp_path / "adapter")
    assert not (tmp_path / "harm").exists()
