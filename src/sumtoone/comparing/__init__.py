"""Comparisons: contenders trained from the same seeds side by side, and claims that carry their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sumtoone.errors import UsageError
from sumtoone.language import text
from sumtoone.language.display import quoted
from sumtoone.options import is_whole
from sumtoone.specification import plain_number
from sumtoone.storage import is_number

if TYPE_CHECKING:
    from sumtoone.comparing.comparison import Comparison as Comparison
    from sumtoone.data import Dataset

__all__ = ["Comparison", "compare"]

REACH = 0.95
MOST_WORKERS = 1_024


def __getattr__(name: str) -> object:
    # Whoever lists runs does not wait for PyTorch.
    if name != "Comparison":
        raise AttributeError(f"module 'sumtoone.comparing' has no attribute {name!r}")
    from sumtoone.comparing.comparison import Comparison

    return Comparison


def compare(
    dataset: Dataset,
    *,
    activations: Sequence[str] | str = ("sigmoid", "tanh", "relu"),
    networks: Sequence[Any] | str = (),
    optimizers: Sequence[str] | str = ("adamw",),
    lrs: Sequence[float] | float | str = "auto",
    batch_sizes: Sequence[int] | int = (64,),
    seeds: int | Sequence[int] = 5,
    reach: float = REACH,
    out: str | Path | None = None,
    workers: int | None = None,
    backend: str | None = None,
    scheduler: str | None = None,
    progress: bool = False,
    on_event: Callable[[Mapping[str, Any]], None] | None = None,
    **given: Any,
) -> Comparison:
    """Train every combination of networks and ways to train them from the same seeds, and say what the rows bear out.

    A seed gives each contender the same order of the batches, and start weights that are the same numbers where the
    shapes agree, each scaled as its activation wants it (:class:`Network`). All is judged on validation rows; the
    test rows are not touched.

    Parameters
    ----------
    dataset
        Its ``train`` and ``validation`` splits are used.
    activations, networks, optimizers, batch_sizes
        The axes of the grid. No network stands for 128 and 64 hidden values.
    lrs
        Learning rates, as an axis. ``"auto"`` chooses one for each contender: of a quarter, a half, once, twice and
        four times the optimizer's default, that with the highest validation accuracy after the last epoch, by a seed
        that is not compared. A choice at the edge of these is told.
    seeds
        How many, from 0, or a list of them; with three and more there are statements.
    reach
        The validation accuracy that is to be reached, a share in (0, 1].
    out
        A folder for the runs, each in a folder named by its content: what is there is not trained again, what was
        interrupted goes on. Also ``rows.jsonl``. None keeps nothing.
    workers
        How many run side by side, one thread each; None for every core.
    backend
        Of joblib: ``"threading"``, ``"loky"`` (processes), ``"dask"``, ``"ray"``. None takes what
        ``joblib.parallel_config`` says, else threads where the fused engine trains all of it, else processes.
    scheduler
        The address of a cluster's scheduler.
    progress
        Show a bar on standard error, if that is a terminal.
    on_event
        Called with ``{"event": "run", …}`` after each training.
    **given
        What :class:`TrainingOptions` takes besides, for all contenders, and ``dropout``.

    Raises
    ------
    UsageError, SpecificationError
        For everything that is wrong with the grid and the options, all at once.
    DataError, ShapeError
        If there are no validation rows, or a network does not fit the data set.
    RunError
        If ``out`` cannot be used, another comparison is writing there, or a run in it is damaged.
    UnavailableError
        If a backend is not there, its workers keep dying, or memory does not suffice.
    KeyboardInterrupt
        On Ctrl-C. The same call with the same ``out`` goes on.

    Examples
    --------
    >>> import sumtoone as s1
    >>> found = s1.compare(s1.load("digits"), activations=["relu", "tanh"], lrs=0.005, seeds=3, epochs=4, reach=0.91)
    >>> [statement.kind for statement in found.statements]
    ['epochs', 'accuracy']
    >>> len(found.rows), found.rows[0]["contender"], found.rows[0]["seed"]
    (6, 'relu', 0)
    """
    from sumtoone.comparing import grid

    checked = grid.checked_seeds(seeds)
    reach, workers = _checked_reach(reach), _checked_workers(workers)
    axes: dict[str, Any] = {"networks": networks, "activations": activations, "optimizers": optimizers}
    axes |= {"batch_sizes": batch_sizes, "lrs": lrs}
    rows = _checked_rows(dataset)
    sizes = f"{dataset.features}-128-64-{len(dataset.classes)}"
    entrants = grid.contenders(sizes, axes, given)
    grid.check_count(entrants, checked)

    from sumtoone.comparing.running import compared
    from sumtoone.comparing.sending import backend_named
    from sumtoone.comparing.working import arrays_of
    from sumtoone.memory import enough_memory
    from sumtoone.run_folder import as_path
    from sumtoone.training.checks import check_arguments

    check_arguments("compare", on_event=on_event)
    with enough_memory():
        folder, arrays = None if out is None else as_path(out), arrays_of(rows)
        with backend_named(backend, scheduler, workers, arrays):
            return compared(rows, entrants, checked, reach, folder, workers, arrays, progress, on_event)


def _checked_rows(dataset: object) -> Dataset:
    from sumtoone.data import Dataset
    from sumtoone.errors import DtypeError

    if not isinstance(dataset, Dataset):
        wanted, hint = text("training.takes-dataset"), "compare(sumtoone.load('digits'))"
        what = {"function": "compare", "name": "dataset", "wanted": wanted, "hint": hint}
        raise DtypeError("argument-type", **what, given=type(dataset).__name__)
    dataset.need("validation", "compare")
    return dataset


def _checked_reach(reach: Any) -> float:
    reach = plain_number(reach)
    if not (is_number(reach) and 0 < reach <= 1):
        raise UsageError("number-range", name="reach", given=quoted(reach), wanted="0 < x <= 1", example=REACH)
    return float(reach)


def _checked_workers(workers: Any) -> int | None:
    number = plain_number(workers)
    if number is None:
        return None
    if not is_whole(number, 1, MOST_WORKERS):
        limits = {"low": 1, "high": f"{MOST_WORKERS:,}"}
        raise UsageError("training-count", name="workers", given=quoted(number), **limits)
    return int(number)
