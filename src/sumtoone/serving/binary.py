"""Tensors of the Open Inference Protocol, as JSON and as raw bytes behind it.

The binary tensor extension: numbers in little-endian order, row by row; each text of ``BYTES`` behind its length in
four bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.errors import DataError

Values = NDArray[Any]

TYPES: dict[str, str] = {
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
# Also what a header may claim without any bytes behind it.
_MOST_AXES = 8


def shape_of(tensor: dict[str, Any]) -> tuple[int, ...]:
    """Return the shape that an input claims.

    Raises
    ------
    DataError
        ``serve-tensor`` if it is no list of sizes.
    """
    shape = tensor.get("shape")
    if not isinstance(shape, list) or len(shape) > _MOST_AXES or any(type(n) is not int or n < 0 for n in shape):
        raise DataError("serve-tensor", name="shape", wanted="[N, …]", given=_short(shape))
    return tuple(shape)


def type_of(tensor: dict[str, Any]) -> np.dtype[Any]:
    """Return the type that an input claims; ``serve-tensor`` if it is not one of numbers."""
    datatype = tensor.get("datatype")
    if not isinstance(datatype, str) or datatype not in TYPES:
        raise DataError("serve-tensor", name="datatype", wanted=", ".join(TYPES), given=_short(datatype))
    return np.dtype(TYPES[datatype])


def from_bytes(raw: memoryview, kind: np.dtype[Any], shape: tuple[int, ...]) -> Values:
    """Return the tensor in some bytes, which stays in their memory.

    >>> from_bytes(memoryview(bytes([1, 0, 2, 0])), np.dtype("<u2"), (1, 2))
    array([[1, 2]], dtype=uint16)
    """
    wanted = math.prod(shape) * kind.itemsize
    if wanted != len(raw):
        raise DataError("serve-tensor", name="binary_data_size", wanted=f"{wanted}", given=f"{len(raw)}")
    return np.frombuffer(raw, kind).reshape(shape)


def from_numbers(values: Values, kind: np.dtype[Any], shape: tuple[int, ...]) -> Values:
    """Return numbers of a JSON document, flat or nested, as the tensor that it claims them to be.

    Raises
    ------
    DataError
        ``serve-tensor`` if they do not fit the shape or the type.
    """
    if values.size != math.prod(shape) or (values.ndim > 1 and values.shape != shape):
        raise DataError("serve-tensor", name="data", wanted=f"{list(shape)}", given=f"{list(values.shape)}")
    with np.errstate(all="ignore"):
        typed = values.astype(kind)
    if kind.kind in "ui" and not np.array_equal(typed, values):
        raise DataError("serve-tensor", name="data", wanted=kind.name, given=f"{values.min():g} … {values.max():g}")
    return typed.reshape(shape)


def bytes_of_texts(texts: Sequence[str]) -> list[bytes]:
    """Return each text as it stands in a tensor of ``BYTES``.

    >>> bytes_of_texts(["7"])
    [b'\\x01\\x00\\x00\\x007']
    """
    return [struct.pack("<I", len(raw)) + raw for raw in (text.encode() for text in texts)]


def _short(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, str | int | float | list | None) else type(value).__name__
