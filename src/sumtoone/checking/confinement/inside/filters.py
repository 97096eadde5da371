"""A list of the system calls that computing needs; every other one fails, and a foreign one ends the process.

The list is put into the kernel by libseccomp, which is loaded by its exact name before anything is confined.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os

_ERRNO, _ALLOW, _KILL_PROCESS = 0x00050000, 0x7FFF0000, 0x80000000
_BAD_ARCHITECTURE, _OPTIMIZE = 2, 8
_EQUAL, _MASKED_EQUAL = 4, 7

_READING = "read readv pread64 lseek close fstat newfstatat fstatat64 stat lstat statx access faccessat faccessat2"
_FOLDERS_AND_PIPES = "getdents64 getcwd write writev poll ppoll select pselect6"
_MEMORY = "mmap munmap mprotect mremap madvise brk"
_SIGNALS = "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack setitimer getitimer alarm restart_syscall"
_TIME = "clock_gettime clock_getres gettimeofday time nanosleep clock_nanosleep getrusage times"
_ITSELF = "getpid gettid getppid getuid geteuid getgid getegid getrlimit sched_getaffinity sched_yield getcpu futex"
_OTHERS = "getrandom uname membarrier exit exit_group"
_ALLOWED = " ".join((_READING, _FOLDERS_AND_PIPES, _MEMORY, _SIGNALS, _TIME, _ITSELF, _OTHERS)).split()
# Whoever asks whether something is a terminal, or for a newer form of a call, is to hear the usual answer.
_ANSWERED = {"ioctl": errno.ENOTTY, "openat2": errno.ENOSYS, "clone3": errno.ENOSYS, "rseq": errno.ENOSYS}
_TMPFILE = 0o20000000
_NOT_READING = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (_TMPFILE & ~getattr(os, "O_DIRECTORY", 0))
_HARMLESS_COMMANDS = (fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL)


class _Comparison(ctypes.Structure):
    _fields_ = (("argument", ctypes.c_uint), ("kind", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class Filter:
    """The filter, built once in the nursery; ``OSError`` where libseccomp is missing."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        library.seccomp_init.restype = ctypes.c_void_p
        library.seccomp_init.argtypes = [ctypes.c_uint32]
        library.seccomp_load.argtypes = [ctypes.c_void_p]
        library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
        library.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.POINTER(_Comparison),
        ]
        self._library = library
        self._filter = library.seccomp_init(_ERRNO | errno.EPERM)
        if not self._filter:
            raise OSError(errno.ENOMEM, "seccomp_init")
        self._require(library.seccomp_attr_set(self._filter, _BAD_ARCHITECTURE, _KILL_PROCESS))
        # A binary tree: some 70 comparisons in a row would cost each call of a loop of system calls.
        library.seccomp_attr_set(self._filter, _OPTIMIZE, 2)
        for name in _ALLOWED:
            self._add(_ALLOW, name)
        for name, number in _ANSWERED.items():
            self._add(_ERRNO | number, name)
        self._add(_ALLOW, "open", _Comparison(1, _MASKED_EQUAL, _NOT_READING, 0))
        self._add(_ALLOW, "openat", _Comparison(2, _MASKED_EQUAL, _NOT_READING, 0))
        self._add(_ALLOW, "prlimit64", _Comparison(2, _EQUAL, 0, 0))
        for command in _HARMLESS_COMMANDS:
            self._add(_ALLOW, "fcntl", _Comparison(1, _EQUAL, command, 0))

    def load(self) -> None:
        """Put the filter in force for this process, for ever; needs ``no_new_privs``."""
        self._require(self._library.seccomp_load(self._filter))

    def _add(self, action: int, name: str, *comparisons: _Comparison) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # negative: this processor has no such call
            array = (_Comparison * len(comparisons))(*comparisons)
            self._require(self._library.seccomp_rule_add_array(self._filter, action, number, len(comparisons), array))

    @staticmethod
    def _require(result: int) -> None:
        if result < 0:
            raise OSError(-result, "libseccomp refused a rule")
