"""The packaged configs: each loads by its name and fits together; the laptop's really trains."""

import dataclasses

import pytest

from preface_hf.modeling import PrefAceConfig
from preface_hf.plan.footprint import count_parameters, memory
from preface_hf.plan.machines import MACHINES
from preface_hf.plan.plan import plan
from preface_hf.training.arguments import CONFIGS, PretrainArguments, load_arguments
from preface_hf.training.loop import pretrain


NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def test_all_are_there():
    masked = ["marlin-b", "marlin-l", "marlin-laptop", "marlin-s", "videomae-b", "videomae-laptop"]
    pros = ["pros-b", "pros-laptop", "pros-synthetic"]
    assert sorted(["demo", "laptop", "vit-b", "vit-l", "vit-s", *masked, *pros]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds(name):
    arguments = load_arguments(name, {})
    assert arguments.resolved()
    assert sum(count_parameters(arguments.parts().model).values()) > 5 * 10**5  # built on the meta device
    assert arguments.data == arguments.output_dir == ""


@pytest.mark.parametrize("name", ["vit-s", "vit-b", "vit-l"])
def test_those_of_the_papers_keep_the_defaults_and_fit(name):
    arguments = load_arguments(name, {})
    assert (arguments.views, arguments.objective, arguments.model) == ({}, {}, {})
    assert dataclasses.asdict(arguments.parts().model) == dataclasses.asdict(PrefAceConfig.from_preset(name))
    made = plan(arguments, MACHINES["a100-8"], 3425)
    assert made.global_batch == 256 and made.epochs == pytest.approx(2000, rel=1e-4)
    assert sum(memory(arguments, arguments.parts(), 3425, 8).values()) < 0.8 * 80 * 2**30


@pytest.mark.parametrize("name", ["marlin-s", "marlin-b", "marlin-l", "videomae-b"])
def test_those_of_masked_autoencoders_keep_the_methods_settings_and_fit(name):
    arguments = load_arguments(name, {})
    assert (arguments.views, arguments.objective, arguments.model) == ({}, {}, {})
    made = plan(arguments, MACHINES["a100-8"], 3425)
    assert made.global_batch == 256 and made.epochs == pytest.approx(2000, rel=1e-4)
    assert sum(memory(arguments, arguments.parts(), 3425, 8).values()) < 0.8 * 80 * 2**30
    decoder = {"s": (192, 4, 3), "b": (384, 4, 6), "l": (512, 12, 8)}[name[-1]]
    model = arguments.parts().model
    found = model.decoder_hidden_size, model.decoder_num_hidden_layers, model.decoder_num_attention_heads
    assert found == decoder


def test_that_of_pros_keeps_the_methods_settings_and_fits():
    arguments = load_arguments("pros-b", {})
    assert (arguments.views, arguments.objective, arguments.model) == ({}, {}, {})
    made = plan(arguments, MACHINES["a100-8"], 200_000)
    assert made.global_batch == 1024 and made.epochs == pytest.approx(100, rel=1e-4)
    assert sum(memory(arguments, arguments.parts(), 200_000, 8).values()) < 0.8 * 80 * 2**30


@pytest.mark.parametrize("name", ["laptop", "marlin-laptop", "videomae-laptop", "pros-laptop", "pros-synthetic"])
def test_the_laptop_takes_a_step(name, prepared, tmp_path):
    flags = {"data": str(prepared), "output_dir": str(tmp_path / "run"), "max_steps": 1, "num_workers": 0}
    assert (pretrain(load_arguments(name, {**flags, "batch_size": 4})) / "model.safetensors").exists()


def test_a_file_goes_before_a_recipe_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "laptop").mkdir()  # a folder is no settings
    assert load_arguments("laptop", {}).size == "vit-t"
    (tmp_path / "vit-b").write_text("size: vit-l")
    assert load_arguments("vit-b", {}).size == "vit-l"
    with pytest.raises(ValueError, match="'vit-x' is neither a file nor a packaged one: .* demo, laptop, marlin-b"):
        load_arguments("vit-x", {})


def test_flags_go_before_a_recipe():
    assert load_arguments("vit-b", {"max_steps": 7}).max_steps == 7
    assert PretrainArguments().max_steps == 1000
