"""Files that are either whole or absent: atomic writes, digests, tensors and JSON without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def write_atomically(path: Path, content: bytes) -> str:
    """Write ``content`` so that ``path`` holds the old bytes or the new ones, never a part; return the sha256.

    The bytes go to a temporary name in the same folder, are flushed to the disk, and take the
    name ``path`` in one step; then the folder itself is flushed, so that the name survives too.
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


def tensors_to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the safetensors form of named tensors."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def tensors_from_bytes(content: bytes) -> dict[str, Tensor]:
    """Return the named tensors in a safetensors file's bytes; ``ValueError`` if they are none."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(content))
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def json_to_bytes(document: Mapping[str, Any]) -> bytes:
    """Return a JSON document that carries the sha256 of its own other fields under ``digest``.

    >>> json_from_bytes(json_to_bytes({"epoch": 3}))
    {'epoch': 3}
    """
    return (json.dumps({**document, "digest": _own_digest(document)}, indent=1, ensure_ascii=False) + "\n").encode()


def json_from_bytes(content: bytes) -> dict[str, Any]:
    """Return the document of :func:`json_to_bytes`; ``ValueError`` if it is none or was altered."""
    try:
        document = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    digest = document.pop("digest", None)
    if digest != _own_digest(document):
        raise ValueError("digest does not match")
    return document


def _own_digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
