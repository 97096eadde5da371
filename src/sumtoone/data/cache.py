"""Where sumtoone keeps what it can make or fetch again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def folder() -> Path:
    """Return the cache folder: ``SUMTOONE_CACHE``, else the user's own as the system has it.

    That is ``$XDG_CACHE_HOME/sumtoone`` where it is set; ``~/.cache``, ``~/Library/Caches`` or ``%LOCALAPPDATA%`` else.

    The folder need not exist; whoever writes makes it.
    """
    chosen = os.environ.get("SUMTOONE_CACHE")
    if chosen:
        return expanded(chosen)
    homes = {"darwin": "~/Library/Caches", "win32": os.environ.get("LOCALAPPDATA", "~")}
    return expanded(os.environ.get("XDG_CACHE_HOME") or homes.get(sys.platform, "~/.cache")) / "sumtoone"


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
