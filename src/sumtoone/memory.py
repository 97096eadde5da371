"""Memory that is not there, told as an error of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sumtoone.errors import UnavailableError


@contextmanager
def enough_memory(where: object = None) -> Iterator[None]:
    """Raise :class:`UnavailableError` where what is done inside, or with what is read, needs more memory than there is.

    >>> try:
    ...     with enough_memory():
    ...         raise MemoryError("8 exbibytes")
    ... except UnavailableError as error:
    ...     print(error.code)
    memory
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, UnavailableError) or not is_lack_of_memory(error):
            raise
        raise lacking(error, where) from None


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether the machine had no more memory: PyTorch says so in words alone."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or ("alloc" in said and "memory" in said)


def lacking(error: BaseException, where: object = None) -> UnavailableError:
    """Return the error of ours for a lack of memory, with what is free now: what would fit is less than that."""
    said = (str(error) or "MemoryError").splitlines()[0]
    what = said if where is None else f"{where}: {said}"
    try:
        free = f"{os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**20:,.0f}"
    except (AttributeError, OSError, ValueError):  # pragma: no cover - not on every system
        free = "?"
    return UnavailableError("memory", what=what, free=free)
