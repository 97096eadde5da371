"""System calls that Python has no names for, each raising ``OSError`` where it fails."""

from __future__ import annotations

import ctypes
import os
import struct
import sys

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 24, 38, 47
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER = 0x20000, 0x4000000, 0x8000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP = 0x20000000, 0x40000000, 0x2000000
# These numbers are the same on every processor.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}

LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64


def checked(result: int, what: str) -> int:
    """Return what a function of the C library returned, or raise the error that it left."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def call(number: int, *arguments: int | bytes | None) -> int:
    """Make one system call by its number; integers go as 64 bits."""
    given = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    return checked(_libc.syscall(ctypes.c_long(number), *given), f"system call {number}")


def prctl(option: int, value: int = 0, third: int = 0) -> None:
    """Change one thing of this process."""
    zero = ctypes.c_ulong(0)
    checked(_libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(third), zero, zero), f"prctl {option}")


def unshare(flags: int) -> None:
    """Leave some of the namespaces this process shares."""
    checked(_libc.unshare(flags), f"unshare {flags:#x}")


def setns(descriptor: int, kind: int) -> None:
    """Enter a namespace."""
    checked(_libc.setns(descriptor, kind), "setns")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount something, or change a mount."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    checked(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {target}")


def detach(target: str) -> None:
    """Unmount what is there, even while it is in use."""
    checked(_libc.umount2(os.fsencode(target), 2), "umount2")


def drop_capabilities() -> None:
    """Give up every capability for ever."""
    for capability in range(_MOST_CAPABILITIES):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # not held, or not known to this kernel: nothing is left to drop
            break
    head = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    checked(_libc.capset(head, bytes(24)), "capset")
