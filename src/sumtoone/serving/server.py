"""A server from its first byte to its last: it listens, is ready, is told to leave, and finishes what it accepted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from time import monotonic
from types import FrameType

import numpy as np
import uvicorn

from sumtoone.errors import UnavailableError
from sumtoone.serving.app import Application
from sumtoone.serving.connections import IDLE, Connection, connections_with
from sumtoone.serving.limits import Guard, Limits
from sumtoone.serving.model import Model

# After SIGTERM, so long new connections are taken still: those who send them have yet to hear of it.
LINGER = 0.3
# How often slow clients are looked for, as a share of the time they have.
_LOOK = 0.1
_TICK = 0.02


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises
    ------
    UnavailableError
        ``serve-port`` if the port is taken, ``serve-address`` if this machine has no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UnavailableError("serve-address", given=host, why=getattr(error, "strerror", error)) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise UnavailableError("serve-port", port=port, why=error.strerror) from None
        raise UnavailableError("serve-address", given=host, why=error.strerror) from None
    listener.setblocking(False)
    return listener


def serve_model(model: Model, listener: socket.socket, limits: Limits, guard: Guard, ready: Callable[[], None]) -> int:
    """Answer until SIGTERM or Ctrl-C; return the signal that ended it.

    Parameters
    ----------
    model
        Whose answers are given.
    listener
        What :func:`listening` gave; it is closed at the end.
    limits, guard
        What is let in.
    ready
        Called once, when the first request may come.
    """
    # The first row loads what computes, and the first answer what writes it.
    model.probabilities(np.zeros((1, model.features), np.uint8 if model.pixels else np.float32))
    application = Application(model, limits, guard)
    config = uvicorn.Config(
        application,
        http=connections_with(limits, application.metrics),
        loop=_loop(),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE,
        backlog=2048,
    )
    server = _Server(config, application, limits, ready)
    with _many_files(limits.connections), _silent("uvicorn.error", "python_multipart"):
        # What was loaded stays: to look through it again and again costs every tenth request.
        gc.collect()
        gc.freeze()
        try:
            server.run(sockets=[listener])
        finally:
            gc.unfreeze()
            application.close()
    if application.busy:  # pragma: no cover - nothing is told of a process that ends so
        # A module of somebody's own that computes beyond the grace, or a slow disk: Python would wait for the thread.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(130 if server.ended_by == signal.SIGINT else 0)
    return server.ended_by


def _loop() -> str:
    try:
        import uvloop  # noqa: F401
    except ImportError:  # pragma: no cover - there is none on Windows
        return "asyncio"
    return "uvloop"


@contextlib.contextmanager
def _many_files(connections: int) -> Iterator[None]:
    """Let this process have as many files as connections, and some, where the system allows it; then as before."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows has no such limit
        yield
        return
    soft, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 128
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def _silent(*loggers: str) -> Iterator[None]:
    """Keep what libraries say of each bad request to themselves; whoever sent it is told."""
    nobody = logging.NullHandler()
    for name in loggers:
        logging.getLogger(name).addHandler(nobody)
    try:
        yield
    finally:
        for name in loggers:
            logging.getLogger(name).removeHandler(nobody)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, application: Application, limits: Limits, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.ended_by = 0
        self._application = application
        self._limits = limits
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and Ctrl-C for the time of serving; uvicorn's own would end the process by the signal again."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Be ready no more from this moment on; a second signal ends it at once."""
        self.force_exit = self.should_exit
        self.should_exit = self._application.leaving = True
        self.ended_by = self.ended_by or sig

    async def main_loop(self) -> None:
        """Tell that the server is ready, and look for slow clients until it is told to leave."""
        looking = asyncio.get_running_loop().create_task(self._look_for_slow_ones())
        self._ready()
        try:
            await super().main_loop()
        finally:
            looking.cancel()

    async def _look_for_slow_ones(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._limits.read_timeout * _LOOK))
            for connection in self._connections():
                connection.check_time(monotonic())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take what is on its way, finish it, and close every connection when it has nothing more to say."""
        end = monotonic() + self._limits.grace
        await asyncio.sleep(min(LINGER, self._limits.grace / 4))
        waiting = [accepted for listener in sockets or [] for accepted in _all_at(listener)]
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for accepted in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted)
        while self.server_state.connections and not self.force_exit and monotonic() < end:
            for connection in self._connections():
                connection.check_time(monotonic())
                connection.leave(monotonic())
            await asyncio.sleep(_TICK)
        for connection in self._connections():
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: tell how many connections there are."""
        self._application.connections = len(self.server_state.connections)
        return await super().on_tick(counter)

    def _protocol(self) -> Connection:
        return self.config.http_protocol_class(self.config, self.server_state, {})  # type: ignore[return-value, call-arg]

    def _connections(self) -> list[Connection]:
        return list(self.server_state.connections)  # type: ignore[arg-type]


def _all_at(listener: socket.socket) -> list[socket.socket]:
    """Return whoever waits at the door: to close it would turn them away after the system let them in.

    In one go: where others were answered in between, they would be at the door again, and so on.
    """
    found = []
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            found.append(connection)
    return found
