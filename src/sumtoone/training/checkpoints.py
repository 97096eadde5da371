"""Checkpoints that survive ``kill -9``: tensors first, then the JSON that makes them count.

``checkpoints/`` holds pairs ``000012-000340.safetensors`` and ``.json``, named by finished epochs and
steps; each JSON carries the sha256 of its tensors and of itself. The newest two pairs are kept, so that
a damaged one has a predecessor. What bears another name is somebody else's, and stays.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sumtoone.errors import RunError
from sumtoone.run_folder import MOST_JSON, told
from sumtoone.storage import (
    json_from_bytes,
    json_to_bytes,
    read_regular,
    tensors_from_bytes,
    tensors_to_bytes,
    write_atomically,
)
from sumtoone.training.state import Progress

_KEPT = 2
_BEST = "best."
_PAIR = re.compile(r"(\d{6,18}-\d{6,18})\.(json|safetensors)", re.ASCII)
_PART = re.compile(rf"\.{_PAIR.pattern}\.[0-9a-f]{{16}}\.part", re.ASCII)


def save_checkpoint(folder: Path, progress: Progress, tensors: Mapping[str, Tensor], task: Mapping[str, Any]) -> None:
    """Write one checkpoint into ``folder/checkpoints`` and drop all but the newest two.

    Raises
    ------
    RunError
        If it cannot be written, for instance because the disk is full; earlier checkpoints stay.
    """
    checkpoints = _home(folder)
    stem = f"{progress.epoch:06d}-{progress.step:06d}"
    best = {_BEST + name: tensor for name, tensor in progress.best.items()}
    with told(checkpoints):
        checkpoints.mkdir(exist_ok=True)
        digest = write_atomically(checkpoints / f"{stem}.safetensors", tensors_to_bytes({**tensors, **best}))
        document = {"progress": progress.to_json(), "task": dict(task), "sha256": digest}
        write_atomically(checkpoints / f"{stem}.json", json_to_bytes(document))
        _remove(checkpoints, keep=stems(folder)[:_KEPT])


def stems(folder: Path) -> list[str]:
    """Return the names of the checkpoints in a run's folder without their endings, the newest first."""
    checkpoints = _home(folder)
    if not checkpoints.is_dir():
        return []
    with told(checkpoints):
        matches = [_PAIR.fullmatch(path.name) for path in checkpoints.iterdir()]
    found = [match[1] for match in matches if match and match[2] == "json"]
    return sorted(found, key=lambda stem: tuple(map(int, stem.split("-"))), reverse=True)


def read_document(folder: Path, stem: str) -> dict[str, Any]:
    """Return the JSON of a checkpoint; ``OSError`` or ``ValueError`` where it is not whole."""
    document = json_from_bytes(read_regular(_home(folder) / f"{stem}.json", MOST_JSON))
    if not isinstance(document.get("task"), dict):
        raise ValueError("no task")
    return document


def read_state(folder: Path, stem: str, document: Mapping[str, Any], most: int) -> tuple[Progress, dict[str, Tensor]]:
    """Return progress and tensors of a checkpoint whose tensors take ``most`` bytes at the most.

    ``OSError`` or ``ValueError`` where it is not whole.
    """
    content = read_regular(_home(folder) / f"{stem}.safetensors", most)
    if hashlib.sha256(content).hexdigest() != document.get("sha256"):
        raise ValueError(f"{stem}.safetensors: digest does not match")
    tensors = tensors_from_bytes(content)
    best = {name.removeprefix(_BEST): tensor for name, tensor in tensors.items() if name.startswith(_BEST)}
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(_BEST)}
    return Progress.from_json(document.get("progress"), best), rest


def newest_checkpoint(folder: Path) -> tuple[Progress, dict[str, Tensor], dict[str, Any]]:
    """Return progress, tensors and task of the newest checkpoint; ``OSError`` or ``ValueError`` if it is not whole."""
    stem = stems(folder)[0]
    document = read_document(folder, stem)
    return *read_state(folder, stem, document, MOST_JSON), document["task"]


def remove_checkpoints(folder: Path) -> None:
    """Remove the files that this module wrote into ``checkpoints/``, and the folder if nothing else is in it."""
    checkpoints = _home(folder)
    if not checkpoints.is_dir():
        return
    with told(checkpoints):
        _remove(checkpoints, keep=[])
        if not any(checkpoints.iterdir()):
            checkpoints.rmdir()


def _remove(checkpoints: Path, keep: list[str]) -> None:
    """Remove the pairs that are not to be kept, and files that were never finished."""
    with os.scandir(checkpoints) as entries:
        files = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    for name in sorted(files):  # a JSON goes before its tensors: a pair without it no longer counts
        match = _PAIR.fullmatch(name)
        if match[1] not in keep if match else _PART.fullmatch(name):
            (checkpoints / name).unlink(missing_ok=True)


def _home(folder: Path) -> Path:
    checkpoints = folder / "checkpoints"
    if checkpoints.is_symlink():
        raise RunError("run-folder", path=str(checkpoints), why="a link")
    return checkpoints
