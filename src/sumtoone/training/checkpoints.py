"""Checkpoints that survive ``kill -9``: tensors first, then the JSON that makes them count.

``checkpoints/`` holds pairs ``000012-000340.safetensors`` and ``.json``, named by finished epochs and steps; each JSON
carries the sha256 of its tensors and of itself. What only grows is in a book, ``book-0.jsonl``, which is appended to
now and then: the task in its first line, then a row of the history for each epoch. The JSON carries the latest rows,
and the size and the sha256 of the part of the book that is its own. So a checkpoint costs as much after a million
epochs as after the first. Pairs take turns with two books, and the newest two are kept, so that a damaged one has a
predecessor. What bears another name is somebody else's, and stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sumtoone.errors import RunError
from sumtoone.run_folder import MOST_JSON, told
from sumtoone.storage import (
    finite,
    json_from_bytes,
    json_line,
    json_to_bytes,
    read_regular,
    tensors_from_bytes,
    tensors_to_bytes,
    write_atomically,
)
from sumtoone.training.state import Progress

_KEPT = 2
# So many rows of the history a checkpoint holds itself, before they go into a book.
_LATEST = 32
_BEST = "best."
_PAIR = re.compile(r"(\d{6,18}-\d{6,18})\.(json|safetensors)", re.ASCII)
_BOOK = re.compile(r"book-[01]\.jsonl", re.ASCII)
_PART = re.compile(rf"\.({_PAIR.pattern}|{_BOOK.pattern})\.[0-9a-f]{{16}}\.part", re.ASCII)


class Checkpoints:
    """What writes the checkpoints of one training into ``folder/checkpoints``."""

    def __init__(self, folder: Path, task: Mapping[str, Any]) -> None:
        self._folder = folder
        self._books = [_Book(_home(folder) / f"book-{number}.jsonl", task) for number in range(_KEPT)]
        self._saved = 0

    def save(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Write one checkpoint and drop all but the newest two.

        Raises
        ------
        RunError
            If it cannot be written, for instance because the disk is full; earlier checkpoints stay.
        """
        checkpoints = _home(self._folder)
        stem = f"{progress.epoch:06d}-{progress.step:06d}"
        best = {_BEST + name: tensor for name, tensor in progress.best.items()}
        number = self._saved % _KEPT
        with told(checkpoints):
            checkpoints.mkdir(exist_ok=True)
            content = tensors_to_bytes({**tensors, **best})
            digest = write_atomically(checkpoints / f"{stem}.safetensors", content, last=False)
            book, latest = self._books[number].written(progress.rows)
            document = {
                "progress": {**progress.to_json(), "rows": latest},
                "book": {"number": number, **book},
                "sha256": digest,
            }
            write_atomically(checkpoints / f"{stem}.json", json_to_bytes(document, indent=None))
            _remove(checkpoints, keep=stems(self._folder)[:_KEPT])
        self._saved += 1


class _Book:
    """A file of lines, the task and the rows of the history, of which the first so many bytes are a checkpoint's."""

    def __init__(self, path: Path, task: Mapping[str, Any]) -> None:
        self._path, self._task = path, task
        self._rows = self._size = 0
        self._digest = hashlib.sha256()

    def written(self, rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[Any]]:
        """Write rows to the disk where there are many new ones.

        Return the size and the sha256 of what is there, and the rows that are not.
        """
        latest = [finite(row) for row in rows[self._rows :]]
        if self._size and len(latest) < _LATEST:
            return self._seal(), latest
        # Whatever lies there of a training that was interrupted, or of somebody else, is replaced and not written to.
        content = b"".join(map(_line, latest if self._size else [self._task, *latest]))
        if not self._size:
            write_atomically(self._path, content, last=False)
        else:
            with self._path.open("r+b") as file:
                file.seek(self._size)
                file.write(content)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
        self._digest.update(content)
        self._rows, self._size = len(rows), self._size + len(content)
        return self._seal(), []

    def _seal(self) -> dict[str, Any]:
        return {"size": self._size, "sha256": self._digest.hexdigest()}


def _line(document: Mapping[str, Any]) -> bytes:
    return json_line(document).encode() + b"\n"


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
    """Return the JSON of a checkpoint and what its book holds; ``OSError`` or ``ValueError`` where it is not whole."""
    document = json_from_bytes(read_regular(_home(folder) / f"{stem}.json", MOST_JSON))
    book = document.pop("book", None)
    # Checkpoints of old held it all themselves.
    if book is not None:
        if not isinstance(book, dict) or not isinstance(document.get("progress"), dict):
            raise ValueError("no book")
        number, size = book.get("number"), book.get("size")
        if number not in range(_KEPT) or type(size) is not int:
            raise ValueError("no book")
        content = read_regular(_home(folder) / f"book-{number}.jsonl", MOST_JSON)[: max(0, size)]
        if len(content) != size or hashlib.sha256(content).hexdigest() != book.get("sha256"):
            raise ValueError(f"book-{number}.jsonl: digest does not match")
        try:
            document["task"], *rows = map(json.loads, content.splitlines())
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(document["progress"].get("rows"), list):
            raise ValueError("no rows")
        document["progress"]["rows"] = rows + document["progress"]["rows"]
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
    # A JSON goes before its tensors and its book: without it neither counts.
    for name in sorted(files, key=lambda name: (not name.endswith(".json"), name)):
        match = _PAIR.fullmatch(name)
        if match[1] not in keep if match else _PART.fullmatch(name) or (not keep and _BOOK.fullmatch(name)):
            (checkpoints / name).unlink(missing_ok=True)


def _home(folder: Path) -> Path:
    checkpoints = folder / "checkpoints"
    if checkpoints.is_symlink():
        raise RunError("run-folder", given=f"{checkpoints}: a link")
    return checkpoints
