"""What happened while a network was trained: a row for each epoch, as values and as the lines of a file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sumtoone.language import html, text
from sumtoone.storage import finite, is_number, json_line

# Bytes of a row in a file, at the most.
MOST_ROW = 1_000
# What a row always holds, beside its own number.
_MEASURES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds")


@dataclass(frozen=True)
class History:
    """What happened in each epoch, as rows of plain values.

    >>> history = History(({"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}))
    >>> history["train_loss"], len(history)
    ((0.5, 0.25), 2)
    """

    rows: tuple[Mapping[str, Any], ...] = ()

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        return tuple(row[name] for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return "\n  ".join([text("shown.history", epochs=len(self)), *self.summary])

    def _repr_html_(self) -> str:
        return html.shown([text("shown.history", epochs=len(self)), *self.summary], *self.table)

    def held(self, *, early_stopping: bool) -> Mapping[str, Any] | None:
        """Return the row of the epoch whose weights a run holds: the last, or the first of the lowest validation loss.

        None where there is no row.

        >>> losses = [0.5, 0.2, 0.2]
        >>> history = History(tuple({"epoch": n, "validation_loss": loss} for n, loss in enumerate(losses, start=1)))
        >>> history.held(early_stopping=True)["epoch"], history.held(early_stopping=False)["epoch"]
        (2, 3)
        """
        measured = [row for row in self.rows if math.isfinite(row["validation_loss"])] if early_stopping else []
        return min(measured, key=lambda row: row["validation_loss"]) if measured else next(reversed(self.rows), None)

    @property
    def summary(self) -> list[str]:
        """How the loss fell and what the validation rows said, as two lines in the language in force."""
        losses, accuracies = self._measured("train_loss"), self._measured("validation_accuracy")
        lines = [text("shown.no-loss"), text("shown.no-accuracy")]
        if losses:
            lines[0] = text("shown.loss", first=losses[0][1], last=losses[-1][1])
        if accuracies:
            best = max(accuracies, key=lambda each: each[1])
            lines[1] = text("shown.accuracy", last=accuracies[-1][1], best=best[1], epoch=best[0])
        return lines

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """What was measured in each epoch, as the head and the rows of a table."""
        names = _MEASURES[:-1]
        head = [text("shown.epoch"), *(text(f"shown.{name}") for name in names)]
        return head, [
            [f"{epoch:,}", *(_written(name, row.get(name)) for name in names)]
            for epoch, row in enumerate(self, start=1)
        ]

    def _measured(self, name: str) -> list[tuple[int, float]]:
        """Return a measure with the number of each epoch in which there is one."""
        found = [(epoch, row.get(name)) for epoch, row in enumerate(self, start=1)]
        return [(epoch, value) for epoch, value in found if value is not None and not math.isnan(value)]

    @classmethod
    def from_json(cls, rows: Any) -> History:
        """Return the history of rows that were read from a file; ``ValueError`` if they are none.

        JSON has no word for NaN, the loss on validation rows where there are none: None stands for it there.
        """
        if not isinstance(rows, list):
            raise ValueError("the history is no list")
        return cls(tuple(_row(row, place) for place, row in enumerate(rows, start=1)))

    def to_json(self) -> list[dict[str, Any]]:
        """Return the rows as plain values."""
        return [finite(row) for row in self.rows]

    @classmethod
    def from_bytes(cls, content: bytes) -> History:
        """Return the history in a file of lines; ``ValueError`` if it is none."""
        try:
            return cls.from_json([json.loads(line) for line in content.splitlines()])
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def to_bytes(self) -> bytes:
        """Return the rows as lines of JSON."""
        return "".join(json_line(row) + "\n" for row in self.rows).encode()


def _written(name: str, value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.4f}"


def _row(row: Any, epoch: int) -> dict[str, Any]:
    if not isinstance(row, dict) or row.get("epoch") != epoch or isinstance(row["epoch"], bool):
        raise ValueError(f"row {epoch} of the history is none")
    for name in _MEASURES:
        value = row.get(name, "")
        if not (value is None or is_number(value) or (isinstance(value, float) and math.isnan(value))):
            raise ValueError(f"row {epoch} of the history has no {name}")
    return {**row, **{name: math.nan if row[name] is None else float(row[name]) for name in _MEASURES}}
