"""What the judges are given: the attempts of the tests' corpus, and submissions that mean harm."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sumtoone.checking.sources import Found, gather

_TESTS = Path(__file__).parent.parent / "tests"

# One for each way to hold the judge up: loops in Python and in C, memory by lists and by tensors, processes, output.
HOSTILE = {
    "a loop at import": "while True:\n    pass\n",
    "a loop in the function": "def softmax(x):\n    while True:\n        pass\n",
    "a loop in C": "def softmax(x):\n    return sum(iter(int, 1))\n",
    "sleep at import": "import time\ntime.sleep(10 ** 6)\n",
    "a list that grows": "kept = []\nwhile True:\n    kept.append('x' * 10_000_000)\n",
    "tensors that pile up": "kept = []\nwhile True:\n    kept.append(torch.ones(10_000_000))\n",
    "processes": "import os\nwhile True:\n    os.fork()\n",
    "output": "while True:\n    print('x' * 100_000)\n",
}


def attempts(*files: str) -> list[Any]:
    """Return the corpus's attempts: each has `code`, `exercise`, `title`, `codes` and `passes`."""
    return [attempt for file in files for attempt in _corpus().attempts(file)]


def notebook(attempt: Any) -> dict[str, Any]:
    """Return an attempt as a notebook."""
    import json

    made: dict[str, Any] = json.loads(_corpus().notebook(attempt))
    return made


def honest(count: int) -> list[str]:
    """Return right and wrong attempts of all exercises, evenly chosen, over again if there are too few."""
    codes = [attempt.code for attempt in attempts("right", "wrong_functions", "wrong_networks", "wrong_scripts")]
    return [codes[place * len(codes) // count % len(codes)] for place in range(count)]


def hostile(count: int) -> list[str]:
    """Return submissions that mean harm, each way as often as the others; no two are the same."""
    ways = list(HOSTILE.values())
    return [f"{ways[place % len(ways)]}# {place}\n" for place in range(count)]


def written(codes: Sequence[str], folder: Path) -> list[Found]:
    """Write submissions into a folder, and return them as the judge finds them."""
    for place, code in enumerate(codes):
        (folder / f"attempt-{place:04d}.py").write_text(code, encoding="utf-8")
    return gather([folder])


def _corpus() -> Any:
    if str(_TESTS) not in sys.path:
        sys.path.append(str(_TESTS))
    return import_module("corpus")
