"""What an error of a learner's code is called, and PyTorch's message with the shapes lined up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sumtoone.checking.subject import Stopped
from sumtoone.checking.verdict import Finding

RUNNING = {"text": "check.running", "fields": {}}
_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|DefaultCPUAllocator|Cannot allocate memory", re.IGNORECASE
)
_REFUSED = (1, 13)  # EPERM, EACCES
_THREAD = re.compile(r"can't start new thread|Operation not permitted|Permission denied")

# PyTorch has no kernel for a type or a device, or no forward.
_KERNEL = re.compile(r"not implemented for|Could not run|meta tensor|^Module \[")

# PyTorch's words, and the key of what they mean; groups are the fields of the text.
_MEANINGS = (
    (
        "product",
        r"mat1 and mat2 shapes cannot be multiplied "
        r"\((?P<rows>\d+)x(?P<inner>\d+) and (?P<other>\d+)x(?P<columns>\d+)\)",
    ),
    (
        "broadcast",
        r"size of tensor a \((?P<first>\d+)\) must match the size of tensor b \((?P<second>\d+)\) "
        r"at non-singleton dimension (?P<axis>\d+)",
    ),
    (
        "expand",
        r"The expanded size of the tensor \((?P<first>\d+)\) must match the existing size \((?P<second>\d+)\)",
    ),
    ("reshape", r"shape '\[(?P<shape>[-\d, ]+)\]' is invalid for input of size (?P<count>\d+)"),
    (
        "dimension",
        r"Dimension out of range \(expected to be in range of \[(?P<low>-?\d+), (?P<high>-?\d+)\], "
        r"but got (?P<given>-?\d+)\)",
    ),
    ("attribute", r"'(?P<kind>\w+)' object has no attribute '(?P<name>\w+)'"),
    ("name", r"name '(?P<name>\w+)' is not defined"),
    ("dim-missing", r"softmax\(\) missing 1 required positional argument|missing 1 required .{0,80}\"dim\""),
    ("numpy-gradient", r"Can't call numpy\(\) on Tensor that requires grad"),
    ("two-dimensional", r"self must be a matrix|2D tensors? expected|expected 2D|tensor with <= 2 dimensions"),
)


def meaning(message: str) -> Mapping[str, Any] | str:
    """Return what a message of PyTorch means, as the key of a text with its fields; an empty text if unknown."""
    for key, pattern in _MEANINGS:
        if found := re.search(pattern, message):
            return {
                "text": f"explained.{key}",
                "fields": {name: part or "" for name, part in found.groupdict().items()},
            }
    return ""


def stopped(stop: Stopped, **fields: Any) -> Finding:
    """Return the finding for a submission that was stopped from outside, or ended by itself."""
    code = "raises" if stop.reason == "crashed" else stop.reason
    return Finding(code, fields={"what": stop.detail, "error": stop.detail, **fields})


def failed(error: Mapping[str, Any], **fields: Any) -> Finding:
    """Return the finding for an error that a learner's code raised."""
    kind, message = error["error"], error["message"]
    said = {"error": f"{kind}: {message.splitlines()[0] if message else ''}".rstrip(": "), **fields}
    place = {"line": error.get("line"), "cell": error.get("cell")}
    kinds = error.get("kinds", ())
    if kind == "TooLong":
        # One statement, or one call, has a share of the time.
        return Finding("time-limit", **place, fields={"share": True, "step": RUNNING, **said})
    if "MemoryError" in kinds or _MEMORY.search(message):
        return Finding("memory-limit", **place, fields=said)
    if error.get("number") in _REFUSED or ("Error" in kind and _THREAD.search(message)):
        return Finding("forbidden", **place, fields={"what": said["error"], **said})
    if "SyntaxError" in kinds:
        return Finding("syntax-error", **place, fields=said)
    if kind == "NotImplementedError" and not _KERNEL.search(message):
        return Finding("template", **place, fields=said)
    return Finding("raises", **place, fields={"explained": meaning(message), **said})
