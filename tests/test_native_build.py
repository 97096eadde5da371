"""Which path is in use, how it is chosen, and what happens where the kernels cannot be built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import warm
from sumtoone import __version__, native

KERNELS = native.kernels()
SETS = list(KERNELS.instruction_sets()) if KERNELS else []
needs_kernels = pytest.mark.skipif(not KERNELS, reason=f"no compiled kernels here: {native.status()}")
ROOT = Path(__file__).parent.parent


def sumtoone(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """What a call of the command gives: its status, output and complaints."""
    surroundings = {
        name: value for name, value in os.environ.items() if name not in ("SUMTOONE_NATIVE", "SUMTOONE_SIMD")
    }
    result = warm.run(None, *arguments, env={**surroundings, **environment})
    return result.returncode, result.stdout, result.stderr


@needs_kernels
@pytest.mark.parametrize("name", SETS)
def test_the_instruction_set_that_was_asked_for(name: str) -> None:
    sets = ", ".join(SETS)
    english = f"sumtoone {__version__}\ncompiled kernels, {name} (this machine has {sets})\n"
    assert sumtoone("--version", "--verbose", SUMTOONE_SIMD=name) == (0, english, "")
    korean = f"sumtoone {__version__}\n컴파일된 커널, {name} (이 컴퓨터에는 {sets})\n"
    assert sumtoone("--verbose", "--version", SUMTOONE_SIMD=name, SUMTOONE_LANG="ko") == (0, korean, "")


@needs_kernels
def test_the_best_instruction_set_unless_told_otherwise() -> None:
    output = f"sumtoone {__version__}\ncompiled kernels, {SETS[0]} (this machine has {', '.join(SETS)})\n"
    assert sumtoone("--version", "--verbose") == (0, output, "")
    assert sumtoone("--version", "--verbose", SUMTOONE_NATIVE="1", SUMTOONE_SIMD="") == (0, output, "")


def test_kernels_turned_off() -> None:
    english = f"sumtoone {__version__}\nPyTorch's operations: SUMTOONE_NATIVE=0 turns the compiled kernels off\n"
    assert sumtoone("--version", "--verbose", SUMTOONE_NATIVE="0") == (0, english, "")
    assert sumtoone("--version", "--verbose", SUMTOONE_NATIVE="0", SUMTOONE_SIMD="sse9") == (0, english, "")
    korean = f"sumtoone {__version__}\nPyTorch 연산: SUMTOONE_NATIVE=0이 컴파일된 커널을 끕니다\n"
    assert sumtoone("--version", "--verbose", SUMTOONE_NATIVE="0", SUMTOONE_LANG="ko") == (0, korean, "")


def test_the_version_alone() -> None:
    assert sumtoone("--version", SUMTOONE_SIMD="sse9") == (0, f"sumtoone {__version__}\n", "")


@needs_kernels
def test_an_instruction_set_that_is_none() -> None:
    sets = ", ".join(SETS)
    status, output, complaint = sumtoone("--version", "--verbose", SUMTOONE_SIMD="sse9")
    assert (status, output) == (2, f"sumtoone {__version__}\n")
    assert complaint == (
        "sumtoone: SUMTOONE_SIMD cannot be this [choice]\n"
        f"  expected: one of {sets}\n  got: 'sse9'\n  try: choose one of {sets}\n"
    )
    status, output, complaint = sumtoone("--version", "--verbose", SUMTOONE_SIMD="baselin", SUMTOONE_LANG="ko")
    assert (status, output) == (2, f"sumtoone {__version__}\n")
    assert complaint.startswith("sumtoone: SUMTOONE_SIMD에 쓸 수 없는 값입니다 [choice]\n")
    assert "baselin" in complaint
    code = (
        "import torch, sumtoone\ntry: sumtoone.softmax(torch.ones(2))\nexcept sumtoone.UsageError as e: print(e.code)"
    )
    environment = {**os.environ, "SUMTOONE_SIMD": "sse9"}
    told = warm.run(code, env=environment)
    assert (told.returncode, told.stdout, told.stderr) == (0, "choice\n", "")


EVERYTHING = """
import sys
import numpy, torch
from sumtoone import functional, native
generator = torch.Generator().manual_seed(0)
found = {"path": numpy.array(native.status().path)}
for shape in ((4, 3), (5, 16), (3, 17), (2, 300), (4, 5, 6)):
    x = torch.randn(shape, generator=generator).mul(5)
    for name in ("softmax", "log_softmax", "sigmoid", "tanh", "relu"):
        for dim in range(len(shape)) if "softmax" in name else (None,):
            leaf = x.clone().requires_grad_()
            result = getattr(functional, name)(leaf, *(() if dim is None else (dim,)))
            (result * x.cos()).sum().backward()
            found[f"{name} {shape} {dim}"] = result.detach().numpy()
            found[f"{name} {shape} {dim} gradient"] = leaf.grad.numpy()
    if len(shape) == 2:
        target = torch.arange(shape[0]) % shape[1]
        for smoothing in (0, 0.1, 1):
            leaf = x.clone().requires_grad_()
            loss = functional.cross_entropy(leaf, target, label_smoothing=smoothing)
            loss.backward()
            found[f"cross_entropy {shape} {smoothing}"] = loss.detach().numpy()
            found[f"cross_entropy {shape} {smoothing} gradient"] = leaf.grad.numpy()
numpy.savez(sys.argv[1], **found)
"""


@needs_kernels
def test_the_same_numbers_with_and_without_kernels(tmp_path: Path) -> None:
    found = []
    for path, environment in (
        ("pytorch", {"SUMTOONE_NATIVE": "0"}),
        *((name, {"SUMTOONE_SIMD": name}) for name in SETS),
    ):
        file = tmp_path / f"{path}.npz"
        done = warm.run(EVERYTHING, file, env={**os.environ, "SUMTOONE_NATIVE": "1", **environment})
        assert done.returncode == 0, done.stderr
        found.append(dict(np.load(file)))
        assert str(found[-1].pop("path")) == path
    for others in found[1:]:
        assert others.keys() == found[0].keys()
        for name, value in others.items():
            np.testing.assert_allclose(value, found[0][name], rtol=3e-6, atol=3e-6, err_msg=name)


# --- installing


def copy_of_the_sources(folder: Path) -> Path:
    for name in ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return folder


def test_without_a_compiler_the_install_succeeds_and_says_so(tmp_path: Path) -> None:
    for requirement in ("scikit_build_core", "nanobind"):
        pytest.importorskip(requirement)
    (tmp_path / "sources").mkdir()
    sources, target = copy_of_the_sources(tmp_path / "sources"), tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-v"]
    environment = {**os.environ, "CXX": "/nonexistent/compiler", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [*pip, "--target", str(target), str(sources)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (
        "sumtoone is installed without its compiled kernels: they could not be built" in result.stdout + result.stderr
    )
    assert not list(target.rglob("_kernels*"))
    for language, wanted in (
        ("en", "PyTorch's operations: the kernels were not compiled when sumtoone was installed"),
        ("ko", "PyTorch 연산: sumtoone을 설치할 때 커널이 컴파일되지 않았습니다"),
    ):
        # -S keeps an editable install from lending its kernels; the dependencies are named instead.
        surroundings = {
            **os.environ,
            "SUMTOONE_LANG": language,
            "PYTHONPATH": os.pathsep.join([str(target), *sys.path]),
        }
        command = [sys.executable, "-S", "-m", "sumtoone", "--version", "--verbose"]
        told = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings, cwd=tmp_path)
        assert (told.returncode, told.stdout, told.stderr) == (0, f"sumtoone {__version__}\n{wanted}\n", "")


def test_a_wheel_holds_no_sources_of_the_kernels(tmp_path: Path) -> None:
    for requirement in ("scikit_build_core", "nanobind"):
        pytest.importorskip(requirement)
    (tmp_path / "sources").mkdir()
    sources = copy_of_the_sources(tmp_path / "sources")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    command = [*pip, "-w", str(tmp_path), str(sources)]
    environment = {**os.environ, "CXX": "/nonexistent/compiler"}
    subprocess.run(command, capture_output=True, check=True, env=environment)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"sumtoone/plots/fonts/hangul.ttf", "sumtoone/plots/fonts/OFL.txt"} <= set(names)
    assert "sumtoone/native/__init__.py" in names
    assert "sumtoone/language/ko.toml" in names
    assert not [name for name in names if name.endswith((".cpp", ".h"))]
