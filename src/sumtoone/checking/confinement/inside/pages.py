"""Memory in huge pages: a fork copies the table of pages, and the end of a child frees it, so few are quick."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

_HUGE = 2 << 20
_COLLAPSE = 25


def collapse() -> None:
    """Gather what this process has allocated into huge pages, where the kernel (Linux 6.1) does it.

    With PyTorch imported, a fork and the end of the child then take 3 ms instead of 20.
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text("ascii", "replace").splitlines():
            bounds, rights, *rest = line.split()
            if rights == "rw-p" and (len(rest) < 4 or rest[3] == "[heap]"):
                start, end = (int(bound, 16) for bound in bounds.split("-"))
                start, end = -(-start // _HUGE) * _HUGE, end // _HUGE * _HUGE
                if start < end:  # a refusal changes nothing
                    madvise(start, end - start, _COLLAPSE)
