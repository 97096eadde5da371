"""The life of a confined child: give everything up, show that it is gone, then answer questions until killed."""

from __future__ import annotations

import fcntl
import io
import math
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sumtoone.checking.confinement.frames import NONCE_BYTES, Incoming, pack
from sumtoone.checking.confinement.inside import canaries, landlock, system
from sumtoone.checking.confinement.inside.filters import Filter
from sumtoone.checking.performing import Performer

QUESTIONS, ANSWERS = 3, 4
FIRST = bytes(NONCE_BYTES)
# Says for what a child ended; read as a word about its end, never as a verdict.
MEMORY_EXIT, UNFRAMED_EXIT = 71, 72
_FILES = 64
_OUT_OF_THE_WAY = 100
_STACK = 8 << 20


@dataclass
class Means:
    """What a child is confined with, prepared once in the nursery; None where it is not to be had."""

    rules: int | None = None
    filter: Filter | None = None
    kept: Sequence[int] = ()
    limits: bool = True
    left_out: frozenset[str] = field(default_factory=frozenset)


def live(means: Means, job: dict[str, Any], pipes: Sequence[int]) -> None:
    """Be a child until the end, which is never a return."""
    # A submission may empty every module; what is needed to the end is held here.
    status, leave, no_memory = 70, os._exit, MemoryError
    try:
        _take(pipes, means)
        _confine(means, job)
        answer(FIRST, canaries.report(job))
        serve()
        status = 0
    except no_memory:
        status = MEMORY_EXIT
    finally:
        # No exit handler, no finaliser and no buffer of a learner is run.
        leave(status)


def _take(pipes: Sequence[int], means: Means) -> None:
    """Put the three pipes where they belong and close all else."""
    questions, answers, output = (fcntl.fcntl(pipe, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for pipe in pipes)
    for descriptor, place in ((output, 1), (output, 2), (questions, QUESTIONS), (answers, ANSWERS)):
        os.dup2(descriptor, place, inheritable=False)
    start = ANSWERS + 1
    for kept in (*sorted(k for k in (*means.kept, *([means.rules] if means.rules else []))), 1 << 20):
        os.closerange(start, kept)
        start = kept + 1
    sys.stdin = io.StringIO()
    for name, place in (("stdout", 1), ("stderr", 2)):
        stream = open(place, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _confine(means: Means, job: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if means.limits:
        _limit(job["memory"], job["seconds"])
    if not system.LINUX:
        return
    system.prctl(system.PR_SET_DUMPABLE, 0)
    if "capabilities" not in means.left_out:
        system.drop_capabilities()
    system.prctl(system.PR_SET_NO_NEW_PRIVS, 1)
    # A change of credentials forgets it, so it comes after them.
    system.prctl(system.PR_SET_PDEATHSIG, signal.SIGKILL)
    if means.rules is not None:
        landlock.restrict(means.rules)
        os.close(means.rules)
    if means.filter is not None:
        means.filter.load()


def _limit(memory: int, seconds: float) -> None:
    processor = math.ceil(seconds) + 1
    wanted = {
        resource.RLIMIT_CPU: (processor, processor + 1),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (_FILES, _FILES),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_STACK: (_STACK, _STACK),
        resource.RLIMIT_MEMLOCK: (0, 0),
    }
    if system.LINUX:
        wanted[resource.RLIMIT_AS] = (_mapped() + memory,) * 2
        wanted[resource.RLIMIT_MSGQUEUE] = (0, 0)
    for kind, (soft, hard) in wanted.items():
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)  # noqa: PLW2901
        resource.setrlimit(kind, (soft, hard))


mapped_at_start = 0


def _mapped() -> int:
    """Return how much is mapped already, in bytes, as the nursery measured it while it could still read it."""
    return mapped_at_start


def answer(nonce: bytes, words: dict[str, Any], arrays: Sequence[Any] = (), *, write: Any = os.write) -> None:
    """Write one frame."""
    left = memoryview(pack(nonce, words, arrays))
    while left:
        left = left[write(ANSWERS, left) :]


def serve() -> None:
    """Answer questions until there are no more."""
    performer, read, leave, unframed = Performer(alone=True), os.read, os._exit, ValueError
    while True:
        frame = Incoming()
        while wanted := frame.wanted():
            arrived = read(QUESTIONS, min(wanted, 1 << 20))
            if not arrived:
                return
            frame.add(arrived)
        nonce = frame.nonce()
        request, arrays = frame.unpack(nonce)
        words, replied = performer.answer(request, arrays)
        # Whatever a submission has put there, or closed.
        with suppress(Exception):
            sys.stdout.flush()
        try:
            answer(nonce, words, replied)
        except unframed:
            leave(UNFRAMED_EXIT)
