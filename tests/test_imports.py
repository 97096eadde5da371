"""What starts at once stays light, and the layers import downwards only."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sumtoone

HEAVY = ("torch", "numpy", "sklearn", "matplotlib", "pyarrow", "PIL", "safetensors", "rich")


def _heavy_modules_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the heavy modules it imported."""
    report = "import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import atexit; atexit.register(lambda: exec({report!r})); {code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    modules = set(done.stderr.split())
    assert "atexit" in modules, done.stderr
    return {module for module in HEAVY if module in modules}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["train", "--help"], ["data", "--help"], ["train", "--oops"]]
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    assert _heavy_modules_after(f"import sumtoone.cli; sumtoone.cli.main({arguments})") <= {"rich"}


@pytest.mark.parametrize(
    "words",
    [
        ["train"],
        ["train", "--resume", "--out", "run"],
        ["evaluate", "run"],
        ["calibrate", "run"],
        ["predict", "run", "a.png"],
    ],
)
def test_the_first_word_is_said_before_anything_heavy_is_loaded(words: list[str]) -> None:
    code = (
        "import os, sys, sumtoone.cli; from sumtoone.cli.common import Voice;"
        f"Voice.begin = lambda *_: (print(sorted(set({HEAVY}) & set(sys.modules)), flush=True), os._exit(7));"
        f"sumtoone.cli.main({words})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "[]\n"), done.stderr


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert _heavy_modules_after("import sumtoone; dir(sumtoone); sumtoone.__version__") == set()


def test_the_check_above_can_fail() -> None:
    assert "torch" in _heavy_modules_after("import sumtoone; sumtoone.softmax")


def test_every_public_name_is_there() -> None:
    for name in sumtoone.__all__:
        assert getattr(sumtoone, name) is not None
        assert name in dir(sumtoone)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'sumtoone' has no attribute 'sofmax'$"):
        sumtoone.sofmax  # noqa: B018
