"""Judges submissions in confined processes: one, or hundreds side by side, each as if it were alone."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sumtoone.checking.confinement import Limits, Nursery
from sumtoone.checking.judging import Judged, cases_of, judge
from sumtoone.checking.sources import Found, Submission, read
from sumtoone.checking.subject import Stopped
from sumtoone.checking.verdict import Finding, Verdict
from sumtoone.errors import SumtooneError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sumtoone.checking.confinement import Confined

# One statement, or one call, may take this share of the time of a submission before it is cut short.
_SHARE = 4


@dataclass(frozen=True)
class Settings:
    """How submissions are judged: what decides a verdict, and how many at a time.

    Parameters
    ----------
    exercise
        The only exercise that is asked for; None for every one that a submission holds.
    isolation
        ``"strong"``, ``"good"``, ``"weak"``, or None for the best that can be proved.
    seconds
        Of waiting for one submission.
    memory
        Bytes that one submission may take.
    workers
        How many are judged at a time; None for one for each core.
    """

    exercise: str | None = None
    isolation: str | None = None
    seconds: float = 10.0
    memory: int = 1 << 30
    workers: int | None = None

    @property
    def limits(self) -> Limits:
        """What one submission may use."""
        return Limits(seconds=self.seconds, memory=self.memory)


class Patient:
    """A confined submission that is begun anew after one question has ended it, so that the others are answered."""

    def __init__(self, confined: Confined, share: float) -> None:
        self._confined, self._share = confined, share
        self._begun: tuple[Mapping[str, Any], Sequence[NDArray[Any]]] | None = None
        self._ended: Stopped | None = None

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._confined.printed

    def ask(
        self, request: Mapping[str, Any], arrays: Sequence[NDArray[Any]] = ()
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Return the reply and its arrays; after ``Stopped`` the next question meets the submission as new."""
        if self._ended is not None:
            raise Stopped(*self._ended.args)
        if request["do"] == "run":
            self._begun = (request, arrays)
            return self._confined.ask(request, arrays)
        try:
            return self._confined.ask(request, arrays, within=2 * self._share + 0.2)
        except Stopped as stop:
            self._again(stop)
            raise

    def _again(self, stop: Stopped) -> None:
        if self._begun is None:
            return
        try:
            self._confined.reopen()
            self._confined.ask(*self._begun)
        except Stopped:
            self._ended = stop


def judged(nursery: Nursery, submission: Submission, settings: Settings) -> list[Verdict]:
    """Return the verdicts on one submission."""
    started = time.monotonic()
    # Inputs that nobody knows before, and that are the same whenever this submission is judged again.
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(submission.digest.encode()).digest()[:16]))
    share, printed = settings.seconds / _SHARE, ""
    try:
        if submission.problem is not None:
            made = judge(_Nobody(), submission, settings.exercise, random, share)
        else:
            with nursery.open(submission.path) as confined:
                made = judge(Patient(confined, share), submission, settings.exercise, random, share)
                printed = confined.printed
    except SumtooneError:
        raise
    except Exception as error:
        # One submission never stops the judging of the others, whatever it found in us.
        what = f"{type(error).__name__}: {error}"[:300]
        made = [(settings.exercise, Judged(Finding("unjudged", fields={"error": what})))]
    seconds = time.monotonic() - started
    return [
        _verdict(submission, name, found, seconds / len(made), nursery.level, printed, settings) for name, found in made
    ]


class _Nobody:
    """The subject of a submission that cannot be run: nobody asks it."""

    printed = ""

    def ask(self, request: Mapping[str, Any], arrays: Any = ()) -> Any:
        raise Stopped("crashed")


def _verdict(
    submission: Submission, name: str | None, made: Judged, seconds: float, level: str, printed: str, settings: Settings
) -> Verdict:
    passed = made.finding.code == "correct"
    limits = {
        "time-limit": f"{settings.seconds / (_SHARE if made.finding.fields.get('share') else 1):g} s",
        "memory-limit": f"{settings.memory >> 20:,} MiB",
        "output-limit": f"{settings.limits.output >> 20:,} MiB",
    }
    finding = made.finding
    if finding.code in limits:
        last = printed.strip().splitlines()[-1:]
        said = {"limit": limits[finding.code], "printed": last[0][:200] if last else "-", **finding.fields}
        finding = replace(finding, fields={**said, "step": said.get("step") or said.get("name") or name or ""})
    return Verdict(
        path=submission.path,
        exercise=name,
        passed=passed,
        finding=finding,
        remarks=made.remarks,
        cases=cases_of(made, name),
        seconds=seconds,
        isolation=level,
        printed=printed,
        source=submission.source,
    )


Done = Callable[[Submission, list[Verdict]], None]


def judge_all(
    found: Sequence[Found],
    settings: Settings,
    known: Mapping[str, list[Verdict]] | None = None,
    done: Done | None = None,
    proofs: list[Mapping[str, bool]] | None = None,
) -> Iterator[tuple[int, list[Verdict]]]:
    """Yield the place of each submission and its verdicts, as they become known.

    Parameters
    ----------
    known
        Verdicts of an earlier check, by :func:`key`; what is in it is not judged again.
    done
        Called with each submission that has just been judged, by the thread that did it.
    proofs
        Takes what the canaries of each nursery proved.

    Raises
    ------
    UnavailableError
        If the isolation that is demanded cannot be proved here.
    """
    job = _Job(found, settings, known or {}, done, proofs)
    for place in range(len(found)):
        job.waiting.put(place)
    count = max(1, min(settings.workers or _cores(), len(found)))
    nurseries = [Nursery(settings.isolation, settings.limits) for _ in range(count)]
    threads = [threading.Thread(target=job.work, args=(nursery,), daemon=True) for nursery in nurseries]
    for thread in threads:
        thread.start()
    try:
        for _ in found:
            result = job.results.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        job.stop.set()
        for nursery in nurseries:
            nursery.abandon()
        for thread in threads:
            thread.join(settings.seconds)


@dataclass(frozen=True)
class _Job:
    """What the threads of one check share."""

    found: Sequence[Found]
    settings: Settings
    known: Mapping[str, list[Verdict]]
    done: Done | None
    proofs: list[Mapping[str, bool]] | None
    waiting: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    results: queue.SimpleQueue[tuple[int, list[Verdict]] | BaseException] = field(default_factory=queue.SimpleQueue)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self, nursery: Nursery) -> None:
        """Judge what waits, until nothing does."""
        try:
            with nursery, suppress(queue.Empty):
                if self.proofs is not None:
                    self.proofs.append(nursery.proved)
                while not self.stop.is_set():
                    place = self.waiting.get_nowait()
                    self.results.put((place, self._judged(nursery, read(self.found[place]))))
        except BaseException as error:
            self.results.put(error)

    def _judged(self, nursery: Nursery, submission: Submission) -> list[Verdict]:
        if key(submission) in self.known:
            return self.known[key(submission)]
        verdicts = judged(nursery, submission, self.settings)
        # What was cut short by the end of the check is no verdict.
        if self.done is not None and not self.stop.is_set():
            self.done(submission, verdicts)
        return verdicts


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def key(submission: Submission) -> str:
    """Return what a submission is known by: its path and its content."""
    return f"{submission.digest} {submission.path}"
