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
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("sumtoone"))
