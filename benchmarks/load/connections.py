"""One HTTP/1.1 connection of a client: bytes out as they are given, answers in, and what came that nobody asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar, cast

Result = TypeVar("Result")
_PLACES_OF_STATUS = slice(9, 12)


class Address(NamedTuple):
    """Where a server listens; only ever this machine itself."""

    host: str
    port: int


class Answer(NamedTuple):
    """What came for one request."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class LostError(Exception):
    """The connection ended without a whole answer; ``received`` is what had come of it."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"the connection ended after {len(received)} bytes of an answer")
        self.received = received


class Connection(asyncio.Protocol):
    """A connection whose answers belong to its requests in their order; what belongs to none is ``stray``."""

    def __init__(self) -> None:
        self.stray = b""
        self.closed = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = bytearray()
        self._waiting: deque[asyncio.Future[Answer]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    async def ask(self, *request: bytes) -> Answer:
        """Send one request, in one piece or some, and return its answer; several may be under way, one after the other.

        ``LostError`` where the connection ends before the answer is whole.
        """
        if self.closed:
            raise LostError(b"")
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        for piece in request[:-1]:
            self.transport.write(piece)
            await asyncio.sleep(0)
        self.transport.write(request[-1])
        return await waiting

    def send(self, some: bytes) -> None:
        """Send bytes that are part of a request, or none at all."""
        if not self.closed:
            self.transport.write(some)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._received:
            try:
                found = parsed(self._received)
            except ValueError:
                self.transport.abort()
                return
            while self._waiting and self._waiting[0].done():
                self._waiting.popleft()  # cancelled
            if found is None:
                if not self._waiting:
                    self._take_stray(len(self._received))
                return
            answer, length = found
            if not self._waiting:
                self._take_stray(length)
                continue
            del self._received[:length]
            if answer.headers.get(b"connection", b"").lower() == b"close":
                self.closed = True
            self._waiting.popleft().set_result(answer)

    def _take_stray(self, length: int) -> None:
        self.stray += bytes(self._received[:length])
        del self._received[:length]

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        # An answer without a length is whole when the server ends it in good order.
        whole, received = None if error else until_the_end(self._received), bytes(self._received)
        for waiting in self._waiting:
            if waiting.done():
                continue
            if whole is None:
                waiting.set_exception(LostError(received))
            else:
                waiting.set_result(whole)
            whole, received = None, b""
        if not self.ended.done():
            self.ended.set_result(None)

    async def end(self, patience: float) -> bytes:
        """Say that nothing more will come, wait for the server to close, and return what came that was not asked for.

        What the server has sent twice arrives before its end of the stream.
        """
        if not self.ended.done():
            if not self.transport.is_closing():
                self.transport.write_eof()
            await asyncio.wait([self.ended], timeout=patience)
            self.transport.abort()
        return self.stray


def parsed(received: bytes | bytearray) -> tuple[Answer, int] | None:
    """Return the first answer among bytes and its length; None where it is not whole; ``ValueError`` for no HTTP."""
    start = 0
    while True:
        end = received.find(b"\r\n\r\n", start)
        if end < 0:
            return None
        if received[start : start + 7] != b"HTTP/1.":
            raise ValueError(f"no HTTP: {bytes(received[start : start + 40])!r}")
        first, *lines = bytes(received[start:end]).split(b"\r\n")
        status = int(first[_PLACES_OF_STATUS])
        start = end + 4
        if status >= 200:
            break
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = _unchunked(received, start)
        return None if body is None else (Answer(status, headers, body[0]), body[1])
    if status in (204, 304):
        return Answer(status, headers, b""), start
    length = headers.get(b"content-length")
    if length is None or len(received) < start + int(length):
        return None
    end = start + int(length)
    return Answer(status, headers, bytes(received[start:end])), end


def until_the_end(received: bytes | bytearray) -> Answer | None:
    """Return the answer that all of the bytes are, where it says no length; None where it is none or not whole."""
    head, found, body = bytes(received).partition(b"\r\n\r\n")
    if not found or b"\r\ncontent-length:" in head.lower() or b"\r\ntransfer-encoding:" in head.lower():
        return None
    return Answer(int(head[_PLACES_OF_STATUS]), {}, body) if head.startswith(b"HTTP/1.") else None


def _unchunked(received: bytes | bytearray, start: int) -> tuple[bytes, int] | None:
    body = b""
    while (end := received.find(b"\r\n", start)) >= 0:
        size = int(received[start:end].split(b";")[0], 16)
        start = end + 2
        if len(received) < start + size + 2:
            return None
        body += bytes(received[start : start + size])
        start += size + 2
        if size == 0:
            return body, start
    return None


async def connected(address: Address) -> Connection:
    """Return a new connection; ``OSError`` where nobody listens."""
    assert address.host in ("127.0.0.1", "::1"), "load is for this machine alone"
    _, connection = await asyncio.get_running_loop().create_connection(Connection, *address)
    return connection


async def answer_to(address: Address, request: bytes, patience: float = 30.0) -> Answer:
    """Return the answer to one request on a connection of its own; ``OSError`` or ``LostError`` where none comes."""
    connection = await connected(address)
    try:
        return await asyncio.wait_for(connection.ask(request), patience)
    finally:
        connection.transport.abort()


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end, on uvloop where it is installed: a client should cost less than the server."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(coroutine)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)
