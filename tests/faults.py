"""What ``test_faults`` runs in a process of its own: one verb after another, with one of its file operations failing.

The process imports once and forks for each point. Run with LD_PRELOAD naming the library made of native/faults.c.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

import sumtoone as s1
from sumtoone.errors import RunError
from test_training import build, make_dataset, weights

FAILURES = {"kill": 0, "no space": errno.ENOSPC, "input/output error": errno.EIO}
OPTIONS = {"epochs": 3, "batch_size": 16, "threads": 1}
DATASET = make_dataset(60)


def begin(folder: Path) -> None:
    """Begin a training and stop in its second epoch."""

    def stop(event: object) -> None:
        if event["epoch"] == 2:  # type: ignore[index]
            raise KeyboardInterrupt

    try:
        s1.fit(build(dropout=0.2), DATASET, out=folder, on_event=stop, **OPTIONS)
    except KeyboardInterrupt:
        return


def in_child(act: Callable[[], object]) -> tuple[int, str]:
    """Run something in a forked child; return its exit code, negative for a signal, and what it wrote of an error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 0
        try:
            act()
        except RunError as error:
            os.write(writing, error.code.encode())
            code = 3
        except BaseException:
            os.write(writing, traceback.format_exc()[-3000:].encode())
            code = 1
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told


def verbs(run: s1.Run) -> dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]]:
    """Return for each verb what makes the folder it starts from, and the verb itself."""
    return {
        "fit": (lambda folder: None, lambda folder: s1.fit(build(dropout=0.2), DATASET, out=folder, **OPTIONS)),
        "save": (lambda folder: None, run.save),
        "add_metrics": (run.save, lambda folder: run.with_metrics(folder, {"test": {"accuracy": 0.5}})),
        "resume": (begin, lambda folder: s1.resume(folder, DATASET)),
        "resume a finished one": (finished_with_checkpoints, lambda folder: s1.resume(folder, DATASET)),
    }


def finished_with_checkpoints(folder: Path) -> None:
    """Leave what a training leaves that is killed between its last file and its tidying."""
    begin(folder)
    shutil.copytree(folder / "checkpoints", folder.parent / "kept")
    s1.resume(folder, DATASET)
    shutil.move(folder.parent / "kept", folder / "checkpoints")


def left(verb: str, folder: Path, expected: bytes) -> str:
    """Load whatever is left, and say what it is: the run to the bit, or our error where nothing could be there yet."""
    try:
        opened = s1.open_run(folder)
    except RunError as error:
        if verb in ("add_metrics", "resume a finished one") or error.code not in ("run-missing", "run-unfinished"):
            return f"open_run: {error}"
    else:
        if weights(opened.network) != expected:
            return "open_run gives other weights"
        if verb == "add_metrics" and opened.metrics not in ({}, {"test": {"accuracy": 0.5}}):
            return f"metrics {opened.metrics}"
    if verb in ("save", "add_metrics"):
        return ""
    try:
        again = s1.resume(folder, DATASET)
    except RunError as error:
        began = verb == "fit" and error.code in ("run-missing", "run-no-checkpoint")
        return "" if began else f"resume: {error}"
    return "" if weights(again.network) == expected else "resume gives other weights"


def main(where: str, library: str, verb: str) -> None:
    """Go through every operation of a verb with every failure, and print one JSON document of what was found."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    faults = ctypes.CDLL(library)
    faults.faults_seen.restype = ctypes.c_long
    home = Path(where)
    run = s1.fit(build(dropout=0.2), DATASET, **OPTIONS)
    expected, points, wrong = weights(run.network), 0, []

    def fresh() -> Path:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        return home / "run"

    def armed(act: Callable[[Path], object], folder: Path, place: int, failure: int) -> None:
        faults.faults_arm(str(folder).encode(), ctypes.c_long(place), failure)
        try:
            act(folder)
        finally:
            total = faults.faults_seen()
            faults.faults_arm(b"", ctypes.c_long(0), 0)
            (home / "seen").write_text(str(total))

    prepare, act = verbs(run)[verb]
    folder = fresh()
    prepare(folder)
    code, told = in_child(lambda: armed(act, folder, 0, 0))
    assert code == 0, told
    total = int((home / "seen").read_text())
    for place in range(1, total + 1):
        for name, failure in FAILURES.items():
            folder = fresh()
            prepare(folder)
            code, told = in_child(lambda: armed(act, folder, place, failure))  # noqa: B023 - called at once
            points += 1
            point = f"{verb}, operation {place} of {total}, {name}"
            if code not in ((-9,) if name == "kill" else (0, 3)):
                wrong.append(f"{point}: ended with {code} {told}")
            found: list[str] = []
            code, told = in_child(lambda: found_out(left(verb, folder, expected)))  # noqa: B023
            if code or found:
                wrong.append(f"{point}: {told}")
    print(json.dumps({"points": points, "wrong": wrong}))


def found_out(what: str) -> None:
    """Raise where something was found."""
    if what:
        raise AssertionError(what)


if __name__ == "__main__":
    main(*sys.argv[1:])
