"""Every hostile snippet, at strong and at good, as whoever runs the tests and, if that is root, as nobody too."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import sumtoone
from sumtoone.checking.confinement import Limits, Nursery
from sumtoone.checking.subject import Stopped

HERE = Path(__file__).parent
LESSON = [np.zeros((64, 1, 28, 28), np.float32), np.zeros(64, np.int64)]
LIMITS = Limits(seconds=0.4, memory=256 << 20, output=1 << 18)
# A limit, the grace for an end that is seen late, and a machine with other work.
LONGEST = 10.0
NOBODY = 65534

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="confinement is proved on Linux alone")


class Snippet(NamedTuple):
    codes: tuple[str, ...]
    title: str
    exercise: str
    source: str


def snippets(path: Path = HERE / "submissions" / "hostile.txt") -> list[Snippet]:
    """Return the snippets of a file: a head of three fields each, then the code."""
    found = []
    for block in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, source = block.split("\n", 1)
        codes, title, exercise = head.split(" | ")
        found.append(Snippet(tuple(codes.split(",")), title, exercise, source))
    return found


@contextmanager
def canary_folder() -> Iterator[Path]:
    """A folder where everybody may do everything, with a file in it; nothing of it may change."""
    folder = Path(tempfile.mkdtemp(prefix="sumtoone-", dir="/var/tmp"))
    try:
        folder.chmod(0o777)
        (folder / "canary").write_text("unread")
        (folder / "canary").chmod(0o666)
        (folder / "neighbour_of_the_canary.py").write_text("x = 1")
        yield folder / "canary"
    finally:
        shutil.rmtree(folder)


def state(canary: Path) -> list[Any]:
    """Return all that a snippet could have changed."""
    status = canary.stat()
    strays = [
        path for folder in ("/tmp", "/var/tmp", "/dev/shm", "/") for path in Path(folder).glob("sumtoone[-_]host*")
    ]
    names = sorted(path.name for path in canary.parent.iterdir())
    kept = (status.st_mode, status.st_nlink, status.st_mtime_ns, status.st_uid)
    return [canary.read_text(), kept, names, strays, sorted(Path("/dev/shm").iterdir())]


def complaint(nursery: Nursery, snippet: Snippet, canary: Path) -> str | None:
    """Run one snippet as the judge would begin to; return what is wrong with what came of it."""
    started, reason = time.monotonic(), None
    with nursery.open(canary) as subject:
        try:
            source = snippet.source.replace("{canary}", str(canary))
            reply, _ = subject.ask({"do": "run", "cells": [{"number": None, "source": source}]}, LESSON)
            for entry in reply.get("defined", ())[:4]:
                subject.ask({"do": "call", "key": entry["key"]}, [np.ones((64, 10), np.float32)])
        except Stopped as stopped:
            reason = stopped.reason
        printed = subject.printed
    if "ESCAPED" in printed:
        return f"{snippet.title}: {printed[:300]}"
    if not all(line.isprintable() for line in printed.split("\n")):
        return f"{snippet.title}: it printed what a terminal obeys"
    if reason and reason not in snippet.codes and snippet.codes[0] not in {"-", "any"}:
        return f"{snippet.title}: stopped for {reason}, not for {snippet.codes}"
    if time.monotonic() - started > LONGEST:
        return f"{snippet.title}: it took {time.monotonic() - started:.1f} s"
    return None


def complaints(level: str, canary: Path) -> list[str]:
    """Run all snippets in two nurseries side by side; return whatever is wrong."""
    waiting, found, lock = snippets(), [], threading.Lock()

    def work() -> None:
        with Nursery(level, LIMITS) as nursery:
            while True:
                with lock:
                    if not waiting:
                        break
                    snippet = waiting.pop(0)
                try:
                    problem = complaint(nursery, snippet, canary)
                except Exception as error:
                    problem = f"{snippet.title}: {type(error).__name__} {getattr(error, 'fields', error)}"
                if problem:
                    found.append(problem)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


def test_there_are_more_than_a_hundred_snippets() -> None:
    assert len({snippet.title for snippet in snippets()}) == len(snippets()) > 100


@pytest.mark.parametrize("level", ["strong", "good"])
def test_nothing_escapes(level: str) -> None:
    entered = subprocess.run(["unshare", "-Urmnp", "--fork", "mount", "--make-rprivate", "/"], check=False)
    if level == "strong" and entered.returncode:
        pytest.skip("this system refuses namespaces")
    with canary_folder() as canary:
        before = state(canary)
        assert complaints(level, canary) == []
        assert state(canary) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="it is run as an unprivileged user already")
def test_nothing_escapes_from_an_unprivileged_checker() -> None:
    with tempfile.TemporaryDirectory() as hold:
        Path(hold).chmod(0o755)
        tests = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", "test_nothing_escapes"]
        script = as_nobody([*tests, __file__], Path(hold))
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]
        if subprocess.run([*command[:-1], "exit 0"], check=False, capture_output=True).returncode:
            pytest.skip("this root may not have mounts of its own")
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def as_nobody(command: list[str], hold: Path) -> str:
    """Return a script that runs a command as nobody, in whose mounts the folders of this Python can be reached.

    They may lie in a folder that only root enters. There an empty one is put over it, and they are put back into that.
    """
    needed = {sys.base_prefix, sys.prefix, str(HERE.parent), *(str(Path(path).parent) for path in sumtoone.__path__)}
    hidden = {folder: closed for folder in sorted(needed) if (closed := first_closed(Path(folder)))}
    lines = []
    for number, folder in enumerate(hidden):
        lines.append(f"mkdir {hold}/{number} && mount --rbind {shlex.quote(folder)} {hold}/{number}")
    lines += [f"mount -t tmpfs -o mode=755 none {shlex.quote(str(closed))}" for closed in set(hidden.values())]
    for number, folder in enumerate(hidden):
        lines.append(f"mkdir -p {shlex.quote(folder)} && mount --rbind {hold}/{number} {shlex.quote(folder)}")
    identity = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups"
    lines.append(f"exec env HOME=/ {identity} {shlex.join(command)}")
    return "\n".join(lines)


def first_closed(folder: Path) -> Path | None:
    """Return the first folder on the way that others may not enter."""
    return next((step for step in (*reversed(folder.parents), folder) if not step.stat().st_mode & 1), None)
