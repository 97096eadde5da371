"""What a folder of runs holds, from their small files alone: no weights, no torch, and no run's damage is another's."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sumtoone.errors import RunError
from sumtoone.history import MOST_ROW, History
from sumtoone.intervals import Interval, wilson
from sumtoone.language.display import printable
from sumtoone.options import COUNTS, TrainingOptions
from sumtoone.run_folder import MOST_JSON, as_path, read_file, told, unreadable
from sumtoone.storage import is_number, json_from_bytes, json_to_bytes, read_regular, write_atomically

STATES = ("finished", "unfinished", "diverged", "damaged")
DIVERGED = "diverged.json"
# A comparison's folder holds runs, and a folder of comparisons those; what lies deeper is somebody else's.
_DEEPEST = 4
_CHECKPOINT = re.compile(r"(\d{6,18})-\d{6,18}\.json", re.ASCII)
_BOOK = re.compile(r"book-[01]\.jsonl", re.ASCII)


@dataclass(frozen=True)
class Listed:
    """A run as its folder tells of it; None for what it does not tell.

    ``state`` is ``"finished"``, ``"unfinished"``, ``"diverged"`` or ``"damaged"``; ``epochs`` are those that are over,
    ``of`` those that there will be; ``accuracy`` is that of the last epoch on ``rows`` validation rows.
    """

    path: Path
    state: str
    network: str | None = None
    activation: str | None = None
    data: str | None = None
    seed: int | None = None
    epochs: int | None = None
    of: int | None = None
    optimizer: str | None = None
    lr: float | None = None
    batch_size: int | None = None
    accuracy: float | None = None
    rows: int | None = None
    seconds: float | None = None
    why: str | None = None

    @property
    def interval(self) -> Interval | None:
        """What the validation rows say of the accuracy (Wilson 1927); None where their number is not known."""
        return wilson(self.right, self.rows) if self.right is not None and self.rows else None

    @property
    def right(self) -> int | None:
        """How many validation rows were predicted right; None where that is not known."""
        return None if self.accuracy is None or self.rows is None else round(self.accuracy * self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "path": str(self.path),
            "state": self.state,
            "network": self.network,
            "activation": self.activation,
            "data": self.data,
            "seed": self.seed,
            "epochs": self.epochs,
            "of": self.of,
            "optimizer": self.optimizer,
            "lr": self.lr,
            "batch_size": self.batch_size,
            "validation_accuracy": self.accuracy,
            "interval": None if self.interval is None else list(self.interval),
            "seconds": self.seconds,
            "why": self.why,
        }


def list_runs(folder: str | Path) -> list[Listed]:
    """Return the runs in a folder and in the folders below it, a few deep; or itself, where it is one.

    The best validation accuracy comes first, data set by data set; what has none comes last.

    Raises
    ------
    RunError
        If there is no such folder, or it may not be read.
    """
    top = as_path(folder)
    try:
        next(top.iterdir(), None)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise RunError("run-missing", given=printable(top)) from None
    except OSError as error:
        raise unreadable(top, error) from None
    found = [read(path) for path in _runs_below(top, _DEEPEST)]
    return sorted(found, key=lambda run: (run.accuracy is None, run.data or "", -(run.accuracy or 0.0), str(run.path)))


def read(folder: Path) -> Listed:
    """Return what a run's folder says; what cannot be read makes it damaged, and says why."""
    try:
        if os.path.lexists(folder / "run.json"):
            return _finished(folder)
        if os.path.lexists(folder / DIVERGED):
            document = read_file(folder / DIVERGED, MOST_JSON, json_from_bytes)
            return Listed(folder, "diverged", **_named(document, document), epochs=document["epoch"] - 1)
        return _unfinished(folder)
    except (RunError, OSError) as error:
        return Listed(folder, "damaged", why=error.got if isinstance(error, RunError) else str(error))
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        # Whatever stands in a file whose digest somebody put right.
        return Listed(folder, "damaged", why=f"{folder}: {(str(error) or type(error).__name__).splitlines()[0]}")


def finished_history(folder: Path) -> tuple[dict[str, Any], History] | None:
    """Return what stands in ``run.json``, and the history held against its digest; None where no run is finished.

    Raises
    ------
    RunError
        If one of the two is damaged.
    """
    if not os.path.lexists(folder / "run.json"):
        return None
    document = read_file(folder / "run.json", MOST_JSON, json_from_bytes)
    try:
        digest, epochs = str(document["digests"]["history.jsonl"]), document["options"]["epochs"]
    except (LookupError, TypeError):
        raise RunError("run-damaged", given=f"{folder / 'run.json'}: no digests") from None
    most = MOST_ROW * _whole(epochs, COUNTS["epochs"][1])
    return document, read_file(folder / "history.jsonl", most, History.from_bytes, digest)


def write_diverged(folder: Path, document: Mapping[str, Any]) -> None:
    """Keep that a training diverged, so that it is not begun again."""
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / DIVERGED, json_to_bytes(document))


def read_diverged(folder: Path) -> dict[str, Any] | None:
    """Return what :func:`write_diverged` kept; None where it kept nothing."""
    if not os.path.lexists(folder / DIVERGED):
        return None
    return read_file(folder / DIVERGED, MOST_JSON, json_from_bytes)


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the folders that hold a run, finished or not; nothing is looked for inside of one, nor behind a link."""
    try:
        with os.scandir(folder) as entries:
            there = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        # One that may not be read is not ours.
        return
    names = {entry.name for entry in there}
    if {"run.json", "checkpoints", DIVERGED} & names:
        yield folder
        return
    for entry in there:
        if depth and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield from _runs_below(Path(entry.path), depth - 1)


def _finished(folder: Path) -> Listed:
    read_back = finished_history(folder)
    assert read_back is not None, "run.json is there"
    document, history = read_back
    # After early stopping the run holds the weights of its best epoch; that one is its accuracy.
    held = history.held(early_stopping=document["options"].get("early_stopping") is not None)
    accuracy = math.nan if held is None else held["validation_accuracy"]
    number = (document["data"].get("splits") or {"validation": {"rows": None}})["validation"]["rows"]
    return Listed(
        folder,
        "finished",
        **_named(document, {**document["data"], "options": document["options"]}),
        epochs=len(history),
        accuracy=None if math.isnan(accuracy) else _share(accuracy),
        rows=None if number is None else _whole(number),
        seconds=math.fsum(history["seconds"]),
    )


def _unfinished(folder: Path) -> Listed:
    """Return what the names of the checkpoints and the first line of a book say: the task, and how far it is."""
    there = sorted(path.name for path in (folder / "checkpoints").iterdir())
    epochs = [int(match[1]) for match in map(_CHECKPOINT.fullmatch, there) if match]
    books = [name for name in there if _BOOK.fullmatch(name)]
    task: Mapping[str, Any] = {}
    for name in books:
        first = read_regular(folder / "checkpoints" / name, MOST_JSON).partition(b"\n")[0]
        try:
            task = json.loads(first)
            break
        except (ValueError, RecursionError):
            continue
    named = _named(task, task) if task else {}
    return Listed(folder, "unfinished", **named, epochs=max(epochs, default=None))


def _named(described: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network, the data and the options that two documents name."""
    sizes, options = described["specification"], data["options"]
    if sizes is None:
        named: dict[str, Any] = {"network": _text(described["module"]["class"]), "activation": None}
    else:
        named = {"network": _text(sizes["sizes"]), "activation": _text(sizes["activation"])}
    named |= {"data": _text(data["source"]), "seed": _whole(options["seed"], COUNTS["seed"][1])}
    named |= {"of": _whole(options["epochs"]), "batch_size": _whole(options["batch_size"])}
    return {**named, "optimizer": _text(options["optimizer"]), "lr": _rate(options)}


def _whole(value: Any, most: int = 2**53) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _rate(options: Mapping[str, Any]) -> float:
    lr = options["lr"]
    # What was left to the default is told as what it was.
    lr = TrainingOptions(optimizer=options["optimizer"]).learning_rate if lr is None else lr
    if not is_number(lr):
        raise ValueError(f"{lr!r} is no learning rate")
    return float(lr)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _share(value: Any) -> float:
    if not (is_number(value) and 0 <= value <= 1):
        raise ValueError(f"{value!r} is no share")
    return float(value)
