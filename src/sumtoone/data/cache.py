"""Where sumtoone keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """Return the cache folder: ``SUMTOONE_CACHE``, else the user's own as the system has it (XDG on Linux).

    The folder need not exist; whoever writes makes it.
    """
    chosen = os.environ.get("SUMTOONE_CACHE")
    if chosen:
        return expanded(chosen)
    import pooch

    return Path(pooch.os_cache("sumtoone"))


def expanded(path: str) -> Path:
    """Return a path with ``~`` written out, where it leads to a home that there is.

    >>> str(expanded("~nobody-of-this-name/data.csv"))
    '~nobody-of-this-name/data.csv'
    """
    try:
        # pathlib raises RuntimeError where there is no such home.
        return Path(os.path.expanduser(path))  # noqa: PTH111
    except ValueError:
        # A zero byte, which the file system will refuse.
        return Path(path)
