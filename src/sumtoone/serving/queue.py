"""Rows in, rows out: what is waiting is computed together, and nobody waits for company.

The queue knows no HTTP and no network. It lives in one event loop; only what it computes with may run in a thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sumtoone.errors import UnavailableError

Rows = NDArray[Any]
Compute = Callable[[Rows], Rows]

# Rows computed at once: what a large request adds to the wait of a small one behind it.
MOST_AT_ONCE = 1024
# Fewer rows take the kernels less time than a thread takes to wake up.
MOST_INLINE = 256


class Observer(Protocol):
    """Who is told what happens in a queue."""

    def batch(self, requests: int, rows: int, seconds: float) -> None:
        """Some requests were computed together."""

    def waited(self, seconds: float) -> None:
        """A request's rows lay in the queue for so long."""


@dataclass(eq=False, slots=True)
class _Asked:
    rows: Rows
    deadline: float
    since: float
    answer: asyncio.Future[Rows]


class Queue:
    """A bounded queue in front of a function from rows (N, D) to rows (N, K).

    Parameters
    ----------
    compute
        Takes rows of one type, whose memory is its own, to as many rows.
    most_waiting
        So many requests may wait; one more is refused.
    observer
        Is told of batches and waits.
    most_inline
        So many rows are computed in the event loop itself, more in a thread.

    Examples
    --------
    >>> class Nobody:
    ...     def batch(self, requests, rows, seconds): ...
    ...     def waited(self, seconds): ...
    >>> async def ask():
    ...     queue = Queue(lambda rows: rows * 2, 8, Nobody())
    ...     return await asyncio.gather(*(queue.ask(np.full((1, 1), n), deadline=1e9) for n in (3, 4)))
    >>> [answer.tolist() for answer in asyncio.run(ask())]
    [[[6]], [[8]]]
    """

    def __init__(
        self, compute: Compute, most_waiting: int, observer: Observer, *, most_inline: int = MOST_INLINE
    ) -> None:
        self._compute = compute
        self._most_waiting = most_waiting
        self._observer = observer
        self._most_inline = most_inline
        self._waiting: deque[_Asked] = deque()
        self._busy = False
        self._threads: ThreadPoolExecutor | None = None

    @property
    def waiting(self) -> int:
        """The requests that wait to be computed."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Refuse where the queue is full: before a request's body is read."""
        if len(self._waiting) >= self._most_waiting:
            raise UnavailableError("serve-full")

    async def ask(self, rows: Rows, deadline: float) -> Rows:
        """Return what the function gives for these rows, computed with whatever else is waiting.

        Parameters
        ----------
        rows
            (N, D), N at least 1.
        deadline
            By the monotonic clock: rows that would be computed after it are dropped.

        Raises
        ------
        UnavailableError
            ``serve-full`` if the queue is full, ``serve-late`` if the deadline passed before they were computed.
        Exception
            What the function raised for these very rows.
        """
        self.check_room()
        loop = asyncio.get_running_loop()
        asked = _Asked(rows, deadline, monotonic(), loop.create_future())
        self._waiting.append(asked)
        self._begin(loop)
        return await asked.answer

    @property
    def computing(self) -> bool:
        """Whether something is being computed, or about to be."""
        return self._busy

    def close(self) -> None:
        """Begin nothing more in a thread; what is being computed there goes on."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting and not self._busy:
            self._busy = True
            # Not now but next: after everybody else who came in this turn of the loop.
            loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._taken(monotonic())
        if sum(len(asked.rows) for asked in batch) <= self._most_inline:
            self._finish(loop, batch, *_timed(self._compute, batch))
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, "sumtoone-compute")
        done = loop.run_in_executor(self._threads, _timed, self._compute, batch)
        done.add_done_callback(lambda future: self._finish(loop, batch, *future.result()))

    def _taken(self, now: float) -> list[_Asked]:
        """Return the requests to compute next, without those that nobody waits for any more."""
        batch: list[_Asked] = []
        rows = 0
        while self._waiting and (not batch or rows + len(self._waiting[0].rows) <= MOST_AT_ONCE):
            asked = self._waiting.popleft()
            if asked.answer.done():
                continue
            self._observer.waited(now - asked.since)
            if now > asked.deadline:
                asked.answer.set_exception(UnavailableError("serve-late"))
                continue
            batch.append(asked)
            rows += len(asked.rows)
        return batch

    def _finish(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Asked], results: list[Rows | Exception], seconds: float
    ) -> None:
        if batch:
            self._observer.batch(len(batch), sum(len(asked.rows) for asked in batch), seconds)
        for asked, result in zip(batch, results, strict=True):
            if asked.answer.done():
                continue
            if isinstance(result, Exception):
                asked.answer.set_exception(result)
            else:
                asked.answer.set_result(result)
        self._busy = False
        self._begin(loop)


def _timed(compute: Compute, batch: list[_Asked]) -> tuple[list[Rows | Exception], float]:
    start = monotonic()
    return computed(compute, [asked.rows for asked in batch]), monotonic() - start


def computed(compute: Compute, parts: list[Rows]) -> list[Rows | Exception]:
    """Return what ``compute`` gives for each part, as few calls as there are types of rows.

    Where a call fails, each of its parts is computed alone: one that fails takes no other with it.

    >>> computed(lambda rows: 1 / rows, [np.ones((1, 1)), np.full((2, 1), 2.0)])
    [array([[1.]]), array([[0.5],
           [0.5]])]
    """
    results: list[Rows | Exception] = [np.empty(0)] * len(parts)
    for kind in {part.dtype for part in parts}:
        places = [place for place, part in enumerate(parts) if part.dtype == kind]
        for place, result in zip(places, _together(compute, [parts[place] for place in places]), strict=True):
            results[place] = result
    return results


def _together(compute: Compute, parts: list[Rows]) -> list[Rows | Exception]:
    try:
        answers = compute(np.concatenate(parts))
    except Exception as error:
        if len(parts) == 1:
            return [error]
        return [result for part in parts for result in _together(compute, [part])]
    results: list[Rows | Exception] = []
    start = 0
    for part in parts:
        results.append(answers[start : start + len(part)])
        start += len(part)
    return results
