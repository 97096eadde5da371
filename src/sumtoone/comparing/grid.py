"""What is compared: contenders, each a network and a way to train it, and one training for each of their seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from sumtoone.errors import SumtooneError, UsageError, raise_all
from sumtoone.language import text
from sumtoone.language.display import quoted
from sumtoone.options import COUNTS, TrainingOptions, is_whole
from sumtoone.specification import Specification, plain_number
from sumtoone.storage import is_number

AUTO = "auto"
MOST_SEEDS = 1_000
MOST_TRAININGS = 100_000
# Times the optimizer's default. A comparison at one learning rate would be one of learning rates.
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
# Learning rates are chosen by a seed that nothing is said of: else each contender would be judged by its luckiest.
TUNING_SEED = 1_000_000

_AXES = {"activation": "activations", "optimizer": "optimizers", "lr": "lrs", "batch_size": "batch_sizes"}
# What is an axis of the grid, what every training has of its own, and what would make curves of unequal length.
_NOT_OPTIONS = {
    **_AXES,
    "seed": "seeds",
    "threads": "workers",
    "snapshots": "fit(…, snapshots=True)",
    "early_stopping": "epochs",
}

_REAL = ("lr", "momentum", "weight_decay", "label_smoothing", "noise", "averaging")


@dataclass(frozen=True)
class Contender:
    """A network and a way to train it, from any seed.

    Parameters
    ----------
    name
        What tells it from the others.
    specification, options
        The network, and how it is trained; the seed of the options is not its own.
    tried
        The learning rates of which one is chosen on validation rows, rising; none where it was given.
    """

    name: str
    specification: Specification
    options: TrainingOptions
    tried: tuple[float, ...] = ()

    def at(self, lr: float) -> Contender:
        """Return the contender with this learning rate."""
        return replace(self, options=replace(self.options, lr=lr))

    def to_json(self) -> dict[str, Any]:
        """Return what tells it from others as plain values."""
        return {
            "contender": self.name,
            "network": str(self.specification),
            "activation": self.specification.activation,
            "optimizer": self.options.optimizer,
            "lr": self.options.learning_rate,
            "batch_size": self.options.batch_size,
        }


@dataclass(frozen=True)
class Training:
    """A contender and a seed: what is trained once, and never again under its key."""

    contender: Contender
    seed: int
    tuning: bool = False

    @property
    def options(self) -> TrainingOptions:
        """Its options: one thread, for its neighbours have the others."""
        options = self.contender.options
        return replace(options, lr=options.learning_rate, weight_decay=options.decay, seed=self.seed, threads=1)

    def key(self, fingerprint: str) -> str:
        """Return what stands for its content, plan, data and seed: the name of its folder.

        The first 16 digits of the sha256 of canonical JSON.
        """
        specification = self.contender.specification
        content = {
            "sizes": specification.sizes,
            "activation": specification.activation,
            "dropout": float(specification.dropout),
            "options": {name: _canonical(name, value) for name, value in self.options.to_json().items()},
            "data": fingerprint,
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _canonical(name: str, value: Any) -> Any:
    """Return an option such that equal ones are written alike: 1 and 1.0 are one number."""
    if isinstance(value, dict):
        return {each: float(weight) for each, weight in value.items()}
    return float(value) if name in _REAL and value is not None else value


def contenders(sizes: str, axes: Mapping[str, Sequence[Any] | str], given: Mapping[str, Any]) -> tuple[Contender, ...]:
    """Return the grid of contenders, the first axis changing last.

    ``axes`` holds ``activations``, ``networks``, ``optimizers``, ``lrs`` and ``batch_sizes``, ``sizes`` the network
    where none is named; ``given`` are options of all, and ``dropout``.

    Raises
    ------
    UsageError, SpecificationError
        For everything that is wrong, all at once.
    """
    rest = dict(given)
    dropout = plain_number(rest.pop("dropout", 0.0))
    _check_names(rest)
    momentum = {name: rest.pop(name) for name in ("momentum", "nesterov") if name in rest}
    tuned = isinstance(axes["lrs"], str) and axes["lrs"] == AUTO
    lists = {name: _values(name, values) for name, values in axes.items() if not (name == "lrs" and tuned)}
    if None in lists.get("lrs", ()):
        # Not the optimizer's default in silence: of a contender's one rate somebody has to know.
        raise UsageError("number-range", name="lrs", given=quoted(axes["lrs"]), wanted="x > 0", example="'auto'")
    lrs = [None] if tuned else lists["lrs"]
    networks = lists["networks"] or [sizes]
    digits = _digits(lists.get("lrs", ()))
    kept: dict[Any, SumtooneError] = {}
    found: list[Contender] = []
    for network, activation, optimizer, batch, lr in product(
        networks, lists["activations"], lists["optimizers"], lists["batch_sizes"], lrs
    ):
        # What is wrong at one place of the grid is wrong at many: it is told once.
        of_sgd = momentum if optimizer == "sgd" or "sgd" not in lists["optimizers"] else {}
        try:
            specification = Specification.parse(network, activation, dropout)
            options = TrainingOptions.of(**rest, **of_sgd, optimizer=optimizer, lr=lr, batch_size=batch)
        except UsageError as error:
            problems = map(_by_axis, getattr(error, "problems", (error,)))
            kept |= {(each.code, str(each.fields)): each for each in problems}
            continue
        rate = "" if lr is None else f"{lr:.{digits}g}"
        tried = tuple(factor * options.learning_rate for factor in FACTORS) if tuned else ()
        shown = {"networks": str(specification), "activations": activation, "optimizers": optimizer}
        shown |= {"batch_sizes": text("compare.batch", size=batch), "lrs": text("compare.lr", lr=rate)}
        varied = [shown[name] for name in shown if len(lists.get(name, ())) > 1]
        found.append(Contender(", ".join(varied) or activation, specification, options, tried))
    raise_all(list(kept.values()))
    return tuple(found)


def checked_seeds(given: Any) -> tuple[int, ...]:
    """Return the seeds: 0 to ``given`` - 1, or those that are listed.

    >>> checked_seeds(3), checked_seeds([7, 5])
    ((0, 1, 2), (7, 5))
    """
    number = plain_number(given)
    if isinstance(number, int) and is_whole(number, 1, MOST_SEEDS):
        return tuple(range(number))
    listed = tuple(_listed(given) or ())
    if not (
        0 < len(set(listed)) == len(listed) <= MOST_SEEDS and all(is_whole(each, *COUNTS["seed"]) for each in listed)
    ):
        raise UsageError("compare-seeds", given=quoted(given), most=f"{MOST_SEEDS:,}")
    return listed


def tuning_seed(seeds: Sequence[int]) -> int:
    """Return the seed that learning rates are chosen by: none of those compared."""
    return next(seed for seed in range(TUNING_SEED, TUNING_SEED + len(seeds) + 1) if seed not in seeds)


def check_count(entrants: Sequence[Contender], seeds: Sequence[int]) -> None:
    """Refuse a grid that nobody waits for."""
    count = sum(len(seeds) + len(each.tried) for each in entrants)
    if count > MOST_TRAININGS:
        raise UsageError("compare-many", count=f"{count:,}", most=f"{MOST_TRAININGS:,}")


def _by_axis(error: SumtooneError) -> SumtooneError:
    """Return an error about one value of an axis by the name that the axis has: an option ``lr`` is not there."""
    axis = _AXES.get(str(error.fields.get("name")))
    return error if axis is None else type(error)(error.code, **{**error.fields, "name": axis})


def _digits(numbers: Sequence[Any]) -> int:
    """Return how many digits tell numbers apart, six at least: contenders are known by their names."""
    known = [float(number) for number in numbers if is_number(number)]
    return next((n for n in range(6, 17) if len({f"{number:.{n}g}" for number in known}) == len(known)), 17)


def _check_names(given: Mapping[str, Any]) -> None:
    wrong = [name for name in given if name in _NOT_OPTIONS]
    raise_all([UsageError("compare-option", name=name, instead=_NOT_OPTIONS[name]) for name in wrong])
    known = [field.name for field in fields(TrainingOptions)]
    if any(name not in known for name in given):
        TrainingOptions.of(**given)  # says it, with what is near


def _axes(given: Any) -> int:
    shape = getattr(given, "shape", ())
    return len(shape) if isinstance(shape, tuple) else 0


def _listed(given: Any) -> list[Any] | None:
    """Return the members of a list, or of an array of one axis, as Python's own; None of what is neither."""
    if _axes(given) == 1:
        return list(given.tolist())
    return list(map(plain_number, given)) if isinstance(given, list | tuple | range) else None


def _values(name: str, given: Any) -> list[Any]:
    """Return the values of an axis; one that stands alone is a list of itself."""
    values = _listed(given)
    values = [given] if values is None else values
    if not values and name != "networks":
        raise UsageError("compare-empty", name=name)
    shown = [str(Specification.parse(value)) if name == "networks" else value for value in values]
    if any(isinstance(value, list | dict | set) or _axes(value) for value in shown):
        raise UsageError("compare-axis", name=name, given=quoted(given))
    twice = [value for place, value in enumerate(shown) if value in shown[:place]]
    if twice:
        raise UsageError("compare-twice", name=name, given=quoted(twice[0]))
    return values
