"""Five thousand submissions judged one after another, some of them hostile: what is left behind, and how memory grows.

Half of them at ``good``, half at ``strong``, each half by two workers in this process, whose nurseries stay the same
throughout. Looked at before and after: processes of the judge, this process's descriptors and threads, shared memory,
temporary files; and, while it goes on, what is resident of this process and of its nurseries.
"""

from __future__ import annotations

import gc
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sumtoone
from benchmarks.protocol import machine
from benchmarks.submissions import honest, hostile, written
from sumtoone.checking.running import Settings, judge_all

RUNS, WORKERS, SECONDS, LEVELS = 5_000, 2, 2.0, ("good", "strong")
# So many are judged before memory is first looked at: by then everything has been imported and allocated once.
WARM = 200
# One in so many is hostile.
HOSTILE_SHARE = 50
_MEBIBYTE = 1 << 20


def measure(_: int, quick: bool) -> dict[str, Any]:
    """Return the record: what is left of each kind, and mebibytes of growth."""
    runs = 100 if quick else RUNS
    before = _standing()
    started = time.perf_counter()
    grown = {level: _judge(level, runs // len(LEVELS), min(WARM, runs // 8)) for level in LEVELS}
    spent = time.perf_counter() - started
    gc.collect()
    after = _standing()
    left = {kind: sorted(after[kind] - before[kind]) for kind in before}
    return {
        "what": f"{runs:,} submissions, one in {HOSTILE_SHARE} hostile, {SECONDS:g} s each at most, {WORKERS} workers",
        "machine": machine(("sumtoone", "torch", "numpy")),
        "rounds": 1,
        "runs": runs,
        "seconds": spent,
        "left": {kind: len(names) for kind, names in left.items()},
        "names": {kind: names[:20] for kind, names in left.items()},
        "grown": grown,
        "disagreeing": [kind for kind, names in left.items() if names],
    }


def _judge(level: str, runs: int, warm: int) -> dict[str, Any]:
    """Judge so many; return the mebibytes resident after the warm-up and at the end, of us and of our nurseries."""
    bad = hostile(runs // HOSTILE_SHARE)
    codes = honest(runs - len(bad))
    random.Random(0).shuffle(codes)  # so that the warm-up sees some of everything
    for place, code in enumerate(bad):
        codes.insert(place * HOSTILE_SHARE, code)
    seen: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        found = written(codes, Path(folder))
        settings = Settings(isolation=level, seconds=SECONDS, workers=WORKERS)
        for done, _ in enumerate(judge_all(found, settings), 1):
            if done == warm or (done >= warm and done % max(1, runs // 20) == 0):
                seen.append((_resident("self"), max(map(_resident, _nurseries()), default=0.0)))
                print(f"{level}: {done} of {runs}, {seen[-1][0]:.1f} MiB, nursery {seen[-1][1]:.1f} MiB", flush=True)
    ours, nurseries = ([pair[which] for pair in seen] for which in (0, 1))
    # At the end the nurseries may be closing already.
    return {
        "checker": {"warm": ours[0], "end": ours[-1], "most": max(ours)},
        "nursery": {"warm": nurseries[0], "end": nurseries[-2], "most": max(nurseries)},
    }


def _standing() -> dict[str, set[str]]:
    """Return what is there of each kind, by name."""
    temporary = Path(tempfile.gettempdir())
    return {
        "processes": {f"{pid} {line}" for pid, line in _ours()},
        "descriptors": {str(number) for number in range(_descriptors())},
        "threads": {str(thread.ident) for thread in threading.enumerate()},
        "shared memory": {*_names(Path("/dev/shm")), *_segments()},
        "files": {*_names(temporary)},
    }


def _ours() -> Iterator[tuple[str, str]]:
    """Yield the nurseries of this very package, and what they have forked, wherever they hang by now.

    A check that somebody else runs meanwhile, with this very package, would count as well.
    """
    package = str(Path(sumtoone.__file__).parent)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if package in line and "inside/process.py" in line:
            yield folder.name, line[:80]


def _nurseries() -> list[str]:
    """Return those of them that are our children."""
    ours = str(os.getpid())
    return [pid for pid, _ in _ours() if _status(pid, "PPid:") == ours]


def _resident(pid: str) -> float:
    kibibytes = _status(pid, "VmRSS:")
    return int(kibibytes) * 1024 / _MEBIBYTE if kibibytes else 0.0


def _status(pid: str, field: str) -> str:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith(field)), "")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the folder itself is one, before and after


def _names(folder: Path) -> list[str]:
    return [str(path) for path in folder.iterdir()] if folder.is_dir() else []


def _segments() -> list[str]:
    path = Path("/proc/sysvipc/shm")
    return path.read_text(encoding="utf-8").splitlines()[1:] if path.is_file() else []
