"""Ctrl-C that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C was pressed inside the block.

    The first Ctrl-C only sets the answer; a second one raises ``KeyboardInterrupt`` at once. Outside the
    main thread, where no signal arrives, the answer stays False; so it does where the signal is ignored, as a
    script has it for what it starts in the background, and where a program around Python handles it: that
    handler could not be put back.
    """
    pressed = threading.Event()
    main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT)
    if not main or previous is None or previous == signal.SIG_IGN:
        yield pressed.is_set
        return

    def note(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
