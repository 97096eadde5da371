"""A submission in a confined child, seen from the checker: what is asked, what comes back, and why it was stopped."""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, Self

from sumtoone.checking.confinement.frames import NONCE_BYTES, Incoming, Malformed, pack
from sumtoone.checking.subject import Stopped
from sumtoone.errors import UnavailableError
from sumtoone.language.display import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sumtoone.checking.confinement.nursery import End, Nursery

_KEPT = 1 << 16
_CHUNK = 1 << 16
_CANARY_SECONDS = 30.0
# A process closes its pipes some moments before it can be waited for.
_GRACE = 2.0
_MEMORY_EXIT, _UNFRAMED_EXIT = 71, 72
_OUT_OF_MEMORY = (b"bad_alloc", b"MemoryError", b"not enough memory", b"can't allocate memory")


class Confined:
    """A subject whose answers come from a confined child; use it as a context manager, in one thread."""

    def __init__(self, nursery: Nursery, path: str) -> None:
        self._nursery, self._path = nursery, path
        self._limits = nursery.limits
        self._left = nursery.limits.seconds
        self._printed, self._written = bytearray(), 0
        self._pipes: list[int] = []
        self._stopped: Stopped | None = None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def printed(self) -> str:
        """What the submission has printed so far, at most 64 KiB, each line made printable."""
        lines = self._printed.decode("utf-8", "replace").replace("\t", "    ").splitlines()
        return "\n".join(printable(line, _KEPT) for line in lines)

    @property
    def seconds_left(self) -> float:
        """How long this submission may still be waited for."""
        return max(self._left, 0.0)

    def ask(
        self, request: Mapping[str, Any], arrays: Sequence[NDArray[Any]] = (), *, within: float = math.inf
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Return the reply to a request and its arrays; raise ``Stopped`` if there will be none ``within`` seconds.

        Then there will be none ever after either, before :meth:`reopen`.
        """
        if self._stopped is not None:
            raise Stopped(*self._stopped.args)
        assert self._pipes, "a subject is used inside its with block"
        nonce = os.urandom(NONCE_BYTES)
        started = time.monotonic()
        try:
            incoming = self._exchange(pack(nonce, request, arrays), started + min(self._left, within))
            return incoming.unpack(nonce)
        except Malformed as error:
            self._stop("forbidden", f"an answer that is none: {error}")
        finally:
            self._left -= time.monotonic() - started

    def reopen(self) -> None:
        """Go on with a new child, in what is left of the time; raises ``Stopped`` if nothing is left."""
        self.close()
        if self._left <= 0 or self._written > self._limits.output:
            raise Stopped(*(self._stopped or Stopped("time-limit")).args)
        self._stopped = None
        self._begin()

    def close(self) -> None:
        """Kill the child and see it gone."""
        if self._pipes:
            self._end(0.0)

    def _begin(self) -> None:
        """Have a child forked and confined, and believe nothing of it before its canaries have failed."""
        pipes = [os.pipe() for _ in range(3)]
        (question, questions), (answers, answer), (output, out) = pipes
        try:
            self._nursery.fork(self._path, (question, answer, out), max(self._left, 0.0))
        except BaseException:
            for end in (questions, answers, output):
                os.close(end)
            raise
        finally:
            for end in (question, answer, out):
                os.close(end)
        self._pipes = [questions, answers, output]
        for end in self._pipes:
            os.set_blocking(end, False)
        try:
            proved, _ = self._exchange(b"", time.monotonic() + _CANARY_SECONDS).unpack(bytes(NONCE_BYTES))
            self._nursery.accept(proved)
        except (Stopped, Malformed) as error:
            self.close()
            raise UnavailableError(
                "check-nursery", python=sys.executable, reason=f"{error} {self.printed[-300:]}"
            ) from error
        except BaseException:
            self.close()
            raise

    def _exchange(self, question: bytes, until: float) -> Incoming:
        """Send the question while listening; return the whole frame that came, or stop the submission."""
        questions, answers, output = self._pipes
        left, incoming, poll = memoryview(question), Incoming(), select.poll()
        poll.register(answers, select.POLLIN)
        poll.register(output, select.POLLIN)
        if left:
            self._nothing_yet(answers)
            poll.register(questions, select.POLLOUT)
        while incoming.wanted():
            ready = dict(poll.poll(max(until - time.monotonic(), 0.0) * 1000 + 1))
            if output in ready and not self._hear(output):
                poll.unregister(output)
            if questions in ready:
                left = left[_sent(questions, left) :]
                if not left:
                    poll.unregister(questions)
            if answers in ready:
                arrived = _read(answers, min(incoming.wanted(), 1 << 20))
                if arrived == b"":
                    self._explain(self._end(_GRACE))
                incoming.add(arrived or b"")
            # Even while something is arriving: an answer may trickle.
            if incoming.wanted() and time.monotonic() >= until:
                self._stop("time-limit")
        self._hear(output)
        self._nothing_yet(answers)
        return incoming

    @staticmethod
    def _nothing_yet(answers: int) -> None:
        poll = select.poll()
        poll.register(answers, select.POLLIN)
        if any(event & select.POLLIN for _, event in poll.poll(0)):
            raise Malformed("it came unasked")

    def _hear(self, output: int) -> bool:
        """Take what has been printed; return whether more may come; stop the submission that prints too much."""
        arrived = _read(output, _CHUNK)
        if arrived is None:
            return True
        self._written += len(arrived)
        self._printed += arrived[: _KEPT - len(self._printed)]
        if self._written > self._limits.output:
            self._stop("output-limit")
        return bool(arrived)

    def _stop(self, reason: str, detail: str = "") -> NoReturn:
        self._end(0.0)
        self._stopped = Stopped(reason, detail)
        raise self._stopped

    def _end(self, grace: float) -> End:
        """Have the child buried; keep the last of what it printed."""
        pipes, self._pipes = self._pipes, []
        end = self._nursery.bury(grace)
        while arrived := _read(pipes[2], _CHUNK):
            self._written += len(arrived)
            self._printed += arrived[: _KEPT - len(self._printed)]
        for pipe in pipes:
            os.close(pipe)
        return end

    def _explain(self, end: End) -> NoReturn:
        """Say why the child has ended by itself."""
        number = os.WTERMSIG(end.status) if end.status > 0 and os.WIFSIGNALED(end.status) else 0
        code = os.WEXITSTATUS(end.status) if end.status >= 0 and not number else 0
        names = {item.value: item.name for item in signal.Signals}
        name = names.get(number, f"signal {number}") if number else f"exit {code}"
        tail = bytes(self._printed[-4096:])
        used_up = end.processor >= self._limits.seconds
        scarce = any(word in tail for word in _OUT_OF_MEMORY) or end.resident >= 0.9 * self._limits.memory
        if name == "SIGXCPU" or (name == "SIGKILL" and used_up):
            self._stopped = Stopped("time-limit", name)
        elif name in {"SIGSYS", "SIGXFSZ"}:
            self._stopped = Stopped("forbidden", name)
        elif code == _MEMORY_EXIT or name == "SIGKILL" or (name == "SIGABRT" and scarce):
            self._stopped = Stopped("memory-limit", name)
        elif code == _UNFRAMED_EXIT:
            self._stopped = Stopped("output-limit", "an answer that no frame holds")
        else:
            self._stopped = Stopped("crashed", "it closed its pipes" if end.status < 0 else name)
        raise self._stopped


def _read(descriptor: int, most: int) -> bytes | None:
    """Return what can be read now: empty at the end, None if nothing has come."""
    try:
        return os.read(descriptor, most)
    except BlockingIOError:
        return None


def _sent(descriptor: int, left: memoryview) -> int:
    """Return how much of the question could be sent now; all of it if nobody reads: the end is heard elsewhere."""
    with suppress(BlockingIOError):
        try:
            return os.write(descriptor, left)
        except BrokenPipeError:
            return len(left)
    return 0
