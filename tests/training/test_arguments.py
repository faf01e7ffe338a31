"""Settings: files, flags, and what is refused."""

import pytest

from preface_hf.training.arguments import PretrainArguments, load_arguments, parse_data


def test_flags_go_before_the_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("size: vit-t\nmax_steps: 7\nbatch_size: 3\nmodel: {image_size: 32}\n")
    arguments = load_arguments(file, {"max_steps": 9, "seed": None})
    assert (arguments.size, arguments.max_steps, arguments.batch_size, arguments.seed) == ("vit-t", 9, 3, 0)
    assert arguments.parts().model.image_size == 32


def test_views_follow_the_model():
    base, small = PretrainArguments().parts().views, PretrainArguments(size="vit-t").parts().views
    assert (base.num_frames, base.global_size, base.local_size) == (16, 224, 96)
    assert (small.num_frames, small.global_size, small.local_size) == (8, 64, 24)


def test_resolved_settings_load_again(tmp_path):
    import yaml

    arguments = PretrainArguments(size="vit-t", views={"num_local": 3}, objective={"instance_weight": 0.5})
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(arguments.resolved()))
    assert load_arguments(file, {}).resolved() == arguments.resolved()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batchsize: 4", "unknown key 'batchsize' .*did you mean 'batch_size'"),
        ("model: {hiden_size: 8}", "unknown key 'hiden_size' in model: did you mean 'hidden_size'"),
        ("views: {num_locals: 8}", "unknown key 'num_locals' in views"),
        ("objective: {wombat: 8}", "unknown key 'wombat' in objective: known keys"),
        ("batch_size: many", "batch_size='many' is a str, but int is needed"),
        ("max_steps: 0", "max_steps=0"),
        ("report_to: tensorboard", "report_to='tensorboard' is a str, but list is needed"),
        ("report_to: [paper]", "report_to=.'paper'. must be a list of some of tensorboard, trackio"),
        ("layer_decay: 1.5", "layer_decay=1.5 must be above 0 and at most 1"),
        ("keep_checkpoints: 0", "keep_checkpoints=0 must be 1 or more, or null"),
        ("max_steps: null", "max_steps=None is a NoneType, but int is needed"),
        ("size: vit-xxl", "size='vit-xxl' is unknown: choose one of vit-t"),
        ("method: magic", "method='magic'"),
        ("model: {num_frames: 15}", "num_frames=15 .* tubelet_size=2"),
        ("views: {local_size: 50}", "views.local_size=50 .* patch_size=16"),
        ("views: {num_frames: 3}", "views.num_frames=3 .* tubelet_size=2"),
        ("- a list", "no mapping"),
        ("{", "cannot read the config"),
        ("seed: 1\nmax_steps: 2\nseed: 3", "cannot read the config .*line 3 sets 'seed' a second time"),
        ("views: {num_local: 1, num_local: 2}", "line 1 sets 'num_local' a second time"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, message):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_arguments(file, {}).resolved()


def test_data_is_a_path_or_several_with_weights(tmp_path):
    assert parse_data(["sets/size=64"]) == "sets/size=64"
    assert parse_data(["a", "b=2", "c=d=0.5"]) == {"a": 1, "b": 2, "c=d": 0.5}
    file = tmp_path / "run.yaml"
    file.write_text("data: {a: 1, b: 0.5}")
    assert load_arguments(file, {}).resolved()["data"] == {"a": 1, "b": 0.5}
    assert load_arguments(file, {"data": "c"}).data == "c"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["a", "b=two"], "--data b=two: 'two' is no weight; write PATH=WEIGHT, such as b=2"),
        (["a", "b", "a=3"], "--data a is given twice"),
    ],
)
def test_data_flags_that_do_not_fit_are_named(flags, message):
    with pytest.raises(ValueError, match=message):
        parse_data(flags)


def test_data_of_another_type_is_refused(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("data: [a, b]")
    with pytest.raises(ValueError, match="data=.* is a list, but str is needed"):
        load_arguments(file, {})


def test_an_unquoted_no_is_a_precision(tmp_path):
    """YAML reads it as false."""
    (tmp_path / "run.yaml").write_text("mixed_precision: no\nsize: vit-t\n")
    assert load_arguments(tmp_path / "run.yaml", {}).mixed_precision == "no"


@pytest.mark.parametrize(
    "text",
    ["[]", "0", "- a\n- b\n", "1: 2\n", "\ttab: 1\n", "[" * 5000, "{a: " * 3000, "seed: 2026-13-45\n",
     "a: b: c\n", "\0",
     "model: null\n", "views: 3\n", "objective: .inf\n", "model: [1]\n", "? [1]\n: 2\n", "model: {1: 2}\n",
     "views: {brightness: .nan}\n", "learning_rate: .inf\n", "model: {num_prototypes: 0}\n",
     "model: {hidden_size: many}\n",
     "model: {num_hidden_layers: 1099511627776}\n"],
)  # fmt: skip
def test_a_file_of_settings_that_cannot_be(tmp_path, text):
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as refused:
        load_arguments(tmp_path / "run.yaml", {}).parts()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "~\n", "# nothing\n", "max_grad_norm: .inf\n", "model: {}\n", "seed: 3\n"])
def test_a_file_of_settings_that_is_sound(tmp_path, text):
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    load_arguments(tmp_path / "run.yaml", {}).parts()
