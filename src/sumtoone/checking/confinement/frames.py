"""What travels between the checker and a submission: a question or an answer in one bounded binary frame.

A frame is a head (a nonce, three lengths), the words as JSON, then each array as a code of its type, its dimensions and
its raw bytes. Nothing in it is ever evaluated or unpickled, and nothing it claims makes the reader set memory aside.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NONCE_BYTES = 16
MOST_WORDS = 1 << 20
MOST_BYTES = 1 << 26
MOST_ARRAYS = 512
MOST_DIMENSIONS = 16
MOST_ITEMS = 1 << 40

_HEAD = struct.Struct("<16sIIQ")
_ARRAY = struct.Struct("<BB")
_TYPES = tuple(
    np.dtype(name).newbyteorder("<")
    for name in ("?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16")
)
_CODES = {(kind.kind, kind.itemsize): code for code, kind in enumerate(_TYPES)}


class Malformed(Exception):  # noqa: N818 - it never leaves this room
    """Bytes that are no frame, or one beyond the bounds."""


def pack(nonce: bytes, words: Mapping[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> bytes:
    """Return one frame; ``ValueError`` for words with NaN or infinity in them, or for more than the bounds."""
    text = json.dumps(words, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    parts = [text]
    for array in arrays:
        code = _CODES.get((array.dtype.kind, array.dtype.itemsize))
        if code is None or array.ndim > MOST_DIMENSIONS:
            raise ValueError(f"no frame holds an array of {array.dtype} with {array.ndim} dimensions")
        parts.append(_ARRAY.pack(code, array.ndim) + struct.pack(f"<{array.ndim}Q", *array.shape))
        parts.append(array.astype(_TYPES[code], copy=False).tobytes())
    length = sum(map(len, parts))
    if len(text) > MOST_WORDS or len(arrays) > MOST_ARRAYS or length > MOST_BYTES:
        raise ValueError(f"a frame of {length} bytes, {len(text)} of them words, with {len(arrays)} arrays")
    return b"".join((_HEAD.pack(nonce, len(text), len(arrays), length), *parts))


class Incoming:
    """A frame whose bytes arrive one after another; holds no more than has arrived, nor more than a frame may."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._whole = _HEAD.size

    def wanted(self) -> int:
        """Return how many bytes are missing, as far as is known; 0 once the frame is whole."""
        return self._whole - len(self._bytes)

    def add(self, arrived: bytes) -> None:
        """Take what has arrived; raises :class:`Malformed` if it cannot become a frame."""
        self._bytes += arrived
        if self._whole == _HEAD.size <= len(self._bytes):
            _, words, arrays, length = _HEAD.unpack_from(self._bytes)
            if words > MOST_WORDS or arrays > MOST_ARRAYS or not words <= length <= MOST_BYTES:
                raise Malformed("its lengths are beyond the bounds")
            self._whole += length
        if len(self._bytes) > self._whole:
            raise Malformed("more came than one frame")

    def unpack(self, nonce: bytes) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Return the words and arrays of the whole frame; :class:`Malformed` if it is not the one with this nonce."""
        got, words, arrays, _ = _HEAD.unpack_from(self._bytes)
        if got != nonce:
            raise Malformed("it answers no question that was asked")
        start = _HEAD.size + words
        body = memoryview(self._bytes)
        with body:
            return _parsed(bytes(body[_HEAD.size : start])), _arrays(body[start:], arrays)

    def nonce(self) -> bytes:
        """Return the nonce of the whole frame, for the side that answers."""
        return bytes(self._bytes[:NONCE_BYTES])


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        words = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
        # An escaped half of a letter, and a number beyond all floats, pass the parser and break who writes them.
        json.dumps(words, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError, MemoryError) as error:
        raise Malformed(f"its words are no plain values: {type(error).__name__}") from None
    if not isinstance(words, dict):
        raise Malformed("its words are not a mapping")
    return words


def _refuse(name: str) -> None:
    raise ValueError(name)


def _arrays(body: memoryview, count: int) -> list[NDArray[Any]]:
    arrays, place = [], 0
    try:
        for _ in range(count):
            code, dimensions = _ARRAY.unpack_from(body, place)
            if code >= len(_TYPES) or dimensions > MOST_DIMENSIONS:
                raise Malformed("an array of an unknown kind")
            place += _ARRAY.size
            shape = struct.unpack_from(f"<{dimensions}Q", body, place)
            place += 8 * dimensions
            # Zero items may hide dimensions that no array can have.
            if any(size > MOST_ITEMS for size in shape) or math.prod(max(size, 1) for size in shape) > MOST_ITEMS:
                raise Malformed("an array with impossible dimensions")
            kind = _TYPES[code]
            end = place + math.prod(shape) * kind.itemsize
            if end > len(body):
                raise Malformed("an array longer than its frame")
            arrays.append(_array(bytes(body[place:end]), kind, shape))
            place = end
    except struct.error:
        raise Malformed("an array cut short") from None
    if place != len(body):
        raise Malformed("bytes after the last array")
    return arrays


def _array(raw: bytes, kind: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    # Any other byte than 0 and 1 in an array of bool is undefined behaviour.
    flat: NDArray[Any] = np.frombuffer(raw, np.uint8) != 0 if kind.kind == "b" else np.frombuffer(raw, kind)
    shaped: NDArray[Any] = flat.astype(kind.newbyteorder("=")).reshape(shape)
    return shaped
