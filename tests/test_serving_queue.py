"""Laws of the queue: every row is answered once, by its own answer, or its sender knows why not."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sumtoone.errors import UnavailableError
from sumtoone.serving.queue import MOST_AT_ONCE, Queue

FAR = 1e12
KINDS = st.sampled_from([np.uint8, np.float32, np.float64])


@dataclass
class Seen:
    """Computes three times a row, and notes what it was asked."""

    batches: list[int] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)
    waits: int = 0

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        assert rows.flags.writeable
        self.batches.append(len(rows))
        if (rows == 13).any():
            raise ArithmeticError("thirteen")
        return rows.astype(np.float64) * 3

    def batch(self, requests: int, rows: int, seconds: float) -> None:
        assert seconds >= 0
        self.told.append((requests, rows))

    def waited(self, seconds: float) -> None:
        assert seconds >= 0
        self.waits += 1


def _rows(tag: int, count: int, kind: Any) -> np.ndarray:
    return np.full((count, 2), tag % 200, kind)


@given(
    st.lists(st.tuples(st.integers(14, 199), st.integers(1, 400), KINDS, st.integers(0, 3)), max_size=40),
    st.sampled_from([0, 8, 256, 10_000]),
)
def test_each_reply_belongs_to_its_request(asked: list[tuple[int, int, Any, int]], most_inline: int) -> None:
    seen = Seen()

    async def one(queue: Queue, tag: int, count: int, kind: Any, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        answer = await queue.ask(_rows(tag, count, kind), FAR)
        assert answer.shape == (count, 2)
        assert (answer == tag * 3).all()

    async def all_of_them() -> None:
        queue = Queue(seen, 1000, seen, most_inline=most_inline)
        await asyncio.gather(*(one(queue, *request) for request in asked))
        assert queue.waiting == 0
        queue.close()

    asyncio.run(all_of_them())
    total = sum(count for _, count, _, _ in asked)
    assert sum(seen.batches) == total == sum(rows for _, rows in seen.told)
    assert sum(requests for requests, _ in seen.told) == len(asked) == seen.waits


def test_what_comes_in_one_turn_is_computed_at_once() -> None:
    seen = Seen()

    async def ask() -> None:
        queue = Queue(seen, 100, seen)
        await asyncio.gather(*(queue.ask(_rows(tag, 2, np.uint8), FAR) for tag in range(20, 60)))

    asyncio.run(ask())
    assert seen.batches == [80]
    assert seen.told == [(40, 80)]


def test_a_request_that_fails_takes_no_other_with_it() -> None:
    seen = Seen()

    async def ask() -> list[Any]:
        queue = Queue(seen, 100, seen)
        tags = [20, 13, 21]
        return await asyncio.gather(
            *(queue.ask(_rows(tag, 1, np.float32), FAR) for tag in tags), return_exceptions=True
        )

    first, second, third = asyncio.run(ask())
    assert (first[0, 0], third[0, 0]) == (60, 63)
    assert isinstance(second, ArithmeticError)
    assert seen.batches == [3, 1, 1, 1]


def test_what_waits_beside_a_thread_is_computed_together_after_it() -> None:
    seen, begun, go = Seen(), threading.Event(), threading.Event()

    def compute(rows: np.ndarray) -> np.ndarray:
        if len(rows) == 500:
            begun.set()
            assert go.wait(60)
        return seen(rows)

    async def ask() -> None:
        queue = Queue(compute, 3, seen)
        large = asyncio.create_task(queue.ask(_rows(20, 500, np.float32), FAR))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait, 60)
        small = [asyncio.create_task(queue.ask(_rows(21, 1, np.float32), FAR)) for _ in range(3)]
        late = queue.ask(_rows(22, 1, np.float32), FAR)
        await asyncio.sleep(0)
        assert queue.waiting == 3
        with pytest.raises(UnavailableError) as caught:
            await late
        assert caught.value.code == "serve-full"
        go.set()
        await asyncio.gather(large, *small)
        queue.close()

    asyncio.run(ask())
    assert seen.batches == [500, 3]


def test_late_and_lost_requests_are_dropped_before_they_are_computed() -> None:
    seen = Seen()

    async def ask() -> None:
        queue = Queue(seen, 100, seen)
        lost = asyncio.create_task(queue.ask(_rows(20, 1, np.float32), FAR))
        late = asyncio.create_task(queue.ask(_rows(21, 1, np.float32), monotonic() - 1))
        good = asyncio.create_task(queue.ask(_rows(22, 1, np.float32), FAR))
        await asyncio.sleep(0)
        lost.cancel()
        assert (await good)[0, 0] == 66
        with pytest.raises(UnavailableError) as caught:
            await late
        assert caught.value.code == "serve-late"

    asyncio.run(ask())
    assert seen.batches == [1]


def test_who_leaves_while_a_thread_computes_is_not_answered() -> None:
    seen, go = Seen(), threading.Event()

    def compute(rows: np.ndarray) -> np.ndarray:
        assert go.wait(60)
        return seen(rows)

    async def ask() -> None:
        queue = Queue(compute, 100, seen, most_inline=0)
        lost, good = (asyncio.create_task(queue.ask(_rows(tag, 1, np.float32), FAR)) for tag in (20, 21))
        for _ in range(3):
            await asyncio.sleep(0)
        lost.cancel()
        go.set()
        assert (await good)[0, 0] == 63
        queue.close()

    asyncio.run(ask())
    assert seen.batches == [2]


def test_no_batch_is_larger_than_it_must_be() -> None:
    seen = Seen()

    async def ask() -> None:
        queue = Queue(seen, 100, seen)
        sizes = [MOST_AT_ONCE - 1, 1, 1, 3 * MOST_AT_ONCE, 1]
        await asyncio.gather(*(queue.ask(_rows(20, size, np.uint8), FAR) for size in sizes))
        queue.close()

    asyncio.run(ask())
    assert seen.batches == [MOST_AT_ONCE, 1, 3 * MOST_AT_ONCE, 1]
