"""Attacks that cost whoever believes them: small files with huge pictures, a million brackets, parts and chunks."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

from benchmarks.load.attacks import CUT, REFUSED, Attack
from benchmarks.load.questions import Known, http

_MILLION = 10**6


def drawn(known: Known, random_: random.Random) -> Attack:
    """Return one of them."""
    name = random_.choice(list(_BODIES))
    path = random_.choice(("/predict", known.infer)) if name.startswith("a million") else "/predict"
    return Attack("bombs", name, _requests(name, path), REFUSED if name in _SMALL else CUT)


def _png(width: int, height: int, rows: int) -> bytes:
    """Return a PNG that says it has width x height grey pixels, of which so many rows are there, all black."""

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer, packed = zlib.compressobj(9), b""
    for _ in range(rows):
        packed += packer.compress(bytes(width + 1))
    packed += packer.flush()
    head = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", packed) + part(b"IEND", b"")


def _text_png() -> bytes:
    """Return a small PNG with a compressed text of 64 MB."""
    small = _png(28, 28, 28)
    content = b"Comment\0\0" + zlib.compress(bytes(64 * _MILLION), 9)
    text = struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))
    return small[:33] + text + small[33:]


def _gif() -> bytes:
    """Return a GIF that says it has 65,535 x 65,535 pixels."""
    return b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;"


def _parts() -> bytes:
    return b'--edge\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n' * 20_000 + b"--edge--\r\n"


_FORM = "multipart/form-data; boundary=edge"
_BODIES: dict[str, tuple[Callable[[], bytes] | None, str]] = {
    "a million lists": (lambda: b"[" * _MILLION + b"]" * _MILLION, "application/json"),
    "a million open lists": (lambda: b'{"pixels":' + b"[" * _MILLION, "application/json"),
    "a million objects": (lambda: b'{"a":' * _MILLION, "application/json"),
    "a million zeros": (lambda: json.dumps({"pixels": [0] * _MILLION}).encode(), "application/json"),
    "ten million digits": (lambda: b'{"pixels": [' + b"9" * 10 * _MILLION + b"]}", "application/json"),
    "PNG, all there": (lambda: _png(10_000, 10_000, 10_000), "image/png"),
    "PNG, nothing there": (lambda: _png(2**31 - 1, 2**31 - 1, 1), "image/png"),
    "PNG, one row of many": (lambda: _png(7_000, 9_000, 1), "image/png"),
    "PNG, one long row": (lambda: _png(60 * _MILLION, 1, 1), "image/png"),
    "PNG with a text": (_text_png, "image/png"),
    "GIF": (_gif, "image/gif"),
    "parts": (_parts, _FORM),
    "one part without end": (lambda: b'--edge\r\nContent-Disposition: form-data; name="' + b"x" * 2 * _MILLION, _FORM),
    "a flood of chunks": (None, ""),
    "a flood of bytes": (lambda: bytes(40 * _MILLION), "application/octet-stream"),
}
# What every server should read whole, and answer.
_SMALL = ("GIF", "PNG, nothing there", "PNG, one row of many")


@cache
def _requests(name: str, path: str) -> bytes:
    make, kind = _BODIES[name]
    if make is not None:
        return http(path, make(), kind)
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + (b"ffff\r\n" + b" " * 0xFFFF + b"\r\n") * 600
