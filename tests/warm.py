"""Programs in processes of their own that do not begin from nothing: forks of one that has loaded the libraries.

To load PyTorch takes a process longer than most of what the tests ask of it. Here one process loads it, and nothing of
the package; every program then runs in a fork of it, with streams, surroundings, a working folder and an end of its
own, and loads the package itself. Whatever is about how a process begins, or about signals, limits and threads as a
user's process has them, has a new interpreter instead.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

# Runs at the top of the interpreter, so that a program ends as a script does: with its traceback and what is registered
# for the end. A process between the server and the program waits for it: many may run at once.
_SERVER = """
import atexit, json, os, runpy, signal, socket, sys, threading, types, warnings
import coverage, filelock, mlxtend.data, PIL.Image, pyarrow.csv, pyarrow.parquet, rich, safetensors.torch, scipy.special
import torch, torch._dynamo, typer

_connection = socket.socket(fileno=int(sys.argv[1]))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    _words, _files, *_ = socket.recv_fds(_connection, 2**20, 4)
    if not _words:
        os._exit(0)
    if os.fork() == 0:
        break
    for _file in _files:
        os.close(_file)
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
_connection.close()
_answer = socket.socket(fileno=_files.pop())
_program = os.fork()
if _program:
    for _file in _files:
        os.close(_file)
    try:
        _answer.send(b"%d" % _program)
        _answer.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(_program, 0)[1]))
    finally:  # with nobody there where the time was over
        os._exit(0)
_answer.close()
for _place, _file in enumerate(_files):
    os.dup2(_file, _place)
    os.close(_file)
_words = json.loads(_words)
os.environ.clear()
os.environ.update(_words["environment"])
os.chdir(_words["folder"])
sys.argv = _words["argv"]
sys.path[:0] = _words["path"]
# New streams, for the old ones keep in mind what theirs can do.
_encoding, _, _errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
sys.stdin = sys.__stdin__ = open(0, encoding=_encoding, closefd=False)
sys.stdout = sys.__stdout__ = open(1, "w", encoding=_encoding, errors=_errors or "strict", closefd=False)
sys.stderr = sys.__stderr__ = open(2, "w", 1, encoding=_encoding, errors="backslashreplace", closefd=False)
for _action in _words["warn"]:
    warnings.simplefilter(_action)
coverage.process_startup()
_code = 0
try:
    if _words["program"] is None:
        runpy.run_module("sumtoone", run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(_words["program"], "<string>", "exec"), vars(sys.modules["__main__"]))
except SystemExit as _end:
    _code = _end.code if isinstance(_end.code, int) else int(_end.code is not None)
except BaseException:
    sys.excepthook(*sys.exc_info())
    _code = 1
# Everything that an interpreter does at its end but to take its modules apart, which takes PyTorch's a second.
threading._shutdown()
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(_code)
"""

# How coverage measures processes; ``conftest`` says it.
measuring: dict[str, str] = {}

_lock = threading.Lock()
_connection: socket.socket | None = None


def _server() -> socket.socket:
    """The connection to this process's server, which ends when the connection does."""
    global _connection
    if _connection is None:
        _connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        atexit.register(process.wait)
        atexit.register(_connection.close)
    return _connection


def run(
    program: str | None,
    *arguments: object,
    warn: str = "",
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    terminal: int | None = None,
    encoding: str | None = "utf-8",
    timeout: float = 120,
) -> subprocess.CompletedProcess[Any]:
    """Run a program as ``python -W warn -c program`` does, or the command line for None, and wait for its end.

    Several threads may do so at once. Where a terminal is given, the program reads and writes there.
    """
    words, environment = list(map(str, arguments)), dict(os.environ if env is None else env)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open() as none:
        streams = [none.fileno(), out.fileno(), err.fileno()] if terminal is None else [terminal] * 3
        if sys.platform.startswith("linux"):
            request = {
                "program": program,
                "argv": ["-c", *words],
                "path": [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), ""],
                "warn": [*filter(None, [environment.get("PYTHONWARNINGS"), warn])],
                "environment": environment | measuring,
                "folder": str(cwd or Path.cwd()),
            }
            code = _ask(request, streams, timeout)
        else:
            of = ["-m", "sumtoone"] if program is None else ["-c", program]
            command = [sys.executable, *(["-W", warn] if warn else []), *of, *words]
            where = dict(zip(("stdin", "stdout", "stderr"), streams, strict=True))
            code = subprocess.run(command, env=environment, cwd=cwd, timeout=timeout, check=False, **where).returncode
        for stream in (out, err):
            stream.seek(0)
        said = [stream.read() if encoding is None else stream.read().decode(encoding) for stream in (out, err)]
    return subprocess.CompletedProcess([sys.executable, *words], code, *said)


def _ask(request: dict[str, Any], streams: list[int], timeout: float) -> int:
    """Let the server run a program, and return the code with which it ended."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs, _lock:
            socket.send_fds(_server(), [json.dumps(request).encode()], [*streams, theirs.fileno()])
        number = int(ours.recv(32))
        ours.settimeout(timeout)
        try:
            return int(ours.recv(32))
        except TimeoutError:
            os.kill(number, signal.SIGKILL)
            raise
