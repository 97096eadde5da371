"""Checkpoints that survive ``kill -9``: tensors first, then the JSON that makes them count.

``checkpoints/`` holds pairs ``000012-000340.safetensors`` and ``.json``, named by finished epochs and
steps; each JSON carries the sha256 of its tensors and of itself. The newest two pairs are kept, so that
a damaged one has a predecessor.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from sumtoone.errors import RunError
from sumtoone.language import text
from sumtoone.storage import json_from_bytes, json_to_bytes, tensors_from_bytes, tensors_to_bytes, write_atomically
from sumtoone.training.state import Progress

_KEPT = 2
_BEST = "best."


def save_checkpoint(folder: Path, progress: Progress, tensors: Mapping[str, Tensor], task: Mapping[str, Any]) -> None:
    """Write one checkpoint into ``folder/checkpoints`` and drop all but the newest two.

    Raises
    ------
    RunError
        If it cannot be written, for instance because the disk is full; earlier checkpoints stay.
    """
    checkpoints = folder / "checkpoints"
    stem = f"{progress.epoch:06d}-{progress.step:06d}"
    best = {_BEST + name: tensor for name, tensor in progress.best.items()}
    plain = {name: value for name, value in asdict(_without_tensors(progress)).items() if name != "best"}
    try:
        checkpoints.mkdir(exist_ok=True)
        digest = write_atomically(checkpoints / f"{stem}.safetensors", tensors_to_bytes({**tensors, **best}))
        document = {"progress": plain, "task": dict(task), "sha256": digest}
        write_atomically(checkpoints / f"{stem}.json", json_to_bytes(document))
    except OSError as error:
        raise RunError("run-folder", path=str(checkpoints), why=error.strerror or str(error)) from None
    for old in _stems(checkpoints)[:-_KEPT]:
        # The JSON goes first: a pair without it no longer counts.
        (checkpoints / f"{old}.json").unlink(missing_ok=True)
        (checkpoints / f"{old}.safetensors").unlink(missing_ok=True)


def newest_checkpoint(folder: Path) -> tuple[Progress, dict[str, Tensor], dict[str, Any]]:
    """Return progress, tensors and task of the newest whole checkpoint, with a warning for each damaged one.

    Raises
    ------
    RunError
        If the folder has no whole checkpoint.
    """
    checkpoints = folder / "checkpoints"
    stems = _stems(checkpoints)
    for stem in reversed(stems):
        try:
            return _read(checkpoints, stem)
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(text("training.damaged-checkpoint", name=f"{stem}.json", why=str(error)), stacklevel=2)
    raise RunError("run-no-checkpoint", path=str(folder), count=len(stems))


def remove_checkpoints(folder: Path) -> None:
    """Remove ``checkpoints/`` with the files that this module wrote there."""
    checkpoints = folder / "checkpoints"
    for path in [*checkpoints.glob("*.json"), *checkpoints.glob("*.safetensors"), *checkpoints.glob(".*.part")]:
        path.unlink(missing_ok=True)
    if checkpoints.is_dir() and not any(checkpoints.iterdir()):
        checkpoints.rmdir()


def _stems(checkpoints: Path) -> list[str]:
    return sorted(path.stem for path in checkpoints.glob("*.json"))


def _read(checkpoints: Path, stem: str) -> tuple[Progress, dict[str, Tensor], dict[str, Any]]:
    document = json_from_bytes((checkpoints / f"{stem}.json").read_bytes())
    content = (checkpoints / f"{stem}.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != document["sha256"]:
        raise ValueError(f"{stem}.safetensors: digest does not match")
    tensors = tensors_from_bytes(content)
    best = {name.removeprefix(_BEST): tensor for name, tensor in tensors.items() if name.startswith(_BEST)}
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(_BEST)}
    return Progress(**document["progress"], best=best), rest, document["task"]


def _without_tensors(progress: Progress) -> Progress:
    # asdict() would copy every tensor only to have it dropped.
    return Progress(**{**vars(progress), "best": {}})
