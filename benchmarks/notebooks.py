"""Fifty notebooks with a softmax each, through `sumtoone check`, nbgrader and otter-grader without Docker.

Each judge is started anew and gets the whole folder; the seconds are those of its process, from start to end. All three
get the same notebooks. nbgrader and otter-grader run in them the test that their users would write: shape, sums of the
rows and values beside PyTorch's. nbgrader's command for a folder is `nbgrader autograde`, otter-grader's for notebooks
without Docker is `otter run`, one notebook a call; here its function is called fifty times in one process instead,
which saves it fifty starts.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.protocol import machine, summary
from benchmarks.submissions import attempts, notebook

OURS = "sumtoone check"
COUNT = 50
_PATIENCE = 1_800.0
_IMPORTS = "import numpy as np\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn"
_TEST = """x = torch.linspace(-2, 2, 640).sin().view(64, 10)
got = softmax(x)
assert got.shape == (64, 10)
assert torch.allclose(got.sum(dim=1), torch.ones(64))
assert torch.allclose(got, torch.softmax(x, dim=1), atol=1e-6)"""
_TYPED = "".join(f">>> {line}\n" for line in _TEST.splitlines())
# otter-grader's own form of a test.
_OTTER_TEST = f"""OK_FORMAT = True
test = {{"name": "q1", "points": 1, "suites": [{{"type": "doctest", "scored": True, "cases": [
    {{"code": {_TYPED!r}, "hidden": False, "locked": False}}]}}]}}
"""
_OTTER = """
import json, pathlib, sys
from otter.run import main
zip_, *paths = sys.argv[1:]
print(json.dumps({pathlib.Path(path).stem: main(path, autograder=zip_, output_dir=None, no_logo=True).total
                  for path in paths}), file=sys.__stderr__)
"""
_NBGRADER = """
import json, sys
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    print(json.dumps({each["student"]: each["score"] for each in book.submission_dicts("softmax")}))
"""


@dataclass(frozen=True)
class _Run:
    """What one judge's run gave: seconds, those of the processor, and whom it lets pass."""

    seconds: float
    processor: float
    passed: Mapping[str, bool]


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: seconds for all notebooks, how many times ours, and whom each lets pass."""
    rounds, count = (1, 4) if quick else (min(rounds, 3), COUNT)
    softmaxes = [one for one in attempts("right", "wrong_functions") if one.exercise == "softmax"]
    # No endless loops: nbgrader would wait for each until its own limit.
    softmaxes = [one for one in softmaxes if "time-limit" not in one.codes]
    given = softmaxes[:: len(softmaxes) // count][:count]
    judges = {OURS: _ours, "nbgrader": _nbgrader, "otter-grader": _otter}
    missing = {
        name: f"not installed: {module}"
        for name, module in {"nbgrader": "nbgrader", "otter-grader": "otter"}.items()
        if find_spec(module) is None
    }
    peers = [name for name in judges if name != OURS and name not in missing]
    runs: dict[str, list[_Run]] = {name: [] for name in (OURS, *peers)}
    before: dict[str, list[float]] = {name: [] for name in peers}
    order = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = _written(given, Path(folder) / "notebooks")
        for turn in range(rounds):
            for peer in order.sample(peers, len(peers)):
                # Theirs take minutes, in which the machine may grow busy: ours comes before each of them.
                for name in (OURS, peer):
                    work = Path(folder) / f"{name} {turn} {peer}"
                    work.mkdir()
                    runs[name].append(judges[name](paths, work))
                    print(f"{name}: {runs[name][-1].seconds:.1f} s for {count}", flush=True)
                before[peer].append(runs[OURS][-1].seconds)
    right = {path.stem: one.passes for path, one in zip(paths, given, strict=True)}
    return {
        "what": f"{count} notebooks with a softmax each, {sum(right.values())} of them right",
        "machine": machine(("sumtoone", "nbgrader", "otter-grader", "nbclient", "torch")),
        "rounds": rounds,
        "missing": missing,
        "load": os.getloadavg()[0],
        "contenders": {
            name: {
                "seconds": summary([run.seconds for run in made]),
                "processor": summary([run.processor for run in made]),
                "each": statistics.median(run.seconds for run in made) / count,
                "times": summary(
                    [run.seconds / ours for run, ours in zip(made, before[name], strict=True)]
                    if name in before
                    else [1.0]
                ),
                "wrong_passed": sum(made[-1].passed.get(stem, False) for stem, good in right.items() if not good),
                "right_refused": sum(not made[-1].passed.get(stem, False) for stem, good in right.items() if good),
            }
            for name, made in runs.items()
            if made
        },
    }


def _written(given: Sequence[Any], folder: Path) -> list[Path]:
    """Write the notebooks, with the imports on top and nbgrader's cell of tests at the end."""
    folder.mkdir()
    paths = []
    for place, attempt in enumerate(given):
        made = notebook(attempt)
        made["cells"] = [_cell(_IMPORTS, "imports"), *made["cells"], _cell(_TEST, "test", grade=True)]
        made["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        for cell_number, cell in enumerate(made["cells"]):
            cell["id"] = f"cell-{cell_number}"
        made["nbformat_minor"] = 5
        paths.append(folder / f"student{place:02d}.ipynb")
        paths[-1].write_text(json.dumps(made), encoding="utf-8")
    return paths


def _cell(source: str, name: str, grade: bool = False) -> dict[str, Any]:
    graded = {"grade": True, "grade_id": name, "locked": True, "points": 1, "schema_version": 3}
    metadata = {"nbgrader": {**graded, "solution": False, "task": False, "cell_type": "code"}} if grade else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "execution_count": None, "outputs": []}


def _ours(paths: Sequence[Path], work: Path) -> _Run:
    words = [sys.executable, "-m", "sumtoone", "check", str(paths[0].parent), "--exercise", "softmax", "--json"]
    spent, worked, done = _timed([*words, "--workers", "2"], work, {"SUMTOONE_CACHE": str(work)})
    verdicts = json.loads(done.stdout)["results"]
    return _Run(spent, worked, {Path(verdict["path"]).stem: verdict["passed"] for verdict in verdicts})


def _nbgrader(paths: Sequence[Path], work: Path) -> _Run:
    (work / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'lesson'\n")
    source = work / "source" / "softmax"
    source.mkdir(parents=True)
    shutil.copy(paths[0], source / "softmax.ipynb")
    for path in paths:
        folder = work / "submitted" / path.stem / "softmax"
        folder.mkdir(parents=True)
        shutil.copy(path, folder / "softmax.ipynb")
    command = [sys.executable, "-m", "nbgrader"]
    _timed([*command, "generate_assignment", "softmax"], work)
    spent, worked, _ = _timed([*command, "autograde", "softmax", "--ExecutePreprocessor.timeout=20"], work)
    _, _, done = _timed([sys.executable, "-c", _NBGRADER], work)
    return _Run(spent, worked, {name: score == 1 for name, score in json.loads(done.stdout).items()})


def _otter(paths: Sequence[Path], work: Path) -> _Run:
    archive = work / "autograder.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("otter_config.json", "{}")
        opened.writestr("tests/q1.py", _OTTER_TEST)
    spent, worked, done = _timed([sys.executable, "-c", _OTTER, str(archive), *map(str, paths)], work)
    scores = json.loads(done.stderr.strip().splitlines()[-1])
    return _Run(spent, worked, {name: score == 1 for name, score in scores.items()})


def _timed(
    words: Sequence[str], folder: Path, surroundings: Mapping[str, str] | None = None
) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    started, before = time.perf_counter(), sum(os.times()[2:4])
    done = subprocess.run(
        words,
        cwd=folder,
        # nbgrader calls alembic by its name.
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **(surroundings or {})},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    spent = time.perf_counter() - started
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(words[:4])}: {done.stderr[-500:]}")
    return spent, sum(os.times()[2:4]) - before, done
