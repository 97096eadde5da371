"""What a server must stand, each part by itself: numbers in, a verdict with its figures out."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.load import assault, clients, connections, crowds, questions, server
from benchmarks.load.clients import Crowd, Tally
from benchmarks.load.questions import Known, Question

CLIENTS = 64
TIMES = 10
LEAST_GOODPUT = 0.8
MOST_GROWTH = 50.0
IDLE, SLOW = 1_000, 200


@dataclass(frozen=True)
class Verdict:
    """What was found of one thing, and whether it is as it must be."""

    what: str
    wanted: str
    found: str
    good: bool


@dataclass(frozen=True)
class Subject:
    """A run's folder and what is known of its answers; each part begins a server for it, unless one is running."""

    folder: Path
    known: Known
    options: tuple[str, ...] = ()
    say: Callable[[str], None] = print
    running: server.Server | None = None

    def served(self) -> AbstractContextManager[server.Server]:
        """Begin a server for it, or go on with the one that is running."""
        return nullcontext(self.running) if self.running else server.sumtoone(self.folder, *self.options)


def subject(folder: Path, it: server.Server, rows: int = 256, say: Callable[[str], None] = print) -> Subject:
    """Return the subject of a run's folder, after asking a server of it what it calls its model."""
    from sumtoone import open_run

    known = questions.known(open_run(folder), "", rows)
    answer = connections.run(connections.answer_to(it.address, questions.pixels(known, 0).request))
    return Subject(folder, replace(known, model=json.loads(answer.body)["model"]), say=say)


@dataclass(frozen=True)
class _Measured:
    """What clients counted, what the server's processor spent on it, and who else was there."""

    tally: Tally
    processor: float
    beside: crowds.Beside | None = None

    @property
    def per_processor(self) -> float:
        """Right answers for each second of the server's processor: hardly any other program changes that."""
        return self.tally.right / self.processor if self.processor else 0.0

    def __str__(self) -> str:
        others = f"\n    {self.beside}" if self.beside else ""
        return f"{self.tally}; {self.per_processor:,.0f} for a second of its processor{others}"


def overload(
    subject: Subject,
    seconds: float,
    idle: int = 0,
    slow: int = 0,
    *,
    times: int = TIMES,
    least: float = LEAST_GOODPUT,
) -> list[Verdict]:
    """So many times the clients that the server is measured with, then so many times the rate, with others beside them.

    What it answers to 64 clients is measured before and after, for the machine may do something else by then.
    """
    beside = f", {idle:,} idle and {slow} slow beside" if idle or slow else ""
    calm_seconds = min(seconds, 10.0)
    with subject.served() as it:
        calm = [connections.run(_measured(it, _closed(it, subject, calm_seconds, CLIENTS)))]
        before = it.resident
        it.forget()
        found = connections.run(_overloaded(it, subject, seconds, times, calm[0].tally.goodput, idle, slow))
        grown = it.most_resident - before
        calm.append(connections.run(_measured(it, _closed(it, subject, calm_seconds, CLIENTS))))
        verdicts = []
        for measured in calm:
            subject.say(f"{CLIENTS} clients: {measured}")
            verdicts.append(_faultless(f"{CLIENTS} clients", measured.tally))
        for name, measured in found.items():
            subject.say(f"{name}{beside}: {measured}")
            verdicts += [
                _faultless(f"{name}{beside}: each request answered once", measured.tally),
                _share(
                    f"{name}: right answers a second", measured.tally.goodput, [m.tally.goodput for m in calm], least
                ),
                _share(f"{name}: for its processor's", measured.per_processor, [m.per_processor for m in calm], least),
            ]
        growth = Verdict(f"memory{beside}", f"≤ {MOST_GROWTH:g} MB more", f"{grown:+.1f} MB", grown <= MOST_GROWTH)
        return [*verdicts, growth, *well(it, "overload" + beside)]


def _share(what: str, figure: float, calm: list[float], least: float) -> Verdict:
    usual = sum(calm) / len(calm)
    share = figure / usual if usual else 0.0
    return Verdict(what, f"≥ {least:.0%} of {usual:,.0f}", f"{figure:,.0f}: {share:.0%}", share >= least)


async def _overloaded(
    it: server.Server, subject: Subject, seconds: float, times: int, usual: float, idle: int, slow: int
) -> dict[str, _Measured]:
    found, many = {}, CLIENTS * times
    async with crowds.beside(it.address, idle, slow) as seen:
        measured = await _measured(it, _closed(it, subject, seconds, many))
        found[f"{many:,} clients"] = replace(measured, beside=replace(seen))
    async with crowds.beside(it.address, idle, slow) as seen:
        crowd = Crowd(it.address, _pixels(subject), until=time.perf_counter() + seconds)
        measured = await _measured(it, clients.opened(crowd, usual * times, many))
        found[f"{times} times the rate"] = replace(measured, beside=replace(seen))
    return found


async def _measured(it: server.Server, load: Awaitable[Tally]) -> _Measured:
    before = it.processor
    tally = await load
    return _Measured(tally, it.processor - before)


def tagged(subject: Subject, requests: int, seed: int = 0) -> list[Verdict]:
    """Requests of all kinds side by side, each of whose answers is known.

    A tenth come in pieces; a tenth some at once on each connection, before the answers to the others.
    """
    verdicts, right, some = [], 0, questions.mixed(subject.known, seed)
    ways = {"": (1, 1), " in pieces": (1, 4), " at once": (4, 1)}
    with subject.served() as it:
        for way, (depth, pieces) in ways.items():
            many = requests // 10 if way else requests - 2 * (requests // 10)
            crowd = Crowd(it.address, some, requests=many, depth=depth, pieces=pieces)
            tally = connections.run(clients.closed(crowd, CLIENTS))
            subject.say(f"tagged{way}: {tally}" + "".join(f"\n  {example}" for example in tally.examples))
            verdicts.append(_faultless(f"tagged requests{way}", tally))
            right += tally.right
        share = right / requests
        served = Verdict("tagged requests that were not refused", "≥ 95%", f"{share:.0%}", share >= 0.95)
        return [*verdicts, served, *well(it, "tagged")]


def terminated(subject: Subject, times: int, seed: int = 0) -> list[Verdict]:
    """SIGTERM under load, again and again, each time at another moment."""
    random_ = random.Random(seed)
    kept: Counter[str] = Counter()
    examples: list[str] = []
    codes: Counter[int] = Counter()
    longest = 0.0
    for turn in range(times):
        with subject.served() as it:
            crowd = Crowd(it.address, questions.mixed(subject.known, seed + turn), until=time.perf_counter() + 60)
            tally = connections.run(_stopped(it, crowd, after=random_.randrange(50, 1_000)))
            codes[it.wait()] += 1
            longest = max(longest, time.perf_counter() - crowd.told_to_stop)
            kept.update(right=tally.right, turned_away=tally.turned_away, lost=tally.lost)
            faults = [*tally.faults, *([f"it wrote {it.defects[-300:]!r}"] if it.defects else [])]
            kept.update(rounds_with_faults=bool(faults))
            examples += [f"turn {turn + 1}: {'; '.join([*faults, *tally.examples[:2]])}"] * bool(faults)
    words = f"{kept['right']:,} answered, {kept['turned_away']} sent too late, {kept['lost']} lost"
    subject.say(f"{times} SIGTERMs: {words}" + "".join(f"\n  {example}" for example in examples[:10]))
    exits = ", ".join(f"{count} × {code}" for code, count in sorted(codes.items()))
    return [
        Verdict(f"{times} SIGTERMs: accepted requests lost", "none", words, not kept["lost"] and not examples),
        Verdict(
            f"{times} SIGTERMs: exit codes", f"{times} × 0", f"{exits}; in {longest:.1f} s at most", set(codes) == {0}
        ),
    ]


async def _stopped(it: server.Server, crowd: Crowd, after: int) -> Tally:
    """Let clients ask until the server, told to stop after so many requests, listens no more."""
    asking = asyncio.ensure_future(clients.closed(crowd, CLIENTS))
    while crowd.tally.sent < after and not asking.done():
        await asyncio.sleep(0.001)
    # The clock first: what is sent from now on may come too late.
    crowd.told_to_stop = time.perf_counter()
    it.tell_to_stop()
    return await asking


def malformed(subject: Subject, requests: int, seed: int = 0) -> list[Verdict]:
    """Requests that are none, and between them some in order; memory counts from the first tenth of them on."""
    attacks, some = assault.drawn(subject.known, seed), questions.mixed(subject.known, seed)
    with subject.served() as it:
        damage = assault.Damage()
        connections.run(assault.assault(it.address, attacks, some, requests // 10, damage))
        before = it.resident
        connections.run(assault.assault(it.address, attacks, some, requests - requests // 10, damage))
        grown = it.resident - before
        subject.say(f"{damage}\nmemory: {it.most_resident:.0f} MB at most, {before:.0f} and then {it.resident:.0f} MB")
        refused = Verdict(f"{damage.sent:,} malformed requests: faults", "none", damage.words, not damage.faults)
        alive = Verdict("right answers between them", "all", f"{damage.asked_after:,}", damage.asked_after > 0)
        growth = Verdict("memory after them", f"≤ {MOST_GROWTH:g} MB more", f"{grown:+.1f} MB", grown <= MOST_GROWTH)
        return [refused, alive, growth, *well(it, "malformed")]


def _pixels(subject: Subject) -> Iterator[Question]:
    return questions.of_one_kind(subject.known, questions.pixels)


async def _closed(it: server.Server, subject: Subject, seconds: float, count: int) -> Tally:
    return await clients.closed(Crowd(it.address, _pixels(subject), until=time.perf_counter() + seconds), count)


def _faultless(what: str, tally: Tally) -> Verdict:
    faults = "; ".join([*tally.faults, *tally.examples[:2]])
    good = not tally.faults and tally.right > 0
    return Verdict(what, f"all {tally.sent:,}", faults or f"{tally.sent:,}", good)


def well(it: server.Server, what: str) -> list[Verdict]:
    """Whether the server lives and has met no error that it did not expect."""
    written = it.defects
    found = f"it wrote {written[-300:]!r}" if written else "yes" if it.alive else "it has ended"
    return [Verdict(f"{what}: alive, no defect written of", "yes", found, it.alive and not written)]
