"""The weights of every epoch, kept beside a run so that one can look back at how it learned.

``snapshots/000003.safetensors`` holds those after epoch 3, ``000000`` the start weights. Their digests stand in
``run.json`` with those of the run's other files.
"""

from __future__ import annotations

import copy
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sumtoone.description import load
from sumtoone.errors import RunError
from sumtoone.run_folder import digests as recorded
from sumtoone.run_folder import exists, read_file, told
from sumtoone.storage import tensors_from_bytes, tensors_to_bytes, write_atomically

if TYPE_CHECKING:
    from torch import nn

    from sumtoone.runs import Run

_NAME = re.compile(r"snapshots/(\d{6,7})\.safetensors", re.ASCII)
_PART = re.compile(r"\.\d{6,7}\.safetensors\.[0-9a-f]{16}\.part", re.ASCII)
# What a file of tensors takes beside the tensors.
_HEADERS = 2**20


def write(folder: Path, epoch: int, network: nn.Module) -> None:
    """Keep a network's weights as those after ``epoch`` epochs, in a folder whose lock is held."""
    home = _home(folder)
    with told(home):
        home.mkdir(exist_ok=True)
        write_atomically(folder / _name(epoch), tensors_to_bytes(network.state_dict()))


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each snapshot by its name in the run's folder; what no writer finished goes."""
    home = _home(folder)
    if not home.is_dir():
        return {}
    found = {}
    for path in sorted(home.iterdir()):
        if _PART.fullmatch(path.name):
            path.unlink()
        elif _NAME.fullmatch(f"snapshots/{path.name}"):
            with path.open("rb") as file:
                found[f"snapshots/{path.name}"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def remove(folder: Path) -> None:
    """Remove the snapshots of a training that left nothing else, and their folder if nothing else is in it."""
    home = _home(folder)
    if not home.is_dir():
        return
    for path in home.iterdir():
        if _NAME.fullmatch(f"snapshots/{path.name}") or _PART.fullmatch(path.name):
            path.unlink()
    if not any(home.iterdir()):
        home.rmdir()


def epochs(folder: Path) -> tuple[int, ...]:
    """Return the epochs whose weights a finished run has kept, from 0, the start; none where it kept none.

    Raises
    ------
    RunError
        If there is no run, or it is damaged.

    Examples
    --------
    >>> import sumtoone as s1
    >>> network, data = s1.Network("784-16-10"), s1.load("digits")
    >>> run = s1.fit(network, data, epochs=2, snapshots=True, out="runs/kept")
    >>> epochs(Path("runs/kept"))
    (0, 1, 2)
    """
    return tuple(sorted(int(match[1]) for match in map(_NAME.fullmatch, recorded(folder)) if match))


def network(run: Run, folder: Path, epoch: int) -> nn.Module:
    """Return the run's network as it was after ``epoch`` epochs; the run's own is left as it is.

    Raises
    ------
    RunError
        If that epoch was not kept, or its file is damaged, missing or another network's.
    """
    digest = recorded(folder).get(_name(epoch))
    if digest is None:
        raise RunError("run-snapshot", path=str(folder), epoch=epoch, kept=len(epochs(folder)))
    made = copy.deepcopy(run.network)
    most = sum(tensor.nbytes for tensor in made.state_dict().values()) + _HEADERS
    load(made, read_file(folder / _name(epoch), most, tensors_from_bytes, digest), str(folder))
    return made.eval()


def _name(epoch: int) -> str:
    return f"snapshots/{epoch:06d}.safetensors"


def _home(folder: Path) -> Path:
    home = folder / "snapshots"
    if exists(home) and (home.is_symlink() or not home.is_dir()):
        raise RunError("run-folder", given=f"{home}: no folder of its own")
    return home
