"""Cuts a piece of a learner's code short from within, so that the rest of it is still judged."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooLong(BaseException):
    """A piece of a learner's code took longer than its share."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise :class:`TooLong` in the block after a time, again and again, where this process may be interrupted so."""
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    rung = False

    def ring(_: int, frame: FrameType | None) -> None:
        nonlocal rung
        rung = True
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
    try:
        yield
    except BaseException as error:
        if rung and not isinstance(error, TooLong):  # what an interrupted operator made of it
            raise TooLong().with_traceback(error.__traceback__) from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
