"""The harness of the properties: the same examples every time, new ones for every seed, ready to be pasted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
PYTEST = [sys.executable, "-m", "pytest"]
FUZZ = [sys.executable, str(TESTS / "fuzz.py")]

PROPERTIES = """
from hypothesis import example, given, settings, strategies as st

def test_this_is_no_property():
    assert False

@given(st.integers())
@settings(max_examples=7)
def test_drawn(number):
    print("drew", number)

class TestFalse:
    @given(st.lists(st.integers(0, 4)), st.booleans())
    @settings(max_examples=1)
    def test_short(self, tmp_path, raw, flag):
        assert len(raw) < 3
"""


def _run(command: list[str], folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines of a pytest of its own that has this suite's conftest."""
    done = subprocess.run(
        [*command, "-s", "-q", "-p", "conftest", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def _drawn(lines: list[str]) -> list[str]:
    return [line for line in lines if "drew " in line]


def test_the_same_examples_every_time(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(PROPERTIES)
    drawn = []
    for _ in range(2):
        code, lines = _run(PYTEST, tmp_path, "-k", "drawn")
        assert code == 0
        drawn.append(_drawn(lines))
    assert len(drawn[0]) == 7
    assert drawn[0] == drawn[1]


def test_every_seed_draws_its_own_and_what_it_finds_can_be_pasted(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(PROPERTIES)
    assert _run(PYTEST, tmp_path, "-k", "short")[0] == 0  # one example is too few to find it
    code, lines = _run(FUZZ, tmp_path, "--seeds", "4", "5", "--examples", "100")
    assert code == 1
    assert lines[-1] == "2 rounds; failed with the seeds [4, 5]: what to paste stands under each failure"
    assert not any("no_property" in line for line in lines)
    second = lines.index("seed 5")
    assert len(_drawn(lines[:second])) == len(_drawn(lines[second:])) == 100
    assert _drawn(lines[:second]) != _drawn(lines[second:])

    pasted = "@example(raw=[0, 0, 0], flag=False)"
    for place, line in enumerate(lines):
        if " to paste above test_short " in line:
            assert lines[place + 1] == pasted
            assert lines[place + 2].startswith("@reproduce_failure(")
    assert lines.count(pasted) == 2
    (tmp_path / "test_some.py").write_text(
        PROPERTIES.replace("    @given(st.lists", f"    {pasted}\n    @given(st.lists")
    )
    code, lines = _run(PYTEST, tmp_path, "-k", "short")
    assert code == 1
    assert "E       assert 3 < 3" in lines


def test_nothing_begins_after_the_time(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(PROPERTIES)
    assert _run(FUZZ, tmp_path, "--seconds", "0") == (0, ["0 rounds; nothing found"])
    code, lines = _run(PYTEST, tmp_path, "--fuzz", "100", "--until", "0")
    assert (code, lines[0]) == (0, "ss")
