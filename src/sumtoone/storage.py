"""Files that are either whole or absent: atomic writes, bounded reads, digests, tensors and JSON without pickle."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# In a safetensors file's metadata: which names go with which written tensor.
_SHARED = "shared"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def write_atomically(path: Path, content: bytes, *, last: bool = True) -> str:
    """Write ``content`` so that ``path`` holds the old bytes or the new ones, never a part; return the sha256.

    The bytes go to a temporary name in the same folder, are flushed to the disk, and take the
    name ``path`` in one step; then the folder itself is flushed, so that the name survives too: unless this is not the
    ``last`` of several files of the folder that only count together.
    """
    # Not tempfile's: its files are for their owner alone, and a run may be shared as the umask says.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if last:
        _flush_folder(path.parent)
    return hashlib.sha256(content).hexdigest()


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # pragma: no cover - Windows has no handle for a folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_regular(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file that holds at most ``most`` of them.

    A pipe or a device is refused and never waited for.

    Raises
    ------
    OSError
        If it cannot be opened or read.
    ValueError
        If it is no regular file, or holds more.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:  # noqa: PTH123 - opened already
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        content = file.read(most + 1) if status.st_size <= most else b""
        if max(status.st_size, len(content)) > most:
            raise ValueError(f"more than {most:,} bytes")
        return content


def tensors_to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the safetensors form of named tensors; one that goes by two names is written once."""
    from safetensors.torch import save

    own: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    names: dict[object, str] = {}
    memory: set[object] = set()
    for name, tensor in tensors.items():
        given = tensor.detach()
        home = given.device, given.untyped_storage().data_ptr()
        same = *home, given.storage_offset(), given.shape, given.stride(), given.dtype, given.is_conj(), given.is_neg()
        if given.numel() and names.setdefault(same, name) != name:
            shared[name] = names[same]
            continue
        plain = given.resolve_conj().resolve_neg().cpu().contiguous()
        # Two that overlap in memory are no pair of names: each is written for itself.
        own[name] = plain.clone() if home in memory else plain
        memory.add(home)
    return save(own, {_SHARED: json.dumps(shared)} if shared else None)


def tensors_from_bytes(content: bytes) -> dict[str, Tensor]:
    """Return the named tensors in a safetensors file's bytes; ``ValueError`` if they are none.

    What was written once for two names is one tensor under both.
    """
    from safetensors.torch import load

    try:
        tensors = dict(load(content))
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        shared = json.loads(header.get("__metadata__", {}).get(_SHARED, "{}"))
        for name, home in shared.items():
            if name in tensors:
                raise ValueError(f"{name} is there twice")
            tensors[name] = tensors[home]
    except MemoryError:
        raise
    except Exception as error:
        # What comes of bytes that are no such file is open-ended, in the library and here.
        raise ValueError(f"no tensors: {type(error).__name__}: {error}") from None
    return tensors


def json_to_bytes(document: Mapping[str, Any], indent: int | None = 1) -> bytes:
    """Return a JSON document that carries the sha256 of its own other fields under ``digest``.

    >>> json_from_bytes(json_to_bytes({"epoch": 3}))
    {'epoch': 3}
    """
    return (
        json.dumps({**document, "digest": _own_digest(document)}, indent=indent, ensure_ascii=False) + "\n"
    ).encode()


def json_from_bytes(content: bytes) -> dict[str, Any]:
    """Return the document of :func:`json_to_bytes`; ``ValueError`` if it is none or was altered."""
    try:
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")
        digest = document.pop("digest", None)
        if digest != _own_digest(document):
            raise ValueError("digest does not match")
        if _SURROGATE.search(content):
            # Half of a character can be spelt in JSON, and written nowhere.
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return document


def is_number(value: object) -> bool:
    """Return whether a plain value is a finite number, and no truth value.

    >>> is_number(0.5), is_number(10**400), is_number(float("nan")), is_number(True)
    (True, False, False, False)
    """
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def finite(value: Any) -> Any:
    """Return plain values with None for every number that JSON has no word for: NaN and the infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def json_line(document: Mapping[str, Any], encoding: str = "ascii") -> str:
    r"""Return finite JSON on one line, with letters as they are where an encoding has them all.

    >>> json_line({"loss": float("nan"), "class": "가"}), json_line({"class": "가"}, "utf-8")
    ('{"loss": null, "class": "\\uac00"}', '{"class": "가"}')
    """
    plain = finite(document)
    line = json.dumps(plain, ensure_ascii=False)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(plain)
    return line


def _own_digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
