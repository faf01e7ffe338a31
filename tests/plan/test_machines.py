"""Machines by name and from files, and what is refused."""

import dataclasses

import pytest

from preface_hf.plan.machines import MACHINES, load_machine


def test_a_file_changes_what_differs(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("base: h100-8\nshare: 0.42\ndollars_per_hour: 0\n")
    assert load_machine(str(file)) == dataclasses.replace(MACHINES["h100-8"], share=0.42, dollars_per_hour=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("share: 0.4", "no line `base: NAME`: known machines: h100-8"),
        ("base: h100", "no line `base: NAME`: known machines: h100-8"),
        ("- h100-8", "no line `base"),
        ("base: h100-8\nshares: 1", "unknown key 'shares' in .*did you mean 'share'"),
        ("base: h100-8\nshare: much", "share='much' of the machine must be a number"),
        ("base: h100-8\ncores: 0", "cores=0 of the machine must be above 0"),
        ("base: h100-8\nshare: 1.5", "share=1.5 of the machine must be at most 1"),
        ("base: h100-8\naccelerators: 1.5", "accelerators=1.5 of the machine must be a whole number"),
        ("base: h100-8\ncomputes_on_cores: 3", "computes_on_cores=3 of the machine must be true or false"),
        ("{", "cannot read the machine"),
        ("base: h100-8\ncores: 3\ncores: 4", "line 3 sets 'cores' a second time"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, message):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_machine(str(file))


def test_an_unknown_name_gives_the_known_ones():
    with pytest.raises(ValueError, match="'tpu' is neither known nor a file: known machines: h100-8, .*cpu-2"):
        load_machine("tpu")
