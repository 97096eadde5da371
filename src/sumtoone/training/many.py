"""Many trainings at once: side by side where the engine allows it.

The fused engine draws everything from the seed and keeps everything to itself, so its runs share nothing but the
data set, and its compiled call lets other threads run: one thread for each run, which nobody waits for within a step.
The plain engine draws dropout from torch's own random state, of which a process has one: there they take turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from sumtoone.data import Dataset, Split
from sumtoone.errors import UsageError
from sumtoone.language.display import quoted
from sumtoone.network import Network
from sumtoone.options import COUNTS, is_whole
from sumtoone.run_folder import new_folder
from sumtoone.runs import Run
from sumtoone.specification import plain_number
from sumtoone.training.checks import check_fit
from sumtoone.training.process import Surroundings, surroundings, torch_threads
from sumtoone.training.progress import Listener, listening
from sumtoone.training.session import train
from sumtoone.training.state import Plan, Progress

# Until Ctrl-C is looked at again.
_SECONDS_BETWEEN_LOOKS = 0.05

_Task = Callable[[Surroundings], Run]


@dataclass(frozen=True)
class Job:
    """One of many trainings.

    Parameters
    ----------
    name
        Of its folder, and of its events under ``"run"``.
    plan
        The task. Its network is a description: a new one is built when the job begins, from the seed of the options,
        so that a thousand jobs do not hold a thousand networks.
    mark
        What its events say besides.
    """

    name: str
    plan: Plan
    mark: Mapping[str, Any]


def train_many(jobs: Sequence[Job], folder: Path | None, show: bool, on_event: Listener | None) -> list[Run]:
    """Train the jobs, each into a folder of its own; return the runs in their order.

    Jobs of one data set share it. What ends one of them ends all, between two steps.

    Raises
    ------
    RunError, UsageError, ShapeError, DataError, TrainingError, KeyboardInterrupt
        As :func:`sumtoone.fit`, for any of them.
    """
    whole = {id(job.plan.dataset): _in_one_piece(job.plan.dataset) for job in jobs}
    plans = [replace(job.plan, dataset=whole[id(job.plan.dataset)]) for job in jobs]
    with ExitStack() as stack:
        places = [None if folder is None else folder / job.name for job in jobs]
        folders = [stack.enter_context(new_folder(place)) for place in places]
        shown: dict[str | None, Plan] = {job.name: plan for job, plan in zip(jobs, plans, strict=True)}
        tell = _one_at_a_time(stack.enter_context(listening(shown, show, on_event)))
        beside: dict[int, _Task] = {}
        alone: dict[int, _Task] = {}
        for place, plan in enumerate(plans):
            with surroundings(plan) as around:
                check_fit(plan, fused=around.fused)
            (beside if around.fused else alone)[place] = _task(plan, folders[place], tell(jobs[place]))
        runs: dict[int, Run] = {}
        if beside:
            with surroundings(plans[next(iter(beside))]) as around:
                runs |= zip(beside, _side_by_side(list(beside.values()), around), strict=True)
        for place, task in alone.items():
            with surroundings(plans[place]) as around:
                runs[place] = task(around)
        return [runs[place] for place in range(len(jobs))]


def checked_seeds(seeds: Sequence[int], network: nn.Module) -> tuple[int, ...]:
    """Return the seeds as numbers that options take.

    Raises
    ------
    UsageError
        If they are not different whole numbers, or the network is no :class:`Network`: weights are drawn anew from
        a description.
    """
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Iterable) or getattr(seeds, "shape", None) == ():
        raise UsageError("training-seeds", given=quoted(seeds))
    chosen = tuple(map(plain_number, seeds))
    whole = all(is_whole(seed, *COUNTS["seed"]) for seed in chosen)
    if not chosen or not whole or len(set(chosen)) < len(chosen):
        raise UsageError("training-seeds", given=quoted(list(chosen)))
    if type(network) is not Network:
        raise UsageError("training-seeds-network", given=type(network).__name__)
    return chosen


def jobs_for(plan: Plan, seeds: Sequence[int]) -> list[Job]:
    """Return the jobs that differ from a plan by their seed alone; its own network is left as it is."""
    assert isinstance(plan.network, Network), "checked_seeds() was asked"
    own = replace(plan, network=Network(plan.network.specification))
    return [Job(f"seed-{seed}", replace(own, options=own.options.changed(seed=seed)), {"seed": seed}) for seed in seeds]


def _in_one_piece(dataset: Dataset) -> Dataset:
    """Return the data set as the engines want it, or each would make a copy of its own."""
    inputs_ND, labels_N = dataset.train
    if not (inputs_ND.is_contiguous() and labels_N.is_contiguous()):
        dataset = replace(dataset, train=Split(inputs_ND.contiguous(), labels_N.contiguous(), dataset.columns))
    dataset.fingerprint  # noqa: B018 - every run asks for it: it is taken once, before there are threads
    return dataset


def _task(plan: Plan, folder: Path | None, listener: Listener) -> _Task:
    def task(around: Surroundings) -> Run:
        assert isinstance(plan.network, Network), "a description, as Job says"
        network = Network(plan.network.specification, seed=plan.options.seed)
        return train(replace(plan, network=network), Progress(), {}, folder, [listener], around)

    return task


def _one_at_a_time(listeners: Sequence[Listener]) -> Callable[[Job], Listener]:
    """Return what makes a listener for a job: it names the run, and waits while another is being heard."""
    turn = threading.Lock()

    def tell(job: Job) -> Listener:
        def listen(event: Mapping[str, Any]) -> None:
            with turn:
                for listener in listeners:
                    listener({**event, "run": job.name, **job.mark})

        return listen

    return tell


def _side_by_side(tasks: Sequence[_Task], around: Surroundings) -> list[Run]:
    """Run up to ``around.threads`` tasks at a time; what ends one ends all, between two steps."""
    stop = threading.Event()
    each = around.threads if len(tasks) == 1 else 1

    def run(task: _Task) -> Run:
        try:
            if stop.is_set():
                raise KeyboardInterrupt
            with torch_threads(each):
                return task(Surroundings(each, stop.is_set, fused=True))
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(around.threads, "run") as pool:
        # A context for each: it says which language a listener speaks.
        futures = [pool.submit(copy_context().run, run, task) for task in tasks]
        pending = set(futures)
        try:
            while pending and not around.interrupted():
                _, pending = wait(pending, _SECONDS_BETWEEN_LOOKS)
        finally:
            if pending:
                stop.set()
    # The first that failed by itself; what else has ended was told to.
    errors = sorted(filter(None, (future.exception() for future in futures)), key=_was_told)
    if errors:
        raise errors[0]
    return [future.result() for future in futures]


def _was_told(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt)
