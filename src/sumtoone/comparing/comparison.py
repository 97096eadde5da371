"""What a comparison found, as a value: its rows, its table, and what may be said of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from sumtoone.comparing.grid import Contender
from sumtoone.comparing.intervals import (
    FEWEST_SEEDS,
    Interval,
    band,
    epochs_to_reach,
    mean_interval,
    paired_difference,
    share_interval,
)
from sumtoone.language import html, text
from sumtoone.language.lines import aligned, listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Statement:
    """A sentence that may be said: it carries its intervals and the number of its seeds.

    Parameters
    ----------
    kind
        ``"epochs"``: how many a contender takes to reach the level, or two and their difference; ``"share"``: from how
        many of its seeds it does, where it is not all; ``"early"``: from how many within the first epoch, of which
        nothing closer is known; ``"accuracy"``: that of two after the last epoch, and their difference.
    contenders
        One name, or two; the difference is the second's less the first's.
    seeds
        How many there are.
    estimates
        An interval for each contender.
    difference
        Paired by seed, where there are two contenders.
    """

    kind: str
    contenders: tuple[str, ...]
    seeds: int
    reach: float
    epochs: int
    estimates: tuple[Interval, ...]
    difference: Interval | None = None

    def __str__(self) -> str:
        share = self.kind != "epochs"
        shown = [_shown(each, percent=share) for each in self.estimates]
        fields: dict[str, Any] = {"seeds": self.seeds, "reach": _percent(self.reach), "epochs": self.epochs}
        if self.kind in ("share", "early"):
            fields["count"] = round(self.estimates[0].value * self.seeds)
        if self.difference is None:
            return text(f"compare.{self.kind}-one", first=self.contenders[0], a=shown[0], **fields)
        size, low, high = self.difference.value, self.difference.low, self.difference.high
        if size < 0:
            size, low, high = -size, -high, -low
        # The one that is ahead comes first.
        turned = (self.difference.value < 0) is (self.kind == "epochs") and self.difference.value != 0
        first, second = (1, 0) if turned else (0, 1)
        fields |= {"first": self.contenders[first], "a": shown[first]}
        fields |= {"second": self.contenders[second], "b": shown[second]}
        fields["difference"] = _shown(Interval(size, low, high), percent=share, points=share)
        return text(f"compare.{self.kind}-two", **fields) + ("" if low > 0 else text("compare.open"))

    def to_json(self) -> dict[str, Any]:
        """Return plain values, and the sentence in the language in force."""
        return {
            "kind": self.kind,
            "contenders": list(self.contenders),
            "seeds": self.seeds,
            "reach": self.reach,
            "epochs": self.epochs,
            "estimates": [each.to_json() for each in self.estimates],
            "difference": None if self.difference is None else self.difference.to_json(),
            "text": str(self),
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """Contenders, each trained from the same seeds, and what their validation rows say.

    Parameters
    ----------
    contenders
        In the order of the grid, each with the learning rate that was chosen; differences are to the first.
    seeds, epochs
        What each was trained from, and for how long.
    reach
        The validation accuracy that is to be reached.
    rows
        One for each training, those that chose learning rates included (``tuning``), as plain values.
    data, out
        The name of the data set, and the folder that holds the runs.
    """

    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...]
    epochs: int
    reach: float
    rows: tuple[Mapping[str, Any], ...]
    data: str
    out: Path | None = None

    def __repr__(self) -> str:
        lines = [self._title, *aligned([tuple(self.table[0]), *map(tuple, self.table[1])])]
        return "\n".join([*lines, *map(str, self.statements), *self.notes])

    def _repr_html_(self) -> str:
        return html.shown([self._title, *map(str, self.statements), *self.notes], *self.table)

    @property
    def _title(self) -> str:
        fields = {"data": self.data, "contenders": len(self.contenders), "seeds": len(self.seeds)}
        return text("compare.title", **fields, epochs=self.epochs)

    def curves(self, contender: Contender) -> list[list[float]]:
        """Return the validation accuracies of each seed that did not diverge, a list of E for each."""
        rows = (row for row in self._rows(contender) if not row["diverged"])
        return [list(row["validation_accuracy"]) for row in rows]

    def reached(self, contender: Contender) -> list[float | None]:
        """Return after how many epochs each seed reaches it; None for one that never does, or diverges."""
        return [row["reached"] for row in self._rows(contender)]

    def final(self, contender: Contender) -> list[float]:
        """Return the validation accuracy of each seed after the last epoch; NaN where it diverged."""
        return [math.nan if row["diverged"] else row["validation_accuracy"][-1] for row in self._rows(contender)]

    def _rows(self, contender: Contender) -> list[Mapping[str, Any]]:
        own = {row["seed"]: row for row in self.rows if row["contender"] == contender.name and not row["tuning"]}
        return [own[seed] for seed in self.seeds]

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """What may be said, with its intervals and the number of seeds; nothing of fewer than three seeds."""
        if len(self.seeds) < FEWEST_SEEDS:
            return ()
        first, *others = self.contenders
        if not others:
            return tuple(self._alone(first))
        found: list[Statement] = []
        for other in others:
            found += self._pair(first, other, len(others))
        told = {name for statement in found if statement.kind == "epochs" for name in statement.contenders}
        for contender in self.contenders:
            found += [] if contender.name in told else self._alone(contender)
        return tuple(found)

    def _alone(self, contender: Contender) -> list[Statement]:
        reached = self.reached(contender)
        there = [epochs for epochs in reached if epochs is not None]
        about = ((contender.name,), len(reached), self.reach, self.epochs)
        early = sum(epochs <= 1 for epochs in there)
        # The mean of those that got there would leave the slowest out, or count the fastest as slower than they are.
        counts = {"share": len(there)} if len(there) < len(reached) else {}
        counts |= {"early": early} if early else {}
        if counts:
            return [Statement(kind, *about, (share_interval(count, len(reached)),)) for kind, count in counts.items()]
        interval = _interval(there, "epochs")
        return [] if interval is None else [Statement("epochs", *about, (interval,))]

    def _pair(self, first: Contender, other: Contender, comparisons: int) -> list[Statement]:
        found = []
        measures: dict[str, Callable[[Contender], Sequence[float | None]]]
        measures = {"epochs": self.reached, "accuracy": self.final}
        for kind, measured in measures.items():
            one, two = ([each for each in measured(name) if _known(each, kind)] for name in (first, other))
            a, b = _interval(one, kind), _interval(two, kind)
            if a is None or b is None or len(one) < len(self.seeds) or len(two) < len(self.seeds):
                continue
            about = (len(self.seeds), self.reach, self.epochs, (a, b))
            difference = paired_difference(one, two, comparisons=comparisons)
            found.append(Statement(kind, (first.name, other.name), *about, difference))
        return found

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What must be known besides: seeds that diverged, choices at an edge, too few seeds."""
        found = []
        if len(self.seeds) < FEWEST_SEEDS:
            found.append(text("compare.few", fewest=FEWEST_SEEDS, seeds=len(self.seeds)))
        for contender in self.contenders:
            rows, lr = self._rows(contender), contender.options.learning_rate
            if diverged := sum(row["diverged"] for row in rows):
                found.append(text("compare.diverged", name=contender.name, count=diverged, seeds=len(rows)))
            if contender.tried and lr in (contender.tried[0], contender.tried[-1]):
                tried = listed([f"{each:g}" for each in contender.tried])
                found.append(text("compare.edge", name=contender.name, lr=f"{lr:g}", tried=tried))
        if len({contender.specification.activation for contender in self.contenders}) > 1:
            found.append(text("compare.scaled"))
        return tuple(found)

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """The head and a row for each contender, as texts."""
        reach = _percent(self.reach)
        head = [text("compare.head-contender"), text("compare.head-lr"), text("compare.head-reached", reach=reach)]
        head += [text(f"compare.head-{name}") for name in ("epochs", "accuracy", "seconds")]
        body = []
        for contender in self.contenders:
            document = self._summary(contender)
            reached, accuracy = document["epochs"], document["validation_accuracy"]
            body.append(
                [
                    contender.name,
                    f"{contender.options.learning_rate:g}",
                    f"{document['reached']}/{len(self.seeds)}",
                    "–" if reached is None else _shown(Interval(**reached)),
                    "–" if accuracy is None else _shown(Interval(**accuracy), percent=True),
                    "–" if document["seconds"] is None else f"{document['seconds']:.2f}",
                ]
            )
        return head, body

    def _summary(self, contender: Contender) -> dict[str, Any]:
        reached = [epochs for epochs in self.reached(contender) if epochs is not None]
        final = [accuracy for accuracy in self.final(contender) if _known(accuracy, "accuracy")]
        known = len(reached) == len(self.seeds) and min(reached) > 1
        epochs = _interval(reached, "epochs") if known else None
        accuracy = _interval(final, "accuracy") if len(final) == len(self.seeds) else None
        seconds = [row["seconds"] for row in self._rows(contender) if not row["diverged"]]
        return {
            **contender.to_json(),
            "tried": list(contender.tried),
            "reached": len(reached),
            "early": sum(epochs <= 1 for epochs in reached),
            "epochs": None if epochs is None else epochs.to_json(),
            "validation_accuracy": None if accuracy is None else accuracy.to_json(),
            "seconds": math.fsum(seconds) / len(seconds) if seconds else None,
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything but the rows as plain values."""
        return {
            "data": self.data,
            "out": None if self.out is None else str(self.out),
            "seeds": list(self.seeds),
            "reach": self.reach,
            "contenders": [self._summary(contender) for contender in self.contenders],
            "statements": [statement.to_json() for statement in self.statements],
            "notes": list(self.notes),
        }

    def figure(self) -> Figure:
        """Return the picture: the mean validation accuracy of each contender over the epochs, with its interval."""
        from sumtoone.plots import Curve, comparison_curves

        curves = []
        for contender in self.contenders:
            there, every = self.curves(contender), len(self.seeds)
            name = contender.name if len(there) == every else f"{contender.name} ({len(there)}/{every})"
            found = band(there)
            means, lows, highs = ([getattr(each, name) for each in found] for name in ("value", "low", "high"))
            curves.append(Curve(name, means, lows, highs))
        return comparison_curves(curves, reach=self.reach, seeds=len(self.seeds))


def row_of(
    contender: Contender, seed: int, key: str, history: Sequence[Mapping[str, Any]], reach: float, *, tuning: bool
) -> dict[str, Any]:
    """Return what a training comes to as plain values; one without a history diverged."""
    accuracies = [row["validation_accuracy"] for row in history]
    return {
        "key": key,
        **contender.to_json(),
        "seed": seed,
        "tuning": tuning,
        "diverged": not history,
        "reached": epochs_to_reach(accuracies, reach),
        **{name: [row[name] for row in history] for name in ("train_loss", "validation_loss")},
        "validation_accuracy": accuracies,
        "seconds": math.fsum(row["seconds"] for row in history),
    }


def _known(value: float | None, kind: str) -> TypeGuard[float]:
    """Whether a seed's accuracy is there, or the epochs that it took are known and no mere bound."""
    return value is not None and not math.isnan(value) and (kind == "accuracy" or value > 1)


def _interval(values: Sequence[float], kind: str) -> Interval | None:
    """Return the mean and its interval; no accuracy is above 1, and nothing is reached before the training begins."""
    return mean_interval(values, least=0.0, most=1.0 if kind == "accuracy" else math.inf)


def _shown(interval: Interval, *, percent: bool = False, points: bool = False) -> str:
    """Return an estimate and its interval with as many digits as the interval's width bears."""
    values = [100 * value if percent else value for value in (interval.value, interval.low, interval.high)]
    width = values[2] - values[1]
    digits = min(6, max(1, -math.floor(math.log10(width)) if width > 0 else 1))
    mark = "%" if percent and not points else ""
    value, low, high = (f"{each:.{digits}f}" for each in values)
    return f"{value}{mark} [{low}, {high}]"


def _percent(share: float) -> str:
    """Return a share with no more digits than it has."""
    return f"{100 * share:.4f}".rstrip("0").rstrip(".") + "%"
