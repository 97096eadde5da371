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
import shutil
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
import atexit, json, os, runpy, select, signal, socket, sys, threading, types, warnings
import coverage, filelock, mlxtend.data, PIL.Image, pyarrow.csv, pyarrow.parquet, rich, safetensors.torch, scipy.special
import torch, torch._dynamo, typer

_listener = socket.socket(fileno=int(sys.argv[1]))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    if 0 in select.select([_listener, 0], [], [])[0]:
        os._exit(0)  # whoever began this one is gone
    _answer = _listener.accept()[0]
    if os.fork() == 0:
        break
    _answer.close()
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
_listener.close()
_words, _files, *_ = socket.recv_fds(_answer, 2**20, 3)
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
if _words["warn"]:
    warnings.simplefilter(_words["warn"])
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
_place: str = ""


def _server() -> str:
    """The socket of this process's server, which ends when this process does."""
    global _place
    with _lock:
        if not _place:
            folder = tempfile.mkdtemp()
            atexit.register(shutil.rmtree, folder)
            _place = f"{folder}/socket"
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                listener.bind(_place)
                listener.listen(64)
                process = subprocess.Popen(
                    [sys.executable, "-c", _SERVER, str(listener.fileno())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[listener.fileno()],
                )
            atexit.register(process.communicate)
    return _place


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
            path = [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), ""]
            request = {"program": program, "argv": ["-c", *words], "path": path, "warn": warn}
            request |= {"environment": environment | measuring, "folder": str(cwd or Path.cwd())}
            code = ask(_server(), request, streams, timeout)
        else:
            of = ["-m", "sumtoone"] if program is None else ["-c", program]
            command = [sys.executable, *(["-W", warn] if warn else []), *of, *words]
            where = dict(zip(("stdin", "stdout", "stderr"), streams, strict=True))
            code = subprocess.run(command, env=environment, cwd=cwd, timeout=timeout, check=False, **where).returncode
        for stream in (out, err):
            stream.seek(0)
        said = [stream.read() if encoding is None else stream.read().decode(encoding) for stream in (out, err)]
    return subprocess.CompletedProcess([sys.executable, *words], code, *said)


def ask(place: str, request: dict[str, Any], streams: list[int], timeout: float) -> int:
    """Let the server at a place run a program, and return the code with which it ended."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as answer:
        answer.connect(place)
        socket.send_fds(answer, [json.dumps(request).encode()], streams)
        number = int(answer.recv(32))
        answer.settimeout(timeout)
        try:
            return int(answer.recv(32))
        except TimeoutError:
            os.kill(number, signal.SIGKILL)
            raise


def put_command(folder: Path) -> None:
    """Put a ``sumtoone`` into a folder with which a shell runs the command line so."""
    lines = (
        f"#!{sys.executable} -I",
        "import os, sys",
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})",
        "import warm",
        "request = {'program': None, 'argv': sys.argv, 'path': [], 'warn': '', 'folder': os.getcwd()}",
        f"request['environment'] = dict(os.environ) | {measuring!r}",
        f"sys.exit(warm.ask({_server()!r}, request, [0, 1, 2], 120))",
    )
    (folder / "sumtoone").write_text("\n".join(lines) + "\n")
    (folder / "sumtoone").chmod(0o755)
