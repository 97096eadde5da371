"""A run behind a real server: a process of its own on a free port, told to leave at the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import warm

ROOT = Path(__file__).parent.parent


@dataclass
class Served:
    """A server that is ready.

    ``code`` and ``said`` (its standard error) are there when it has ended.
    """

    url: str
    model: str
    pid: int
    code: int | None = None
    said: str = ""
    ready: dict[str, Any] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.url.split("/")[2].rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the code with which the server ends."""
        if not self._ended.is_set():
            os.kill(self.pid, number)
        return self.wait()

    def wait(self, seconds: float = 60) -> int:
        assert self._ended.wait(seconds), "the server did not end"
        assert self.code is not None
        return self.code

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextmanager
def served(
    run: Path, *words: object, new: bool = False, env: dict[str, str] | None = None, may_say: bool = False
) -> Iterator[Served]:
    """Serve a run for the length of a block; ``new`` begins an interpreter, else a fork that has loaded the libraries.

    Whatever a server says on standard error besides its address is a failure: it says nothing but defects, unless it
    ``may_say`` so.
    """
    command = ["serve", str(run), "--port", "0", "--json", *map(str, words)]
    environment = {**os.environ, **warm.measuring, **(env or {})}
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as errors, Path(os.devnull).open() as none, os.fdopen(reading) as lines:
        streams = [none.fileno(), writing, errors.fileno()]
        found = Served("", "", 0)

        def run_it() -> None:
            try:
                if new:
                    process = subprocess.run(
                        [sys.executable, "-m", "sumtoone", *command],
                        **dict(zip(("stdin", "stdout", "stderr"), streams, strict=True)),
                        env=environment,
                        check=False,
                    )
                    found.code = process.returncode
                else:
                    path = [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), ""]
                    request: dict[str, Any] = {"program": None, "argv": ["-c", *command], "path": path, "warn": ""}
                    request |= {"environment": environment, "folder": str(Path.cwd())}
                    found.code = warm.ask(warm._server(), request, streams, 600)
            finally:
                os.close(writing)
                found._ended.set()

        thread = threading.Thread(target=run_it)
        thread.start()
        try:
            line = lines.readline()
            if line.startswith('{"event": "ready"'):
                ready = json.loads(line)
                found.ready = ready
                found.url, found.model, found.pid = ready["url"], ready["model"], ready["pid"]
            else:
                found.wait()
                found.said = line
            yield found
        finally:
            if found.pid:
                found.stop()
            thread.join()
            errors.seek(0)
            said = errors.read().decode()
            found.said = found.said or said
    if found.pid and not may_say:
        # At every address it says a second one.
        assert said.count("\n") <= 1 + (found.code == 130) + ("0.0.0.0" in words), said
        assert "Traceback" not in said, said


def digits_run(folder: Path) -> Path:
    """Save a run that takes drawings of digits, trained in a moment on noise."""
    from sumtoone import Dataset, Network, fit

    generator = np.random.default_rng(0)
    noise = Dataset.from_arrays(generator.integers(0, 256, (60, 28, 28), np.uint8), np.arange(60) % 10)
    run = fit(Network("784-128-64-10"), noise, epochs=1)
    return replace(run, handwriting=True, name="digits").save(folder / "digits")


def table_run(folder: Path, far: float = 0.0) -> Path:
    """Train quickly on a table of three columns, the last one as far from zero as is said."""
    import pyarrow

    from sumtoone import Dataset, Network, fit

    generator = np.random.default_rng(0)
    rows = generator.normal(size=(200, 3)) * [1.0, 10.0, 1e-3] + [0.0, 5.0, far]
    labels = np.where(rows[:, 1] > 5, "넓음", "narrow")
    frame = pyarrow.table(dict(zip(("a", "b", "높이"), rows.T, strict=True)))
    fit(Network("3-8-2"), Dataset.from_arrays(frame, labels), epochs=2, out=folder / "table")
    return folder / "table"


def ask(served: Served, *, path: str = "/predict", body: bytes = b"", method: str = "POST", **headers: str) -> Any:
    """Send one request of exactly these headers, and return status, headers and body."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host="host" in headers, skip_accept_encoding=True)
        if body and "transfer_encoding" not in headers:
            headers.setdefault("content_length", str(len(body)))
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def ask_json(served: Served, document: Any, path: str = "/predict", **headers: str) -> tuple[int, Any]:
    """Send a document; return the status and the document that comes back."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers.setdefault("content_type", "application/json")
    status, _, answer = ask(served, path=path, body=body, **headers)
    return status, json.loads(answer)
