"""Every number among the settings has a range, and what lies outside is one sentence."""

import dataclasses
import math

import pytest

from preface_hf.objectives.methods import METHODS
from preface_hf.training.arguments import CONFIGS, PretrainArguments, load_arguments
from preface_hf.training.ranges import RANGES, check_ranges


def numbers(cls):
    """Names and defaults of the settings of a class that are numbers, or lists of them."""
    for f in dataclasses.fields(cls):
        kind = str(f.type)
        if ("int" in kind or "float" in kind) and "bool" not in kind and "str" not in kind:
            yield f.name, f.default


SETTINGS = [
    (method, section, name, default)
    for method, entry in METHODS.items()
    for section, cls in (("objective", entry.config), ("views", entry.views))
    for name, default in numbers(cls)
]
RUN = list(numbers(PretrainArguments))


def test_every_number_has_a_range_that_holds_its_default():
    assert len(RUN) > 15 and len(SETTINGS) > 40
    for name, default in RUN + [(name, default) for *_, name, default in SETTINGS]:
        assert name in RANGES, f"{name}: add its range to training/ranges.py"
        if default is not None and default is not dataclasses.MISSING:
            check_ranges({name: default}, "")


@pytest.mark.parametrize("value", [math.nan, -1e9, 1e12, -3, 10**30])
def test_what_a_setting_cannot_be_is_one_sentence(value):
    for name, default in RUN:
        if RANGES[name][0] <= value <= RANGES[name][1]:
            assert name in ("seed", "max_grad_norm")  # a number of any size
            continue
        given = int(value) if isinstance(default, int) and value == value else value
        with pytest.raises(ValueError, match=name) as caught:
            PretrainArguments(**{"probe_data": "set", "probe_label": "smile", name: given})
        assert "\n" not in str(caught.value)
    for method, section, name, default in SETTINGS:
        given = int(value) if isinstance(default, int) and value == value else value
        given = [given, given] if isinstance(default, tuple) else given
        with pytest.raises(ValueError, match=name) as caught:
            PretrainArguments(method=method, **{section: {name: given}}).parts()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("views", "num_local", 10**8),
        ("views", "brightness", math.nan),
        ("model", "num_prototypes", 0),
        ("objective", "teacher_momentum", 1e8),
        ("views", "global_scale", [0.9, 0.4]),
        ("views", "global_scale", [0.5]),
        ("views", "global_scale", []),
        ("views", "global_scale", ["a", "b"]),
        ("views", "local_scale", [True, True]),
        ("views", "global_rates", ["fast"]),
        ("model", "decoder_num_hidden_layers", 2**40),
        ("model", "decoder_intermediate_size", 0),
    ],
)
def test_numbers_that_trials_brought_up(section, name, value):
    with pytest.raises(ValueError, match=name):
        PretrainArguments(**{section: {name: value}}).parts()


def test_packaged_settings_are_within():
    for file in sorted(CONFIGS.glob("*.yaml")):
        load_arguments(file, {}).parts()
