"""Several runs that differ by their seed alone: side by side where the engine allows it.

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
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
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
from sumtoone.training.process import Surroundings, fuses, surroundings
from sumtoone.training.progress import Listener, listening
from sumtoone.training.session import train
from sumtoone.training.state import Plan, Progress

# Until Ctrl-C is looked at again.
_SECONDS_BETWEEN_LOOKS = 0.05

_Task = Callable[[Surroundings], Run]


def checked(seeds: Sequence[int], network: nn.Module) -> tuple[tuple[int, ...], Network]:
    """Return the seeds, as numbers that options take, and a network of the same description, as it was built.

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
        raise UsageError("training-seeds-network", kind=type(network).__name__)
    return chosen, Network(network.specification)


def train_seeds(
    plan: Plan, seeds: tuple[int, ...], folder: Path | None, show: bool, on_event: Listener | None
) -> list[Run]:
    """Train a network like the plan's, which :func:`checked` gave, from each seed; return the runs in that order."""
    plan = replace(plan, dataset=_in_one_piece(plan.dataset))
    with ExitStack() as stack:
        places = [None if folder is None else folder / f"seed-{seed}" for seed in seeds]
        folders = [stack.enter_context(new_folder(place)) for place in places]
        listeners = stack.enter_context(listening(plan, show, on_event, len(seeds)))
        around = stack.enter_context(surroundings(plan))
        check_fit(plan)
        tell = _one_at_a_time(listeners)
        tasks = [_task(plan, seed, place, tell) for seed, place in zip(seeds, folders, strict=True)]
        if fuses(plan):
            return _side_by_side(tasks, around)
        return [task(around) for task in tasks]


def _in_one_piece(dataset: Dataset) -> Dataset:
    """Return the data set as the engines want it, or each would make a copy of its own."""
    inputs_ND, labels_N = dataset.train
    if not (inputs_ND.is_contiguous() and labels_N.is_contiguous()):
        dataset = replace(dataset, train=Split(inputs_ND.contiguous(), labels_N.contiguous()))
    dataset.fingerprint  # noqa: B018 - every run asks for it: it is taken once, before there are threads
    return dataset


def _task(plan: Plan, seed: int, folder: Path | None, tell: Callable[[int], Listener]) -> _Task:
    def task(around: Surroundings) -> Run:
        assert isinstance(plan.network, Network), "checked() was asked"
        network = Network(plan.network.specification, seed=seed)
        own = replace(plan, network=network, options=replace(plan.options, seed=seed))
        return train(own, Progress(), {}, folder, [tell(seed)], around)

    return task


def _one_at_a_time(listeners: Sequence[Listener]) -> Callable[[int], Listener]:
    """Return what makes a listener for a seed: it names the seed, and waits while another is being heard."""
    turn = threading.Lock()

    def tell(seed: int) -> Listener:
        def listen(event: Mapping[str, Any]) -> None:
            with turn:
                for listener in listeners:
                    listener({**event, "seed": seed})

        return listen

    return tell


def _side_by_side(tasks: list[_Task], around: Surroundings) -> list[Run]:
    """Run up to ``around.threads`` tasks at a time; what ends one ends all, between two steps."""
    stop, threads = threading.Event(), torch.get_num_threads()
    each = around.threads if len(tasks) == 1 else 1

    def run(task: _Task) -> Run:
        try:
            if stop.is_set():
                raise KeyboardInterrupt
            return task(Surroundings(each, stop.is_set))
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(around.threads, "seed", initializer=torch.set_num_threads, initargs=(threads,)) as pool:
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
