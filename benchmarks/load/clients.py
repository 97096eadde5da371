"""Many clients at once, in a closed and in an open loop, and the account of what they asked and were answered.

Closed: each client asks again as soon as it is answered. Open: requests are due at a rate, whatever the server does,
and a latency counts from when the request was due; one that finds every connection taken is not sent, and counted so.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from array import array
from collections import Counter, deque
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.load.connections import Address, Answer, Connection, LostError, connected
from benchmarks.load.questions import Question

# What a server under load may say instead of an answer, with a reason a program can read.
REFUSALS = (429, 503, 504)
# A request that nobody has answered after so many seconds is unanswered.
PATIENCE = 30.0
_TICK = 0.002
# Seconds that an open loop waits for its first connection.
_MOST_TO_CONNECT = 30.0
_MOST_EXAMPLES = 5


@dataclass
class Tally:
    """What became of every request; each is in one of ``answers``, ``lost``, ``turned_away`` and ``unanswered``."""

    sent: int = 0
    # By status; a 200 that is not the answer to its question is counted here and in `wrong`.
    answers: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    # The connection ended without a whole answer.
    lost: int = 0
    # As before, with nothing received of an answer, the request sent after the server had been told to stop.
    turned_away: int = 0
    unanswered: int = 0
    # Answers, or what is none, that came to no request.
    stray: int = 0
    # In the open loop: no connection was free, nothing was sent.
    not_sent: int = 0
    # Nobody listened, or not any more.
    not_connected: int = 0
    connections: int = 0
    begun: float = 0.0
    ended: float = 0.0
    # Seconds of the answers that are right.
    latencies: array[float] = field(default_factory=lambda: array("d"))
    examples: list[str] = field(default_factory=list)
    # Refusals by the kind of question and what was said.
    refusals: Counter[str] = field(default_factory=Counter)

    def take(self, question: Question, answer: Answer, seconds: float) -> None:
        """Count an answer."""
        self.answers[answer.status] += 1
        self.ended = time.perf_counter()
        found = f"{answer.status}"
        if answer.status == 200:
            found = question.wrong(answer)
        elif answer.status in REFUSALS:
            self.refusals[f"{question.kind}: {answer.status} {answer.body[:100].decode(errors='replace')}"] += 1
            found = unexplained(answer)
        if found:
            self.wrong += answer.status in (200, *REFUSALS)
            self.remember(f"{question.kind}: {found}: {answer.body[:200]!r}")
        elif answer.status == 200:
            self.latencies.append(seconds)

    def remember(self, words: str) -> None:
        """Keep some examples of what should not be."""
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(words)

    @property
    def right(self) -> int:
        """The number of right answers."""
        return len(self.latencies)

    @property
    def goodput(self) -> float:
        """Right answers a second, up to the last answer."""
        return self.right / (self.ended - self.begun) if self.right else 0.0

    @property
    def faults(self) -> list[str]:
        """What must not be, in words: all but one right answer or one documented refusal to each request."""
        other = sum(count for status, count in self.answers.items() if status not in (200, *REFUSALS))
        kinds = {"wrong": self.wrong, "of another status": other, "lost": self.lost, "unanswered": self.unanswered}
        found = [f"{count} {words}" for words, count in {**kinds, "bytes astray": self.stray}.items() if count]
        accounted = sum(self.answers.values()) + self.lost + self.turned_away + self.unanswered
        return found + ([f"{self.sent} sent, {accounted} accounted for"] if accounted != self.sent else [])

    def milliseconds(self, percent: float) -> float:
        """Return the time in which so many percent of the right answers came."""
        return 1e3 * float(np.percentile(self.latencies, percent)) if self.latencies else float("nan")

    def __str__(self) -> str:
        statuses = ", ".join(f"{count:,} × {status}" for status, count in sorted(self.answers.items()))
        times = f"p50 {self.milliseconds(50):.1f} ms, p99 {self.milliseconds(99):.1f} ms"
        left = f", {self.not_sent:,} not sent" if self.not_sent else ""
        away = f", {self.turned_away:,} turned away at the end" if self.turned_away else ""
        faults = "".join(f"; {fault}" for fault in self.faults)
        why = "".join(f"\n    {count:,} × {words}" for words, count in self.refusals.most_common(4))
        return f"{self.sent:,} sent{left}{away}: {statuses}; {self.goodput:,.0f} right/s, {times}{faults}{why}"


def unexplained(answer: Answer) -> str:
    """Return what a refusal lacks: its reason as JSON, and for 503 when to come again."""
    try:
        reason = json.loads(answer.body)["error"]
    except (ValueError, KeyError, TypeError):
        reason = None
    if not isinstance(reason, str) or not reason:
        return f"{answer.status} without a reason"
    return "" if answer.status != 503 or b"retry-after" in answer.headers else "503 without Retry-After"


@dataclass
class Crowd:
    """Clients that share questions and a tally, until a time or a number of requests is over."""

    address: Address
    questions: Iterator[Question]
    until: float = float("inf")
    requests: float = float("inf")
    tally: Tally = field(default_factory=Tally)
    # So many requests at once on one connection, without waiting for answers; or each in so many pieces.
    depth: int = 1
    pieces: int = 1
    # When the server was told to stop, by the clock of this process; it need not take what is sent later.
    told_to_stop: float = float("inf")
    _begun: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    @property
    def over(self) -> bool:
        """Whether no more is to be asked."""
        return time.perf_counter() >= self.until or self._begun >= self.requests

    async def connect(self) -> Connection | None:
        """Return a connection, or None where nobody listens."""
        try:
            connection = await connected(self.address)
        except OSError:
            self.tally.not_connected += 1
            await asyncio.sleep(_TICK)
            return None
        self.tally.connections += 1
        return connection

    async def ask(self, connection: Connection, question: Question, due: float) -> bool:
        """Ask and count; return whether the connection can be used again."""
        tally, sent = self.tally, time.perf_counter()
        tally.sent += 1
        try:
            answer = await connection.ask(*self._pieces(question.request))
        except LostError as lost:
            if sent > self.told_to_stop and not lost.received:
                tally.turned_away += 1
            else:
                tally.lost += 1
                tally.remember(f"{question.kind}: {lost}")
            return False
        except asyncio.CancelledError:
            tally.unanswered += 1
            raise
        tally.take(question, answer, time.perf_counter() - due)
        return not connection.closed

    def _pieces(self, request: bytes) -> list[bytes]:
        if self.pieces == 1:
            return [request]
        places = sorted(self._random.sample(range(1, len(request)), self.pieces - 1))
        return [request[start:end] for start, end in pairwise([0, *places, len(request)])]

    async def ask_some(self, connection: Connection) -> bool:
        """Ask the next question, or as many at once as the depth says; return as :meth:`ask` does."""
        now = time.perf_counter()
        count = int(min(self.depth, self.requests - self._begun))
        self._begun += count
        if count == 1:
            return await self.ask(connection, next(self.questions), now)
        return all(await asyncio.gather(*(self.ask(connection, next(self.questions), now) for _ in range(count))))

    async def leave(self, connection: Connection | None) -> None:
        """End a connection, if there is one, and count what came on it that nobody had asked for."""
        if connection is not None:
            stray = await connection.end(PATIENCE)
            self.tally.stray += len(stray)
            if stray:
                self.tally.remember(f"astray: {stray[:200]!r}")


async def closed(crowd: Crowd, clients: int) -> Tally:
    """Let so many clients ask one question after the other."""

    async def client() -> None:
        connection: Connection | None = None
        try:
            while not crowd.over:
                if connection is None:
                    connection = await crowd.connect()
                    if connection is None and time.perf_counter() >= crowd.told_to_stop:
                        return
                elif not await crowd.ask_some(connection):
                    await crowd.leave(connection)
                    connection = None
        finally:
            await crowd.leave(connection)

    return await _finished(crowd, [client() for _ in range(clients)])


async def opened(crowd: Crowd, rate: float, connections: int) -> Tally:
    """Let requests be due at a rate a second, over no more than so many connections."""
    free: deque[asyncio.Future[float]] = deque()
    over = False

    async def client() -> None:
        connection: Connection | None = None
        try:
            while not over:
                if connection is None:
                    connection = await crowd.connect()
                    continue
                free.append(asyncio.get_running_loop().create_future())
                due = await free[-1]
                if due < float("inf") and not await crowd.ask(connection, next(crowd.questions), due):
                    await crowd.leave(connection)
                    connection = None
        finally:
            await crowd.leave(connection)

    async def schedule() -> None:
        nonlocal over
        began = time.perf_counter()
        while not free and time.perf_counter() - began < _MOST_TO_CONNECT:
            await asyncio.sleep(_TICK)
        # On a busy machine connecting takes longer than some tests last.
        started, number = time.perf_counter(), 0
        crowd.until += started - began
        while not crowd.over:
            due = int((time.perf_counter() - started) * rate)
            while free and number < due:
                free.popleft().set_result(started + number / rate)
                number += 1
            crowd.tally.not_sent += due - number
            number = due
            await asyncio.sleep(_TICK)
        over = True
        while free:
            free.popleft().set_result(float("inf"))

    return await _finished(crowd, [schedule(), *(client() for _ in range(connections))])


async def _finished(crowd: Crowd, clients: list[Coroutine[Any, Any, None]]) -> Tally:
    """Run clients to their end; where nothing has been answered for long, what is under way is unanswered."""
    crowd.tally.begun = time.perf_counter()
    waiting = {asyncio.ensure_future(client) for client in clients}
    while waiting:
        before = crowd.tally.answers.total()
        done, waiting = await asyncio.wait(waiting, timeout=PATIENCE)
        if crowd.tally.answers.total() == before and not done:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            break
        for task in done:
            task.result()
    return crowd.tally
