"""What a confined child must fail to do, tried in it before it has received a byte of a learner's code.

Each canary returns True where everything it tried was refused. It undoes what it could do.
"""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_NAME = "sumtoone-canary"
# What the libraries may have mapped less than when the limit was set.
_SLACK = 64 << 20


def report(known: dict[str, Any]) -> dict[str, bool]:
    """Return what was refused, by name.

    ``known``: ``path`` of the submission, ``home`` and ``checker`` (the process) of who checks, ``memory`` in bytes.
    """
    path, checker = known["path"], known["checker"]
    elsewhere = [path, "/etc/passwd", f"/proc/{checker}/environ", "/proc/self/mem", "/proc/self/maps"]
    folders = ["/", "/tmp", "/dev/shm", "/var/tmp", known["home"], str(Path(path).parent)]  # noqa: S108
    elsewhere_too = (path, "/etc/passwd", "/proc/self")
    return {
        "files": _refused(_open, elsewhere) and _refused(os.listdir, folders[1:]),
        "writes": _refused(_write, folders) and _refused(_append, [path]),
        "network": _refused(_socket, _families()),
        # In a namespace of its own a child has no parent.
        "signals": _refused(_signal, [checker, os.getppid() or checker]),
        "processes": _refused(_fork, [None]),
        "memory": _refused(_allocate, [known["memory"] + _SLACK]),
        "existence": _refused(os.stat, elsewhere_too),
    }


def _refused(attempt: Callable[[Any], object], targets: Sequence[Any]) -> bool:
    """Return whether an attempt failed on each of its targets."""
    return not any(_succeeds(attempt, target) for target in targets)


def _succeeds(attempt: Callable[[Any], object], target: Any) -> bool:
    try:
        attempt(target)
    except (OSError, MemoryError):
        return False
    return True


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def _append(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def _write(folder: str) -> None:
    path = Path(folder) / f"{_NAME}-{os.getpid()}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return  # somebody could write here
    os.close(descriptor)
    with suppress(OSError):
        path.unlink()


def _families() -> list[int]:
    return [getattr(socket, name) for name in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK") if hasattr(socket, name)]


def _socket(family: int) -> None:
    socket.socket(family, socket.SOCK_DGRAM).close()


def _signal(process: int) -> None:
    os.kill(process, 0)


def _fork(_: None) -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)


def _allocate(size: int) -> None:
    private = getattr(mmap, "MAP_PRIVATE", 2) | getattr(mmap, "MAP_ANONYMOUS", 0x20)
    # Address space alone: what is refused is refused by the limit, not for want of memory.
    mmap.mmap(-1, size, flags=private | getattr(mmap, "MAP_NORESERVE", 0)).close()
