"""Connections that hold a server up: idle ones, that say nothing, and slow ones, that never come to an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.load.connections import Address, Connection, connected
from benchmarks.load.questions import http

# A byte of each slow request in so many seconds.
_PACE = 0.2
_AT_ONCE = 100


@dataclass
class Beside:
    """How many such connections there are, and how often the server cut one: each cut one comes again."""

    idle: int = 0
    slow: int = 0
    cut_idle: int = 0
    cut_slow: int = 0
    # Connections that the server did not take.
    refused: int = 0


@asynccontextmanager
async def beside(address: Address, idle: int, slow: int) -> AsyncIterator[Beside]:
    """Keep so many idle and slow connections up inside the block.

    Half of the slow ones never end their headers, half their body; one in four of the idle ones has asked something
    before, and one in four has sent half a line.
    """
    seen = Beside()
    connections: list[Connection | None] = [None] * (idle + slow)
    await _renew(address, connections, idle, seen)
    seen.cut_idle = seen.cut_slow = 0
    keeping = asyncio.ensure_future(_keep(address, connections, idle, seen))
    try:
        yield seen
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        for connection in connections:
            if connection is not None:
                connection.transport.abort()
    if not keeping.cancelled():
        keeping.result()


async def _keep(address: Address, connections: list[Connection | None], idle: int, seen: Beside) -> None:
    while True:
        for place, connection in enumerate(connections[idle:]):
            if connection is not None and not connection.ended.done():
                connection.send(b"a" if (idle + place) % 2 else b" ")
        await asyncio.sleep(_PACE)
        await _renew(address, connections, idle, seen)


async def _renew(address: Address, connections: list[Connection | None], idle: int, seen: Beside) -> None:
    """Connect again what has ended, some at once."""
    ended = [place for place, one in enumerate(connections) if one is None or one.ended.done()]
    for start in range(0, len(ended), _AT_ONCE):
        places = ended[start : start + _AT_ONCE]
        found = await asyncio.gather(*(connected(address) for _ in places), return_exceptions=True)
        for place, connection in zip(places, found, strict=True):
            if isinstance(connection, OSError):
                seen.refused += 1
                connections[place] = None
                continue
            if isinstance(connection, BaseException):
                raise connection
            if connections[place] is not None:
                seen.cut_idle += place < idle
                seen.cut_slow += place >= idle
            connections[place] = connection
            connection.send(_beginning(place, idle))
    up = [one is not None and not one.ended.done() for one in connections]
    seen.idle, seen.slow = sum(up[:idle]), sum(up[idle:])


def _beginning(place: int, idle: int) -> bytes:
    """Return what a connection sends at first."""
    if place < idle:
        return (b"", b"", b"POST /pre", http("/v2/health/live", b"", method="GET"))[place % 4]
    if place % 2:
        return b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    return (
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"
    )
