"""Connections: uvicorn's, with what it lacks against slow, silent, endless and too many clients."""

from __future__ import annotations

import math
from collections.abc import Sized
from time import monotonic
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sumtoone.errors import DataError, SumtooneError, UnavailableError, UsageError
from sumtoone.serving.answers import refused
from sumtoone.serving.app import ARRIVED
from sumtoone.serving.limits import Limits
from sumtoone.serving.metrics import Metrics

# The bytes of a request's line and headers.
MOST_HEAD = 2**16
# A connection without a request stays for so long, in seconds: longer than the pools of clients keep theirs.
IDLE = 75
# While the server leaves, so long must a connection have been silent before it is closed: a request may be under way.
QUIET = 0.25


# Requests that may lie behind one another on a connection, sent without waiting for answers.
MOST_PIPELINED = 256


class _Flow(FlowControl):
    """Reads no further while whole requests lie in wait: uvicorn's own would read on with every answer."""

    def __init__(self, transport: Any, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """One connection, whose requests must come in time.

    ``limits`` and ``metrics`` are set once for all connections of a server, by :func:`connections_with`.
    """

    limits: Limits
    metrics: Metrics

    def connection_made(self, transport: Any) -> None:
        """Begin; refuse where too many connections are open."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self.active = monotonic()
        # When the request that is coming began; a connection that says nothing counts from its start.
        self.reading: float = self.active
        self._head = 0
        self._in_head = False
        self._passed_over = 0
        self._stuck = math.inf
        self._broken = False
        if len(self.connections) > self.limits.connections:
            self.refuse(UnavailableError("serve-full"))

    def data_received(self, data: bytes) -> None:
        """Read on; refuse a head without an end."""
        if self._broken:
            return
        self.active = monotonic()
        if self._head >= 0:
            self._head += len(data)
        super().data_received(data)
        if self._head > MOST_HEAD and not self.transport.is_closing():
            self.refuse(DataError("serve-head", limit=MOST_HEAD))

    def on_message_begin(self) -> None:
        """Note when a request begins."""
        super().on_message_begin()
        self.reading = monotonic()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Let the application count the bytes from here on; refuse requests without end that wait for no answer."""
        self._head = -1
        self._in_head = False
        if len(self.pipeline) >= MOST_PIPELINED:
            raise ValueError(f"more than {MOST_PIPELINED} requests in wait")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass over what comes for a request that was answered already, but not without end."""
        super().on_body(body)
        if self.cycle.response_complete:
            self._passed_over += len(body)
            if self._passed_over > self.limits.body:
                self.transport.abort()

    def on_message_complete(self) -> None:
        """Note when a request is here: its deadline counts from now."""
        self.reading = math.inf
        self._head = self._passed_over = 0
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[ARRIVED] = monotonic()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Note since when nobody takes what is written."""
        self._stuck = monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Somebody does again."""
        self._stuck = math.inf
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, in our words."""
        self.refuse(DataError("serve-http", given=msg))

    def refuse(self, error: SumtooneError) -> None:
        """Answer with an error and close; a whole request that came before gets its answer first, and the last one."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (cycle.response_started or not cycle.more_body):
            cycle.keep_alive = False
            self._broken = True
            return
        if not self.transport.is_closing():
            answer = refused(error, ((b"connection", b"close"), (b"content-length", b"")))
            lines = [STATUS_LINE[answer.status]]
            for name, value in answer.headers:
                lines += [name, b": ", value or b"%d" % len(answer.body), b"\r\n"]
            self.metrics.request("other", answer.status)
            self.transport.write(b"".join([*lines, b"\r\n", answer.body]))
            self.transport.close()

    def check_time(self, now: float) -> None:
        """Close where a request takes too long to come, or its answer to be taken."""
        if now - self._stuck > self.limits.read_timeout:
            self.transport.abort()
        elif now - self.reading > self.limits.read_timeout:
            if self.cycle is not None or self._in_head:
                self.refuse(UsageError("serve-slow", limit=self.limits.read_timeout))
            else:
                self.transport.close()

    def leave(self, now: float) -> bool:
        """Close if nothing is under way here; whether it is closed."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        elif not self._in_head and now - self.active > QUIET:
            self.transport.close()
        return self.transport.is_closing()


def connections_with(limits: Limits, metrics: Metrics) -> type[Connection]:
    """Return the class of a server's connections."""
    return type("Connection", (Connection,), {"limits": limits, "metrics": metrics})
