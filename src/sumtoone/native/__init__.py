"""The compiled kernels behind ``functional``: which are in use, and why none where none are.

The kernels are built when the package is installed from source with a C++17 compiler; without one the
install succeeds all the same, and everything runs on PyTorch's operations. ``SUMTOONE_NATIVE=0`` turns
them off, ``SUMTOONE_SIMD`` (``avx512``, ``avx2``, ``baseline``) lowers the instruction set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

from sumtoone import private
from sumtoone.specification import not_among


@dataclass(frozen=True)
class Status:
    """Which path is in use: an instruction set of the kernels, or ``"pytorch"`` and why (a key of the texts)."""

    path: str
    why: str
    instruction_sets: tuple[str, ...] = ()
    missing: str = ""


@cache
def status() -> Status:
    """Return which path is in use in this process; decided once, when first asked.

    Raises
    ------
    UsageError
        If ``SUMTOONE_SIMD`` names an instruction set that this machine does not have.
    """
    if os.environ.get("SUMTOONE_NATIVE", "1") == "0":
        return Status("pytorch", "native.turned-off")
    try:
        module = import_module("sumtoone.native._kernels")
    except ImportError:
        return Status("pytorch", "native.not-built")
    if private.missing:
        return Status("pytorch", "native.private", missing=", ".join(private.missing))
    sets = tuple(module.instruction_sets())
    wanted = os.environ.get("SUMTOONE_SIMD", "")
    if wanted and wanted not in sets:
        raise not_among("SUMTOONE_SIMD", wanted, sets)
    module.choose(wanted or sets[0])
    return Status(wanted or sets[0], "native.in-use", sets)


@cache
def kernels() -> ModuleType | None:
    """Return the compiled module, or None where PyTorch's operations are in use."""
    return import_module("sumtoone.native._kernels") if status().path != "pytorch" else None
