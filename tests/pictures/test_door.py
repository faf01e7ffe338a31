"""`preface_hf.pictures` offers every picture by its name, and loads nothing before it is asked."""

import inspect
import subprocess
import sys

import pytest

from preface_hf import pictures


@pytest.mark.parametrize("name", pictures.__all__)
def test_every_name_is_there_with_its_docstring(name):
    found = getattr(pictures, name)
    assert found.__name__ == name and found.__module__ == pictures.HOMES[name] and name in dir(pictures)
    assert inspect.getdoc(found)


def test_nothing_else_is():
    with pytest.raises(AttributeError, match="no attribute 'drawing'"):
        pictures.drawing  # noqa: B018


def test_the_door_is_light():
    code = "import sys, preface_hf.pictures; assert not {'torch', 'matplotlib', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
