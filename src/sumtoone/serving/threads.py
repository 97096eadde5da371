"""One thread for what would hold up the event loop, and a bounded wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from sumtoone.errors import UnavailableError

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class OneThread:
    """Runs functions one after another.

    Parameters
    ----------
    name
        Of the thread.
    most_waiting
        So many may wait or run; one more is refused.
    """

    def __init__(self, name: str, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._asked = 0
        self._pool = ThreadPoolExecutor(1, name)
        # Said by the thread itself: who asked may have left long before it is done.
        self.busy = False

    @property
    def waiting(self) -> int:
        """Those that wait for the one that is running."""
        return max(0, self._asked - 1)

    async def run(
        self, function: Callable[_Parameters, _Result], *given: _Parameters.args, **named: _Parameters.kwargs
    ) -> _Result:
        """Return what a function gives; ``serve-full`` if too many are waiting."""
        if self._asked >= self._most_waiting:
            raise UnavailableError("serve-full")

        def marked() -> _Result:
            self.busy = True
            try:
                return function(*given, **named)
            finally:
                self.busy = False

        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, marked)
        finally:
            self._asked -= 1

    def close(self) -> None:
        """Begin nothing more, and wait for nothing: what is running goes on."""
        self._pool.shutdown(wait=False, cancel_futures=True)
