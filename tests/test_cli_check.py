"""``sumtoone check``: one file, folders and zips, the writers, a learner's folder, watched saves, and kill -9."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import jsonschema
import pytest

import corpus
from sumtoone.checking.exercises import find, names
from sumtoone.cli import main
from sumtoone.language import speaking

Captured = pytest.CaptureFixture[str]

WRONG = "def softmax(x):\n    return torch.exp(x) / torch.sum(torch.exp(x))\n"
RIGHT = """def softmax(x):
    e = torch.exp(x - x.max(dim=1, keepdim=True).values)
    return e / e.sum(dim=1, keepdim=True)
"""
FOREVER = "while True:\n    pass\n"
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "check.schema.json").read_text())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUMTOONE_CACHE", str(tmp_path / ".cache"))
    return tmp_path


def check(*words: object) -> int:
    return main(["check", *map(str, words)])


def document(capsys: Captured) -> dict[str, object]:
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    return found


# --- one file


def test_a_wrong_softmax_is_explained_with_its_own_line(folder: Path, capsys: Captured) -> None:
    (folder / "mine.py").write_text(WRONG)
    assert check("mine.py") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mine.py · softmax · wrong (global-sum)"
    assert lines[1].startswith(
        "  softmax divides every row by one and the same sum, that of the whole tensor: of an input"
    )
    assert lines[2] == "  line 2: return torch.exp(x) / torch.sum(torch.exp(x))"
    assert lines[3] == "  hint: How many denominators does an input with 64 rows need? Print the shape of yours."
    assert lines[4] == "  1 of 10 points"
    assert lines[-1].startswith("isolation: ")


def test_the_same_in_korean(folder: Path, capsys: Captured) -> None:
    (folder / "mine.py").write_text(WRONG)
    assert check("mine.py", "--lang", "ko") == 1
    assert capsys.readouterr().out.splitlines()[0] == "mine.py · softmax · 틀림 (global-sum)"


def test_a_right_one_passes_and_the_document_says_so(folder: Path, capsys: Captured) -> None:
    (folder / "mine.py").write_text(RIGHT)
    assert check("mine.py", "--json", "--isolation", "good") == 0
    found = document(capsys)
    assert (found["isolation"], found["counts"]) == ("good", {"correct": 1})
    (result,) = found["results"]
    assert (result["passed"], result["code"], result["notes"]) == (True, "correct", [])


def test_quiet_is_one_line_for_each(folder: Path, capsys: Captured) -> None:
    (folder / "mine.py").write_text(WRONG)
    assert check("mine.py", "-q") == 1
    assert capsys.readouterr().out == "mine.py\tsoftmax\tglobal-sum\n"


def test_two_judgements_of_one_file_are_equal(folder: Path, capsys: Captured) -> None:
    (folder / "mine.py").write_text(WRONG)
    seen = []
    for _ in range(2):
        check("mine.py", "--json")
        found = document(capsys)
        for result in found["results"]:
            result["seconds"] = 0
        seen.append(found)
    assert seen[0] == seen[1]


def test_hints_and_the_solution_come_when_they_are_asked_for(folder: Path, capsys: Captured) -> None:
    (folder / "mine.py").write_text(WRONG)
    check("mine.py")
    assert find("softmax").solution.strip() not in capsys.readouterr().out
    check("mine.py", "--hints", "2", "--solution")
    shown = capsys.readouterr().out
    assert "hint 1: " in shown
    assert "hint 2: " in shown
    assert "hint 3: " not in shown
    assert find("softmax").solution.strip() in shown


def test_a_notebook_holds_several_exercises(folder: Path, capsys: Captured) -> None:
    attempt = next(item for item in corpus.attempts("right") if item.exercise == "relu-network")
    notebook = json.loads(corpus.notebook(attempt))
    notebook["cells"].append({**notebook["cells"][-1], "source": WRONG})
    (folder / "lesson.ipynb").write_text(json.dumps(notebook))
    assert check("lesson.ipynb", "--json") == 1
    results = {result["exercise"]: result for result in document(capsys)["results"]}
    assert {name: result["code"] for name, result in results.items()} == {
        "softmax": "global-sum",
        "relu-network": "correct",
    }
    assert results["softmax"]["cell"] == sum(cell["cell_type"] == "code" for cell in notebook["cells"])


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["missing.py"], 3, "missing.py"),
        (["--exercise", "sofmax", "x.py"], 2, "did you mean"),
        (["--isolation", "total", "x.py"], 2, "one of strong, good, weak"),
        (["--list", "x.py"], 2, "--list takes no submission"),
        ([], 2, "There is no submission to judge"),
        (["x.py", "--csv", "no/such/place.csv"], 2, "--csv"),
        (["empty"], 3, "There is no submission to judge"),
    ],
)
def test_what_cannot_be_judged_is_said(folder: Path, capsys: Captured, words: list[str], code: int, text: str) -> None:
    (folder / "x.py").write_text(RIGHT)
    (folder / "empty").mkdir()
    assert check(*words) == code
    assert text.lower() in capsys.readouterr().err.lower()


# --- hundreds


def _class_of(folder: Path, count: int = 6) -> Path:
    """A folder of a class: one hangs, one crashes, one is a notebook, one is named to confuse a terminal."""
    place = folder / "class"
    place.mkdir()
    attempts = [item for item in corpus.attempts("wrong_functions") if item.exercise == "softmax"][:count]
    for number, item in enumerate(attempts):
        (place / f"student{number:02}.py").write_text(item.code)
    (place / "right.py").write_text(RIGHT)
    (place / "hangs.py").write_text(RIGHT + FOREVER)
    (place / "never.py").write_text("def softmax(x):\n    while True:\n        pass\n")
    (place / "crash.py").write_text("def softmax(x):\n    import os\n    os._exit(0)\n")
    (place / "\x1b[2J=cmd().py").write_text(WRONG)
    (place / "book.ipynb").write_text(corpus.notebook(attempts[0]))
    (place / "torch.py").write_text("raise SystemExit('shadowed')\n")
    return place


def _comparable(found: dict[str, object]) -> dict[str, object]:
    for result in found["results"]:
        result["seconds"] = 0
    return found


def test_a_folder_is_judged_whole_and_every_writer_writes(folder: Path, capsys: Captured) -> None:
    place = _class_of(folder)
    files = {
        name: folder / f"out.{name}" for name in ("csv", "junit", "gradescope", "classroom50", "ctrf", "coderunner")
    }
    files["report"] = folder / "report.html"
    options = [word for name, file in files.items() for word in (f"--{name}", file)]
    assert check(place, "--exercise", "softmax", "--seconds", "2", "--json", *options) == 1
    found = document(capsys)
    by_name = {Path(str(result["path"])).name: result["code"] for result in found["results"]}
    assert by_name["right.py"] == by_name["hangs.py"] == "correct"
    assert by_name["never.py"] == "time-limit"
    assert by_name["crash.py"] == "raises"
    assert len(by_name) == len(list(place.iterdir()))
    assert [result["path"] for result in found["results"]] == sorted(result["path"] for result in found["results"])
    for file in files.values():
        assert file.stat().st_size > 100
    assert not list((folder / ".cache" / "checks").iterdir())


def test_a_table_where_there_are_many(folder: Path, capsys: Captured) -> None:
    place = folder / "many"
    place.mkdir()
    for number in range(14):
        (place / f"{number:02}.py").write_text(RIGHT if number % 2 else WRONG)
    assert check(place) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-2:] == ["softmax", "global-sum"]
    assert "7 of 14 right" in lines


def test_a_zip_is_a_folder_and_nothing_is_unpacked(folder: Path, capsys: Captured) -> None:
    with zipfile.ZipFile(folder / "class.zip", "w") as archive:
        archive.writestr("a/mine.py", RIGHT)
        archive.writestr("../../outside.py", RIGHT)
    assert check("class.zip", "--json") == 1
    results = {result["path"]: result["code"] for result in document(capsys)["results"]}
    assert results["class.zip/a/mine.py"] == "correct"
    assert sorted(results.values()) == ["correct", "file-name"]
    assert sorted(path.name for path in folder.iterdir()) == [".cache", "class.zip"]


def test_github_is_given_annotations_and_a_summary(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    (folder / "mine.py").write_text(WRONG)
    assert check("mine.py", "--github", "-q") == 1
    annotation = capsys.readouterr().out.splitlines()[0]
    assert annotation.startswith("::error file=mine.py,title=softmax%3A global-sum,line=2::")
    assert "global\\-sum" in (folder / "summary.md").read_text()


# --- a learner's folder


def test_the_list_names_every_exercise(folder: Path, capsys: Captured) -> None:
    assert check("--list", "-q") == 0
    assert tuple(capsys.readouterr().out.split()) == names()


def test_an_exercise_is_begun_done_and_begun_again(folder: Path, capsys: Captured) -> None:
    assert check("--new", "softmax") == 0
    assert "softmax.py" in capsys.readouterr().out
    assert check("softmax.py") == 1
    assert "(template)" in capsys.readouterr().out
    (folder / "softmax.py").write_text(RIGHT)
    assert check("--status", "-q") == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["handmade-network\topen", "softmax\tdone"]
    assert check("--new", "softmax", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"written": "softmax.py", "kept": "softmax.1.py"}
    assert (folder / "softmax.1.py").read_text() == RIGHT
    assert check("--status", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["status"]
    assert next(row for row in rows if row["exercise"] == "softmax")["state"] == "begun"


# --- processes


def _begin(*words: object, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sumtoone", "check", *map(str, words)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _line_with(process: subprocess.Popen[str], words: str, seconds: float = 60) -> str:
    until = time.monotonic() + seconds
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
        assert time.monotonic() < until
    raise AssertionError(f"{words!r} never came")


@pytest.mark.measured
def test_each_save_is_judged_until_ctrl_c(folder: Path) -> None:
    (folder / "mine.py").write_text(WRONG)
    process = _begin("mine.py", "--watch", folder=folder)
    try:
        assert "global-sum" in _line_with(process, "mine.py · ")
        _line_with(process, "waiting for the next save")
        (folder / "mine.py").write_text(RIGHT)
        assert "correct" in _line_with(process, "mine.py · ")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()


@pytest.mark.no_cover
def test_a_check_that_is_killed_goes_on_and_tells_the_same(folder: Path, capsys: Captured) -> None:
    place = folder / "class"
    place.mkdir()
    for number, item in enumerate(item for item in corpus.attempts("wrong_functions")[:24]):
        (place / f"{number:02}.py").write_text(item.code)
    check(place, "--json", "--seconds", "2")
    wanted = _comparable(document(capsys))
    kills, found = 0, None
    for moment in (0.5, 1.5, 2.0, 2.4, 2.8, 3.2, 60.0):
        process = _begin(place, "--json", "--seconds", "2", folder=folder)
        try:
            out, _ = process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        found = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
        assert _comparable(found) == wanted
    assert kills
    assert found is not None


def test_nothing_is_left_behind(folder: Path, capsys: Captured) -> None:
    (folder / "mine.py").write_text(RIGHT)
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    assert check("mine.py", "-q") == 0
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before
    children = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "inside/process"], capture_output=True, check=False
    )
    assert children.stdout == b""
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    assert [path.name for path in folder.iterdir()] == ["mine.py"]


def test_both_languages_have_a_word_for_every_finding() -> None:
    for name in ("en", "ko"):
        with speaking(name):
            assert all(find(item).title for item in names())
