"""Servers in processes of their own: begun, asked for their memory, told to stop."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.load.connections import Address

_MEBIBYTE = 1 << 20
_SECONDS_TO_START = 60.0
_SECONDS_TO_STOP = 60.0
_DEFECTS = ("Traceback", "Exception", "ERROR", "Warning:", "never retrieved", "Segmentation", "defect")


class Server:
    """A server's process, where it listens, and what it has written of errors."""

    def __init__(self, process: subprocess.Popen[str], address: Address, errors: Path) -> None:
        self.process, self.address, self._errors = process, address, errors

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    @property
    def resident(self) -> float:
        """Its resident memory in MiB, now."""
        return self._memory("VmRSS:")

    @property
    def most_resident(self) -> float:
        """The most resident memory that it has had, in MiB, since the last :meth:`forget`."""
        return self._memory("VmHWM:")

    @property
    def processor(self) -> float:
        """The seconds of processor that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget(self) -> None:
        """Let the most memory be counted from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")

    @property
    def defects(self) -> str:
        """What it has written to its standard error from the first error on that it did not expect; nothing if none."""
        written = self._errors.read_text(encoding="utf-8", errors="replace")
        places = [place for word in _DEFECTS if (place := written.find(word)) >= 0]
        return written[min(places) :] if places else ""

    def tell_to_stop(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Return the exit code; kill what does not end."""
        try:
            return self.process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _memory(self, field: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 / _MEBIBYTE for line in lines if line.startswith(field))


@contextmanager
def begun(command: Sequence[str | Path], **environment: str) -> Iterator[Server]:
    """Begin a server that prints one line with its address, as a URL, when it listens."""
    with tempfile.NamedTemporaryFile("w+", suffix=".txt") as errors:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environment},
        )
        try:
            yield Server(process, _address(process, Path(errors.name)), Path(errors.name))
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def sumtoone(run: Path, *options: str) -> AbstractContextManager[Server]:
    """Begin ``sumtoone serve``."""
    return begun([sys.executable, "-m", "sumtoone", "serve", run, "--port", "0", "--json", *options])


def _address(process: subprocess.Popen[str], errors: Path) -> Address:
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put("")

    # To the process's end, so that the pipe never fills.
    threading.Thread(target=read, daemon=True).start()
    while line := _next(lines):
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            return Address("127.0.0.1", int(found[1]))
    raise RuntimeError(f"the server did not start: {errors.read_text(encoding='utf-8')}")


def _next(lines: queue.Queue[str]) -> str:
    try:
        return lines.get(timeout=_SECONDS_TO_START)
    except queue.Empty:
        return ""
