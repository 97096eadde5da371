"""Namespaces of its own for the nursery (user, mounts, network, System V memory, processes) and for each child."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from sumtoone.checking.confinement.inside import system

NOBODY = 65534
_OWN = (
    system.CLONE_NEWUSER
    | system.CLONE_NEWNS
    | system.CLONE_NEWNET
    | system.CLONE_NEWIPC
    | system.CLONE_NEWUTS
    | system.CLONE_NEWCGROUP
    | system.CLONE_NEWPID
)
_NOSUID, _NODEV, _NOEXEC, _READ_ONLY, _REMOUNT, _RECURSIVE, _PRIVATE = 2, 4, 8, 1, 32, 0x4000, 1 << 18
_EMPTY_PATH, _SUBMOUNTS, _TREE_CLONE, _CLOEXEC, _FROM_EMPTY_PATH, _HERE = 0x1000, 0x8000, 1, 0o2000000, 4, -100
# Any folder serves to hold the new root for a moment; it is covered in this mount namespace alone.
_PLACES = ("/tmp", "/var", "/mnt", "/usr")  # noqa: S108


def drop_root() -> None:
    """Become nobody for ever, where this is root: root's own files stay readable under any map of users."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    # A process of the same user could read this one's memory otherwise.
    system.prctl(system.PR_SET_DUMPABLE, 0)


class Household:
    """The namespaces of a nursery that has entered its own; it lives in the first process of them.

    ``tasks`` is the folder of this process's threads, which has no path any more.
    """

    def __init__(self) -> None:
        self.tasks = os.open("/proc/self/task", os.O_RDONLY | os.O_DIRECTORY)
        self._processes = os.open("/proc/self/ns/pid", os.O_RDONLY)

    def fork(self) -> int:
        """Fork a child that is alone in a namespace of processes."""
        system.unshare(system.CLONE_NEWPID)
        pid = os.fork()
        if pid:
            system.setns(self._processes, system.CLONE_NEWPID)
        return pid

    def descriptors(self) -> tuple[int, ...]:
        """Return what a child has to close."""
        return self.tasks, self._processes


def enter(folders: Sequence[str]) -> Household:
    """Move into namespaces in which nothing but these folders exists, to be read.

    Returns in a new process, the first of its namespace; the old one waits for it and ends with it. Raises ``OSError``
    where the system lets one of the steps fail, which may be any: some allow the first and refuse the next.
    """
    # Only root can copy a mount of folders that nobody may reach, and only before it becomes nobody.
    trees = _trees(folders) if os.geteuid() == 0 else None
    drop_root()
    user, group = os.getuid(), os.getgid()
    system.unshare(_OWN)
    _map(user, group)
    _fork_inside()
    household = Household()
    system.mount(None, "/", None, _RECURSIVE | _PRIVATE)
    _pivot(folders, trees or _trees(folders))
    return household


def _map(user: int, group: int) -> None:
    system.prctl(system.PR_SET_DUMPABLE, 1)
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    finally:
        system.prctl(system.PR_SET_DUMPABLE, 0)


def _fork_inside() -> None:
    pid = os.fork()
    if pid:
        os.closerange(0, 4096)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 127)
    system.prctl(system.PR_SET_PDEATHSIG, 9)


def _trees(folders: Sequence[str]) -> list[int]:
    trees = []
    for folder in folders:
        flags = _TREE_CLONE | _CLOEXEC | _SUBMOUNTS
        tree = system.call(system.OPEN_TREE, _HERE, os.fsencode(folder), flags)
        trees.append(tree)
        attributes = (_READ_ONLY | _NOSUID | _NODEV).to_bytes(8, "little") + bytes(24)
        system.call(system.MOUNT_SETATTR, tree, b"", _EMPTY_PATH | _SUBMOUNTS, attributes, len(attributes))
    return trees


def _pivot(folders: Sequence[str], trees: Sequence[int]) -> None:
    root = next(place for place in _PLACES if Path(place).is_dir())
    guarded = _NOSUID | _NODEV | _NOEXEC
    system.mount("none", root, "tmpfs", guarded, "size=256k,nr_inodes=512,mode=755")
    for folder, tree in zip(folders, trees, strict=True):
        target = root + folder
        Path(target).mkdir(mode=0o755, parents=True, exist_ok=True)
        system.call(system.MOVE_MOUNT, tree, b"", _HERE, os.fsencode(target), _FROM_EMPTY_PATH)
        os.close(tree)
    # What leads to the folders can be passed, not listed.
    for folder in {str(parent) for path in folders for parent in Path(path).parents}:
        Path(root + folder).chmod(0o111)
    os.chdir(root)
    system.call(system.PIVOT_ROOT[platform.machine()], b".", b".")
    system.detach(".")
    os.chdir("/")
    system.mount(None, "/", None, _REMOUNT | _READ_ONLY | guarded)
