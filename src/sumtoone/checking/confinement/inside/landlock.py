"""Landlock: from some point on nothing is opened but to be read below the library folders."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Sequence

from sumtoone.checking.confinement.inside import system

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
# A child's pipes have the lowest numbers.
_OUT_OF_THE_WAY = 16
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# How many rights on files, on the network and scopes each version of the interface knows.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK_SINCE, _NETWORK_RIGHTS, _SCOPES_SINCE, _SCOPES = 4, 2, 6, 2


def version() -> int:
    """Return the version of the kernel's interface; ``OSError`` where there is none."""
    return system.call(_CREATE, None, 0, 1)


def ruleset(readable: Sequence[int]) -> int:
    """Return a descriptor of rules under which only these folders (descriptors) can be read, and nothing else done."""
    known = version()
    files = (1 << _FILE_RIGHTS[min(known, max(_FILE_RIGHTS))]) - 1
    network = (1 << _NETWORK_RIGHTS) - 1 if known >= _NETWORK_SINCE else 0
    scopes = (1 << _SCOPES) - 1 if known >= _SCOPES_SINCE else 0
    words = 1 + (known >= _NETWORK_SINCE) + (known >= _SCOPES_SINCE)
    attributes = struct.pack("<3Q", files, network, scopes)[: 8 * words]
    made = system.call(_CREATE, attributes, len(attributes), 0)
    rules = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    os.close(made)
    for folder in readable:
        rule = ctypes.create_string_buffer(struct.pack("<Qi", _READ_FILE | _READ_DIR, folder))
        system.call(_ADD_RULE, rules, 1, ctypes.addressof(rule), 0)
    return rules


def restrict(rules: int) -> None:
    """Put the rules in force for this process, for ever; needs ``no_new_privs``."""
    system.call(_RESTRICT, rules, 0)
