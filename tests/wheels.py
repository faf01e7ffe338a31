"""Sdist and wheel, and an environment in which the wheel is installed: for tests outside of this checkout.

Built by `make package`, which names the folder in PACKAGES; without it the tests build for themselves.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def packages(tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel that is built from it."""
    if "PACKAGES" in os.environ:
        return ROOT / os.environ["PACKAGES"]
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "-q", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="session")
def wheel(packages) -> Path:
    (file,) = packages.glob("*.whl")
    return file


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alone() -> dict[str, str]:
    """The environment without what leads to this checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")  # a test may take the package out of it
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel, which sees the dependencies of this one but not its checkout."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    # First the wheel: pip must not find this environment's own package, nor the checkout's, and take it for that.
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin/python",
        "install",
        "-q",
        "--no-deps",
        wheel,
        env=alone(),
    )
    # A path that a .pth names is searched, but its own .pth files are not read: the editable install stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder
