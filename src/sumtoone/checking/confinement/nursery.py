"""The checker's side of a nursery: start it, have children forked, see that they are gone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sumtoone.checking.confinement import launch
from sumtoone.checking.confinement.limits import LEVELS, Limits, missing, reached
from sumtoone.checking.confinement.subject import Confined
from sumtoone.errors import UnavailableError
from sumtoone.specification import not_among

_START_SECONDS = 120.0
_REPLY_SECONDS = 30.0
_END_SECONDS = 5.0
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True)
class End:
    """How a child ended: status as ``waitpid`` tells it (-1: it was killed), seconds of processor, bytes resident."""

    status: int
    processor: float
    resident: int


class Nursery:
    """A process that forks confined children, one at a time; several may stand side by side, each for one thread.

    Parameters
    ----------
    isolation
        ``"strong"``, ``"good"`` or ``"weak"``: exactly that; None: the best that can be proved, at least ``"good"``.
    limits
        What each submission may use.

    Raises
    ------
    UnavailableError
        When a child is opened: ``check-isolation`` if the level is not proved, ``check-nursery`` if nothing starts.
    """

    def __init__(self, isolation: str | None = None, limits: Limits | None = None, *, _without: Sequence[str] = ()):
        if isolation is not None and isolation not in LEVELS:
            raise not_among("isolation", isolation, LEVELS)
        if isolation is None and sys.platform != "linux":
            raise UnavailableError("check-isolation", wanted="good", missing=sys.platform)
        if not hasattr(os, "fork"):
            raise UnavailableError("check-isolation", wanted=isolation, missing=sys.platform)
        self.isolation, self.limits = isolation, limits or Limits()
        self._without = tuple(_without)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = self._occupied = self._abandoned = False
        self._proved: dict[str, bool] | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the nursery and whatever it has forked, and see it gone."""
        process, control, self._process, self._control = self._process, self._control, None, None
        self._ready = False
        if control is not None:
            control.close()
        if process is not None:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def abandon(self) -> None:
        """End it from another thread, for good: whoever waits for a submission meanwhile is told that it is gone."""
        self._abandoned = True
        self.close()

    @property
    def proved(self) -> dict[str, bool]:
        """What the canaries proved, by property; waits for the first proof."""
        if self._proved is None:
            with self.open(sys.executable):
                pass
        assert self._proved is not None
        return dict(self._proved)

    @property
    def level(self) -> str:
        """The level that is proved; waits for the first proof."""
        return self.isolation or reached(self.proved)

    def open(self, path: str | Path) -> Confined:
        """Return a submission's subject, to be used as a context manager.

        Parameters
        ----------
        path
            The submission: a file that the child must fail to open.
        """
        return Confined(self, os.path.abspath(path))  # noqa: PTH100 - what a link is called must not open either

    def fork(self, path: str, pipes: Sequence[int], seconds: float) -> None:
        """Have a child forked with the ends of three pipes: questions to read, answers and output to write."""
        job = {
            "do": "open",
            "path": path,
            "home": os.path.expanduser("~"),  # noqa: PTH111 - there may be none
            "checker": os.getpid(),
            "memory": self.limits.memory,
            "seconds": seconds,
        }
        with self._lock:
            if self._abandoned:
                raise UnavailableError("check-nursery", python=sys.executable, reason="it was ended")
            assert not self._occupied, "a nursery forks one child at a time"
            if self._process is None or self._process.poll() is not None:
                self.close()
                self._start()
            self._await()
            self._ask(job, pipes)
            self._occupied = True

    def bury(self, grace: float = 0.0) -> End:
        """Have the child killed unless it ends within ``grace`` seconds; return how it had ended once it is gone."""
        with self._lock:
            self._occupied = False
            if self._process is None:
                return End(-1, 0.0, 0)
            try:
                told = self._ask({"do": "close", "grace": grace})
            except UnavailableError:
                return End(-1, 0.0, 0)  # the nursery is gone, and its child with it
            return End(told["status"], told["processor"], told["resident"])

    def accept(self, proved: dict[str, Any]) -> None:
        """Take what the canaries of a child proved; ``UnavailableError`` if it is less than was demanded."""
        self._proved = {name: proved.get(name) is True for name in proved}
        wanted = self.isolation or "good"
        lacking = missing(wanted, self._proved)
        if lacking:
            raise UnavailableError("check-isolation", wanted=wanted, missing=", ".join(lacking))

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = launch.start(theirs.fileno(), self.isolation, self._without)
        except OSError as error:
            ours.close()
            raise UnavailableError("check-nursery", python=sys.executable, reason=error) from error
        finally:
            theirs.close()
        self._control = ours

    def _await(self) -> None:
        if not self._ready:
            self._hear(_START_SECONDS)
            self._ready = True

    def _ask(self, words: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        assert self._control is not None
        try:
            socket.send_fds(self._control, [json.dumps(words).encode() + b"\n"], list(descriptors))
            return self._hear(_REPLY_SECONDS)
        except OSError as error:
            raise self._failed(error) from error
        except KeyboardInterrupt:
            # A reply that is still under way would be taken for that of the next question.
            self._failed("interrupted")
            raise

    def _hear(self, seconds: float) -> dict[str, Any]:
        """Return the nursery's next line."""
        assert self._control is not None
        line, until = b"", time.monotonic() + seconds
        try:
            while not line.endswith(b"\n"):
                self._control.settimeout(max(until - time.monotonic(), 0.001))
                arrived = self._control.recv(_LONGEST_LINE)
                if not arrived:
                    raise EOFError("it ended")
                line += arrived
            told: dict[str, Any] = json.loads(line)
        except (OSError, EOFError, ValueError) as error:
            raise self._failed(error) from error
        if "error" in told:
            raise self._failed(told["error"])
        return told

    def _failed(self, reason: object) -> UnavailableError:
        if self._process is not None:
            with suppress(OSError):
                self._process.kill()
        self.close()
        return UnavailableError("check-nursery", python=sys.executable, reason=reason)
