"""``my_file.py:MyNetwork`` becomes a module: the person's own file is run to get it."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from sumtoone.errors import DataError, UsageError
from sumtoone.specification import IN_FILE, did_you_mean


def module_from_file(given: str, seed: int) -> nn.Module:
    """Run a Python file and return the module that it names: an instance, or a class called without arguments.

    The start weights are the module's own, drawn from ``seed``; torch's generator is left as it was.

    Parameters
    ----------
    given
        ``"my_file.py:MyNetwork"``; what stands behind the last colon is the name.

    Raises
    ------
    UsageError, DataError
        If there is no such file or name, it cannot be run or built, or it is no module.
    """
    named = IN_FILE.fullmatch(given.strip())
    path, name = Path(named["path"] if named else given), (named["name"] if named else "") or ""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = _pick(_run(path), name, path)
        if isinstance(found, nn.Module):
            return found
        torch.manual_seed(seed)
        try:
            return found()
        except Exception as error:
            why = f"{type(error).__name__}: {_first_line(error)}"
            raise UsageError("adopt-constructor", name=name, why=why, line=_line(error, path)) from None


def _pick(file: ModuleType, name: str, path: Path) -> nn.Module | type[nn.Module]:
    known = [
        key
        for key, value in vars(file).items()
        if isinstance(value, nn.Module)
        or (isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == file.__name__)
    ]
    if name not in vars(file):
        hint = did_you_mean(name, known) if known else "class MyNetwork(nn.Module): …"
        raise UsageError("adopt-class", given=repr(name), path=path.name, hint=hint)
    found = vars(file)[name]
    if isinstance(found, nn.Module) or (isinstance(found, type) and issubclass(found, nn.Module)):
        return found
    raise UsageError("adopt-not-module", name=name, given=type(found).__name__, path=path.name)


def _run(path: Path) -> ModuleType:
    try:
        there = path.is_file()
    except OSError as error:
        # A name longer than names may be; a folder that is somebody else's.
        raise DataError("adopt-file", given=f"{path}: {error.strerror}") from None
    if not there:
        raise DataError("adopt-file", given=str(path))
    specification = importlib.util.spec_from_file_location(f"sumtoone_adopted_{path.stem}", path.resolve())
    if specification is None or specification.loader is None:
        raise DataError("adopt-file", given=str(path))
    file = importlib.util.module_from_spec(specification)
    with _as_script(path, file):
        try:
            specification.loader.exec_module(file)
        except SyntaxError as error:
            line = f"{Path(error.filename).name if error.filename else path.name}:{error.lineno}"
            raise DataError("adopt-import", path=path, line=line, why=f"SyntaxError: {error.msg}") from None
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {_first_line(error)}"
            raise DataError("adopt-import", path=path, why=why, line=_line(error, path)) from None
    return file


@contextmanager
def _as_script(path: Path, file: ModuleType) -> Iterator[None]:
    """Let the file import its neighbours, as a script does, and leave no compiled files beside it."""
    folder, writes_nothing = str(path.resolve().parent), sys.dont_write_bytecode
    before = set(sys.modules)
    sys.path.insert(0, folder)
    sys.modules[file.__name__] = file
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_nothing
        sys.path.remove(folder)
        # The next file may have other neighbours of the same names.
        for name in set(sys.modules) - before:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder + os.sep):
                del sys.modules[name]


def _first_line(error: BaseException) -> str:
    return (str(error) or "…").splitlines()[0]


def _line(error: BaseException, path: Path) -> str:
    """Return the last line of the person's own file that an error came through."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path.resolve()
    ]
    return f"{path.name}:{lines[-1]}" if lines else path.name
