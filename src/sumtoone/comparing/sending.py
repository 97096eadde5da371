"""Trainings go out through joblib and nothing else: to threads, to processes, to a cluster; outcomes come back.

The one place that knows joblib. Whichever backend ``joblib.parallel_config`` names takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import import_module
from itertools import islice
from typing import Any

import joblib
from joblib.parallel import get_active_backend

from sumtoone.comparing.grid import Training
from sumtoone.comparing.working import Arrays, Material, Neighbours, Outcome, Stopped, work
from sumtoone.errors import UnavailableError, UsageError
from sumtoone.specification import not_among

BACKENDS = ("threading", "loky", "dask", "ray")
# joblib's own, by the names of their classes: their workers share this machine's disk.
_LOCAL = ("ThreadingBackend", "LokyBackend", "MultiprocessingBackend", "SequentialBackend")
_EXTRAS = {"dask": "pip install 'sumtoone[dask]'", "ray": "pip install ray"}
# So often in a row may workers die before a single training is over.
_PATIENCE = 3
_SECONDS_TO_ANSWER = 5


@contextmanager
def backend_named(name: str | None, scheduler: str | None, workers: int | None, arrays: Arrays) -> Iterator[None]:
    """Let what is sent inside the block go to a backend; None leaves the choice to ``joblib.parallel_config`` or us.

    Raises
    ------
    UsageError
        If a scheduler is named for a backend that has none.
    UnavailableError
        If the backend is not installed, or its scheduler does not answer.
    """
    if name not in (None, *BACKENDS):
        raise not_among("backend", name, BACKENDS)
    if scheduler is not None and name not in _EXTRAS:
        raise UsageError("compare-scheduler", given=scheduler)
    if scheduler is not None and workers is not None:
        raise UsageError("compare-workers-scheduler", given=workers)
    if name is None:
        yield
        return
    if name not in _EXTRAS:
        with joblib.parallel_config(backend=name):
            yield
        return
    try:
        import_module("distributed" if name == "dask" else "ray")
    except ImportError:
        raise UnavailableError("compare-backend", given=name, hint=_EXTRAS[name]) from None
    with _dask(scheduler, workers, arrays) if name == "dask" else _ray(scheduler):
        yield


@contextmanager
def _dask(scheduler: str | None, workers: int | None, arrays: Arrays) -> Iterator[None]:
    from distributed import Client

    # Without an address: a scheduler and a process for each worker, here.
    here = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    try:
        client: Any = Client(scheduler, timeout=_SECONDS_TO_ANSWER) if scheduler else Client(**here)
    except (OSError, ValueError) as error:
        raise UnavailableError("compare-scheduler-silent", given=f"{scheduler}: {error}") from None
    # To every worker at once, so that the rows do not go with one that is killed.
    with client, joblib.parallel_config(backend="dask", client=client, scatter=[*arrays]):
        yield


@contextmanager
def _ray(scheduler: str | None) -> Iterator[None]:  # pragma: no cover - not installed where the tests run
    ray = import_module("ray")
    register = import_module("ray.util.joblib").register_ray
    if not ray.is_initialized():
        ray.init(address=scheduler)
    register()
    with joblib.parallel_config(backend="ray"):
        yield


def shares_disk(*, threads: bool) -> bool:
    """Whether the workers of the backend in force see the files that this process writes."""
    return type(_in_force(threads=threads)[0]).__name__ in _LOCAL


def send(
    trainings: Mapping[str, Training],
    material: Material,
    arrays: Arrays,
    workers: int | None,
    neighbours: Neighbours,
    receive: Callable[[Outcome], None],
    *,
    threads: bool,
) -> None:
    """Send trainings out by their keys and hand each outcome to ``receive``, once, in the order in which they end.

    A worker that is killed loses nothing: what it had not returned is sent again. ``threads`` are what trainings want
    whose engine lets other threads run; ``neighbours`` share what they do, and end with the call.

    Raises
    ------
    UnavailableError
        If workers die again and again.
    """
    left, failures = dict(trainings), 0
    while left:
        before, why = len(left), "?"
        with closing(_sent(left, material, arrays, workers, neighbours, threads=threads)) as outcomes:
            while True:
                try:
                    outcome = next(outcomes, None)
                except Exception as error:
                    # What a backend raises when it loses a worker is its own and open-ended; a training's own error
                    # is an outcome.
                    why = f"{type(error).__name__}: {(str(error).strip() or '?').splitlines()[0]}"
                    break
                if outcome is None:
                    break
                # A worker that was taken for dead may answer after all, behind the one that took its place.
                if not isinstance(outcome.error, Stopped) and left.pop(outcome.key, None) is not None:
                    try:
                        receive(outcome)
                    except BaseException as error:
                        # Where joblib waits, it ends the others; where its generator is but closed, it also warns.
                        outcomes.throw(error)
        failures = failures + 1 if len(left) == before else 0
        if failures >= _PATIENCE:
            raise UnavailableError("compare-workers", left=len(left), given=why)


def _sent(
    left: Mapping[str, Training],
    material: Material,
    arrays: Arrays,
    workers: int | None,
    neighbours: Neighbours,
    *,
    threads: bool,
) -> Generator[Outcome, None, None]:
    """Yield the outcomes of trainings as they come."""
    backend, in_context = _in_force(threads=threads)
    jobs = workers or in_context or -1
    shared = neighbours if getattr(backend, "supports_sharedmem", False) else None
    calls = [joblib.delayed(work)(key, training, material, shared, *arrays) for key, training in left.items()]
    # Arrays that processes map may be written where they are read: of others PyTorch would warn.
    how = {"n_jobs": jobs, "batch_size": 1, "mmap_mode": "c", "prefer": _preferred(threads=threads)}
    try:
        if backend.supports_return_generator:
            yield from joblib.Parallel(return_as="generator_unordered", **how)(calls)
            return
        waiting = iter(calls)
        while some := list(islice(waiting, joblib.effective_n_jobs(jobs))):
            yield from joblib.Parallel(**how)(some)
    finally:
        neighbours.end()


def _in_force(*, threads: bool) -> tuple[Any, int | None]:
    """Return the backend that joblib takes, and the number of jobs that its surroundings ask for."""
    backend, jobs = get_active_backend(prefer=_preferred(threads=threads))
    return backend, jobs


def _preferred(*, threads: bool) -> str:
    # A hint, which whatever parallel_config names goes before.
    return "threads" if threads else "processes"
