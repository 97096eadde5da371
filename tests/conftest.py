"""What every test may rely on: English words, an empty cache, shape contracts that are checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

from sumtoone import native
from sumtoone.language import speak

# Two test processes with two threads each on two cores spend their time waiting for each other.
os.environ["OMP_NUM_THREADS"] = "1"

# Annotations such as Float[Tensor, "N K"] become checks, under test only.
install_import_hook(["sumtoone.functional", "sumtoone.composed"], "beartype.beartype")


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    speak(None)
    monkeypatch.setenv("SUMTOONE_LANG", "en")
    monkeypatch.setenv("SUMTOONE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def mnist_folder() -> Iterator[Path]:
    """The folder of the full MNIST files; skips where ``SUMTOONE_DATA`` names none."""
    for folder in filter(None, os.environ.get("SUMTOONE_DATA", "").split(os.pathsep)):
        found = Path(folder).resolve() / "mnist"
        if (found / "train-images-idx3-ubyte.gz").exists():
            yield found
            return
    pytest.skip("needs the full MNIST files: set SUMTOONE_DATA to the folder that holds mnist/")


@pytest.fixture(params=native.status().instruction_sets)
def simd(request: pytest.FixtureRequest) -> Iterator[str]:
    """One instruction set of this machine after the other; skips where there are no kernels."""
    kernels = native.kernels()
    assert kernels is not None
    before = kernels.chosen()
    kernels.choose(request.param)
    yield request.param
    kernels.choose(before)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets torch's threads, for the length of the test."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
