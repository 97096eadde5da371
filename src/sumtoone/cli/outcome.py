"""What ``sumtoone train`` says of a training: of its columns before, of its end, and of its outcome."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sumtoone.cli.common import warn
from sumtoone.errors import TrainingError
from sumtoone.language import text
from sumtoone.language.lines import listed

if TYPE_CHECKING:
    from sumtoone.data import Dataset
    from sumtoone.runs import Run

# Of fewer rows, whole numbers that all differ are no wonder.
_FEWEST_ROWS = 50
_MOST_COLUMNS = 5


def odd_columns(dataset: Dataset) -> list[str]:
    """Return a word about columns that only number the rows, and about those that never change."""
    import torch

    if dataset.columns is None or len(dataset.train) < _FEWEST_ROWS:
        return []
    x, words = dataset.train.inputs, []
    still = (x == x[:1]).all(dim=0)
    start = x[:_FEWEST_ROWS].sort(dim=0).values
    likely = (start % 1 == 0).all(dim=0) & (start[1:] != start[:-1]).all(dim=0)
    numbering = [place for place in torch.nonzero(likely).flatten().tolist() if len(x[:, place].unique()) == len(x)]
    for code, places in (("numbering", numbering), ("constant", torch.nonzero(still).flatten().tolist())):
        if places:
            shown = listed([dataset.columns[place] for place in places], _MOST_COLUMNS)
            words.append(text(f"cli.train.{code}", names=shown, rows=f"{len(x):,}"))
    return words


@contextmanager
def told(folder: Path, out: Path | None, again: Sequence[str]) -> Iterator[None]:
    """Say what is left of a training that ends before its time, and how to go on."""
    from sumtoone import snapshots
    from sumtoone.training.checkpoints import remove_checkpoints, stems

    try:
        yield
    except KeyboardInterrupt:
        if stems(folder):
            words = ["sumtoone", "train", "--out", str(folder), "--resume", *again]
            warn(text("cli.train.interrupted", out=folder, command=shlex.join(words)))
        raise
    except TrainingError:
        left = [stem for stem in stems(folder) if int(stem.partition("-")[0])]
        if not left:
            # The start weights are nothing to go on from, and would block the folder for the next try.
            remove_checkpoints(folder)
            snapshots.remove(folder)
            with suppress(OSError):
                folder.rmdir()
        # A folder that was asked for by its name is free for the next try.
        place = folder if out is None or not left else _moved_aside(folder)
        epoch = int(left[0].partition("-")[0]) if left else 0
        warn(text("cli.train.diverged" if left else "cli.train.nothing-left", out=place, epoch=epoch))
        raise


def _moved_aside(folder: Path) -> Path:
    """Give what is left of a training another name, and return it."""
    for number in count(1):
        aside = folder.with_name(f"{folder.name}-diverged" + (f"-{number}" if number > 1 else ""))
        if not aside.exists():
            folder.rename(aside)
            return aside
    raise AssertionError("numbers do not end")


def _share(accuracy: float, run: Run) -> str:
    """Return an accuracy on validation rows, with its interval where the run knows how many they were."""
    from sumtoone.intervals import with_interval

    rows = run.splits["validation"]["rows"] if run.splits else 0
    return with_interval(round(accuracy * rows), rows) if rows else f"{accuracy:.2%}"


@dataclass(frozen=True)
class Outcome:
    """What became of a training: the numbers of the epoch whose weights the run holds, and of the best one."""

    epochs: int
    kept: int
    accuracy: float | None
    best: int
    best_accuracy: float | None
    stopped: bool | None
    words: tuple[str, ...]

    @classmethod
    def of(cls, run: Run) -> Outcome:
        """Return what the history of a run says."""
        rows, patience, epochs = run.history.rows, run.options.early_stopping, run.options.epochs
        numbers = {"epochs": epochs, "last": len(rows), "patience": patience}
        last = len(rows)
        if not rows or not math.isfinite(rows[0]["validation_loss"]):
            return cls(last, last, None, last, None, None, (text("cli.train.no-validation"),))
        accuracies = [row["validation_accuracy"] for row in rows]
        best = 1 + accuracies.index(max(accuracies))
        held = run.history.held(early_stopping=patience is not None)
        assert held is not None, "there are rows"
        kept = held["epoch"]
        stopped = None if patience is None else last < epochs
        accuracy, most = accuracies[kept - 1], accuracies[best - 1]
        shown = {
            "accuracy": _share(accuracy, run),
            "best": _share(most, run),
            "epoch": kept,
            "at": best,
            "epochs": epochs,
        }
        words = [text("cli.train.validation" if stopped is None else "cli.train.validation-kept", **shown)]
        if stopped is not None:
            words.insert(0, text("cli.train.stopped" if stopped else "cli.train.not-stopped", **numbers))
        return cls(last, kept, accuracy, best, most, stopped, tuple(words))

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as the last line of ``--json`` holds them."""
        return {
            "epochs": self.epochs,
            "epoch": self.kept,
            "validation_accuracy": self.accuracy,
            "best_epoch": self.best,
            "best_validation_accuracy": self.best_accuracy,
            "stopped_early": self.stopped,
        }
