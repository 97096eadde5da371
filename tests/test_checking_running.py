"""Submissions one by one and side by side: places in notebooks, what is left undone, what ends early, what is seen."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

import sumtoone as s1
import warm
from sumtoone.checking import Verdict
from sumtoone.checking.confinement import Nursery
from sumtoone.checking.journal import Journal
from sumtoone.checking.judging.replies import Checked
from sumtoone.checking.performing import Performer
from sumtoone.checking.running import Settings, judge_all, judged, key
from sumtoone.checking.sources import from_text, gather, read
from sumtoone.checking.subject import Stopped
from sumtoone.checking.trace import Trace, layers
from sumtoone.cli import main
from sumtoone.cli.common import Voice
from sumtoone.cli.verdicts import progress, results

RIGHT = "def softmax(x):\n    e = torch.exp(x - x.max())\n    return e / e.sum(dim=1, keepdim=True)\n"
SIGMOID = """class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 256)
        self.output = nn.Linear(256, 10)

    def forward(self, x):
        return F.softmax(self.output(torch.sigmoid(self.hidden(x))), dim=1)
"""
RELU = """class MyNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return F.softmax(self.fc3(x), dim=1)
"""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(limits=Settings(seconds=4).limits) as opened:
        yield opened


def notebook(folder: Path, *cells: str) -> Path:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    path = folder / "lesson.ipynb"
    nbformat.write(made, path)
    return path


def verdicts_of(nursery: Nursery, path: Path, exercise: str | None = None) -> dict[str | None, Verdict]:
    found = judged(nursery, read(gather([path])[0]), Settings(exercise, seconds=4))
    return {verdict.exercise: verdict for verdict in found}


def shown_line(verdict: Verdict, capsys: pytest.CaptureFixture[str]) -> str:
    results(Voice(json=False, quiet=False), [verdict], "good", {}, hints=0, solution=False)
    return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  cell "))


# --- places


def test_a_finding_has_the_number_of_the_notebooks_own_cell_and_its_line(
    nursery: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Cells that hold no code, or no Python, do not move the numbers behind them; nor does what a learner writes.
    wrong = "x = 1\n# cell 9\ndef softmax(x):\n    return torch.exp(x)\n"
    path = notebook(tmp_path, "%matplotlib inline", "", "print('hello'", "import torch", wrong)
    verdict = verdicts_of(nursery, path)["softmax"]
    assert (verdict.code, verdict.finding.cell, verdict.line) == ("not-normalised", 5, 4)
    assert verdict.source.split("\n")[(verdict.finding.row or 0) - 1] == "    return torch.exp(x)"
    assert shown_line(verdict, capsys) == "  cell 5, line 4: return torch.exp(x)"


def test_a_cell_that_is_no_python_is_named_by_its_own_number(
    nursery: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = notebook(tmp_path, "", "%time", "import torch", "def softmax(x):\n    return torch.exp(x\n", "y = 2")
    verdict = verdicts_of(nursery, path)["softmax"]
    assert (verdict.code, verdict.finding.cell) == ("syntax-error", 4)
    assert shown_line(verdict, capsys).startswith("  cell 4, line 2: return torch.exp(x")


def test_an_error_on_the_way_has_the_line_that_raised(nursery: Nursery, tmp_path: Path) -> None:
    path = notebook(tmp_path, "", "import torch", "def softmax(x):\n    y = x.exp()\n    return y / y.suma(dim=1)\n")
    verdict = verdicts_of(nursery, path)["softmax"]
    assert (verdict.code, verdict.finding.cell, verdict.line) == ("raises", 3, 3)


# --- what is left undone beside what is done


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        (RELU, "correct"),
        (RELU.replace("return F.softmax(self.fc3(x), dim=1)", "return F.softmax(self.fc3(x) dim=1)"), "syntax-error"),
        (RELU.replace("class MyNetwork(nn.Module)", "class MyNetwork(nn.Modulo)"), "raises"),
    ],
)
def test_a_broken_class_has_a_row_beside_a_right_one(nursery: Nursery, tmp_path: Path, cell: str, code: str) -> None:
    path = notebook(tmp_path, "from torch import nn", SIGMOID, "dataiter = iter(trainloader)\ndataiter.next()", cell)
    found = verdicts_of(nursery, path)
    assert {name: verdict.code for name, verdict in found.items()} == {
        "sigmoid-network": "correct",
        "relu-network": code,
    }
    if code == "raises":
        assert "no attribute 'Modulo'" in found["relu-network"].text
        assert found["relu-network"].finding.cell == 4


def test_a_function_that_hangs_on_large_numbers_alone_is_told_so(nursery: Nursery) -> None:
    source = RIGHT.replace("    e =", "    while x.max() > 300: pass\n    e =")
    (verdict,) = judged(nursery, from_text(source), Settings("softmax", seconds=4))
    assert verdict.code == "time-limit"
    assert "large numbers" in verdict.text


def test_another_dim_is_tried_of_an_object_too() -> None:
    def softmax(x: torch.Tensor, dim: int = 1) -> torch.Tensor:
        return torch.softmax(x, 1)

    assert s1.check(softmax, "stable-softmax").code in ("correct", "wrong-axis")
    assert s1.check(lambda x, dim=1: torch.softmax(x, dim), "stable-softmax").code == "correct"


# --- the end of a check


def test_what_was_cut_short_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "0.py").write_text(RIGHT)
    (tmp_path / "1.py").write_text("def softmax(x):\n    while True: pass\n")
    kept: list[str] = []
    running = judge_all(
        gather([tmp_path]), Settings("softmax", seconds=30, workers=2), None, lambda one, _: kept.append(one.path)
    )
    next(running)
    started = time.monotonic()
    running.close()
    assert time.monotonic() - started < 10
    time.sleep(0.5)
    assert [Path(path).name for path in kept] == ["0.py"]


@pytest.mark.no_cover
def test_ctrl_c_ends_a_check_at_once(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.py").write_text("import time\ntime.sleep(60)\n" + RIGHT)
    command = [sys.executable, "-m", "sumtoone", "check", str(tmp_path), "--seconds", "120", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(6)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert process.wait(30) == 130
        assert time.monotonic() - started < 12
    finally:
        process.kill()
        process.communicate()


def test_a_nursery_that_was_ended_says_so(tmp_path: Path) -> None:
    nursery = Nursery("good")
    with nursery:
        nursery.abandon()
        with pytest.raises(s1.UnavailableError, match="it was ended"), nursery.open(tmp_path / "x.py"):
            pass


def test_a_python_that_is_not_there_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(s1.UnavailableError) as caught, Nursery("good"):
        pass
    assert caught.value.code == "check-nursery"


@pytest.mark.parametrize(("platform", "isolation"), [("darwin", None), ("win32", None)])
def test_other_systems_are_refused_below_good(
    monkeypatch: pytest.MonkeyPatch, platform: str, isolation: str | None
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(s1.UnavailableError) as caught:
        Nursery(isolation)
    assert caught.value.code == "check-isolation"


def test_a_journal_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "checks").write_text("a file where the folder should be")
    with pytest.raises(s1.DataError) as caught:
        Journal("x", tmp_path)
    assert caught.value.code == "check-journal"


# --- the performer of a confined process, as coverage can see it


def test_alone_in_a_process_nothing_of_the_package_is_found() -> None:
    program = f"""
import json, sys
import numpy as np
from sumtoone.checking import performing
performing.prepare()
performer = performing.Performer(alone=True)
cells = ['import sumtoone.helper as helper\\nhelper.imshow(images[0])', 'import sumtoone; sumtoone.softmax',
         'import matplotlib.pyplot as plt\\nfig, (a, b) = plt.subplots(1, 2)\\na.imshow(1)',
         'from torchvision import datasets, transforms\\nprint(len(datasets.MNIST("x")))',
         {RIGHT!r}, 'draw = torch.rand(2)']
run = {{"do": "run", "cells": [{{"number": n, "source": c}} for n, c in enumerate(cells, 1)], "seconds": 5}}
arrays = [np.zeros((64, 1, 28, 28), np.float32), np.zeros(64, np.int64)]
reply, _ = performer.answer(run, arrays)
print(json.dumps([(e["cell"], e["error"]) for e in reply["errors"]]))
names = [e["name"] for e in reply["defined"]]
print("softmax" in names, sorted(m for m in sys.modules if m.startswith("sumtoone")))
key = next(e["key"] for e in reply["defined"] if e["name"] == "draw")
print(performer.answer({{"do": "value", "key": key}}, [])[1][0].tolist())
print(performer.answer({{"do": "nothing"}}, [])[0]["error"]["error"])
"""
    done = warm.run(program, warn="ignore")
    lines = done.stdout.splitlines()
    assert lines[-4] == '[[2, "AttributeError"]]', done.stdout + done.stderr
    assert lines[-3] == "True ['sumtoone', 'sumtoone.helper']"
    torch.manual_seed(0)
    assert lines[-2] == str(torch.rand(2).tolist())
    assert lines[-1] == "AttributeError"


class _Once:
    """A subject that gives one answer."""

    printed = "words"

    def __init__(self, reply: dict[str, object], arrays: list[np.ndarray]) -> None:
        self.reply, self.arrays = reply, arrays

    def ask(self, request: object, arrays: object = ()) -> tuple[dict[str, object], list[np.ndarray]]:
        return self.reply, self.arrays


@pytest.mark.parametrize(
    ("do", "reply", "arrays"),
    [
        ("value", {"type": "x", "shape": None, "tensor": True, "none": False}, [np.zeros(2, complex)]),
        ("value", {"type": "x", "shape": None, "tensor": 1, "none": False}, []),
        ("run", {"errors": [], "defined": [{}] * 5_001, "warnings": []}, []),
        ("run", {"errors": [], "defined": [{"key": 1}], "warnings": []}, []),
        ("build", {"key": 0, "module": True}, []),
        ("build", {"key": 0, "module": True, "parameters": [["w", [-1]]], "linear": []}, []),
        ("forward", {"error": {"error": "X"}}, []),
        (
            "value",
            {"error": {"error": "X" * 99, "kinds": [], "message": "", "number": None, "line": None, "cell": None}},
            [],
        ),
    ],
)
def test_answers_of_another_form_stop_a_submission(do: str, reply: dict[str, object], arrays: list[np.ndarray]) -> None:
    checked = Checked(_Once(reply, arrays))
    assert checked.printed == "words"
    with pytest.raises(Stopped, match="forbidden"):
        checked.ask({"do": do})


# --- zips and folders that are damaged


def _zip(path: Path, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a.py", RIGHT * 20)
    return path.read_bytes()


@pytest.mark.parametrize("change", ["checksum", "data", "method"])
def test_a_damaged_member_is_a_row_that_says_so(tmp_path: Path, change: str) -> None:
    path = tmp_path / "class.zip"
    content = bytearray(_zip(path, zipfile.ZIP_BZIP2 if change == "method" else zipfile.ZIP_DEFLATED))
    central = content.rindex(b"PK\x01\x02")
    if change == "checksum":
        content[central + 16] ^= 1
    elif change == "data":
        content[40:60] = bytes(range(200, 220))
    path.write_bytes(content)
    (found,) = gather([path])
    problem = read(found).problem
    assert problem is not None
    assert problem.code == "file-damaged"


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\x05\x06" + bytes(8) + struct.pack("<LLH", 1 << 30, 0, 0), b"x" * 99]
)
def test_what_is_no_zip_is_an_error_where_it_was_named_and_a_row_in_a_folder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "class.zip").write_bytes(content)
    with pytest.raises(s1.DataError) as caught:
        gather([tmp_path / "class.zip"])
    assert caught.value.code == "check-archive"
    (row,) = gather([tmp_path])
    assert row.problem is not None
    assert row.problem.code == "file-damaged"


def test_hints_and_words_of_the_whole_check_in_korean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text("def softmax(x):\n    return torch.exp(x)\n")
    assert main(["check", str(tmp_path), "--hints", "1", "--solution", "--lang", "ko"]) == 1
    shown = capsys.readouterr().out
    assert "힌트 1" in shown
    assert "# softmax.py" in shown


def test_a_bar_is_drawn_where_somebody_sits_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with progress(Voice(json=False, quiet=False), 2) as advance:
        advance()
        advance()
    capsys.readouterr()


def test_a_check_goes_on_where_another_was_cut_short(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUMTOONE_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "class"
    place.mkdir()
    for number in range(3):
        (place / f"{number}.py").write_text(f"# {number}\n{RIGHT}")
    asked = repr([str(place), "softmax", None, 10.0])
    with Journal(asked, tmp_path / "cache") as journal:
        for found in gather([place])[:2]:
            submission = read(found)
            with Nursery() as nursery:
                journal.add(key(submission), judged(nursery, submission, Settings("softmax")))
    assert main(["check", str(place), "--exercise", "softmax"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "going on: 2 of 3 were judged before"
    assert "3 of 3 right" in shown


# --- what is said of values


class _Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def _raises(x: torch.Tensor) -> None:
    raise _Wordless


@pytest.mark.parametrize(
    ("function", "reply", "numbers"),
    [
        (lambda x: x.bfloat16(), {"shape": [2, 2], "dtype": "float32"}, 4),
        (lambda x: x + 1j, {"type": "a tensor of complex numbers", "tensor": False}, None),
        (lambda x: [x[0], x[1]], {"shape": [2, 2], "tensor": False}, 4),
        (lambda x: ["a"], {"type": "list", "shape": None}, None),
        (lambda x: x.expand(600, 1_000, 2, 2), {"shape": [600, 1_000, 2, 2]}, None),
        (lambda x: np.array(["a"]), {"shape": [1], "tensor": False}, 1),
        (_raises, {"error": {"error": "_Wordless", "message": ""}}, None),
        (print, {"none": True}, None),
    ],
)
def test_whatever_a_function_returns_is_told(function: object, reply: dict[str, object], numbers: int | None) -> None:
    performer = Performer()
    performer.bind("f", function)
    told, sent = performer.answer({"do": "call", "key": 0}, [np.ones((2, 2), np.float32)])
    if told["error"]:
        assert {name: told["error"][name] for name in ("error", "message")} == reply["error"]
    else:
        assert {name: told[name] for name in reply} == reply
    assert [array.size for array in sent] == ([] if numbers is None else [numbers])


def test_values_beyond_counting_are_not_kept() -> None:
    performer = Performer()
    for number in range(2_005):
        performer.bind(f"x{number}", number)
    assert len(performer._values) == 2_000


@pytest.mark.parametrize(
    "product",
    [
        lambda x, w: x @ w,
        lambda x, w: (w.T @ x.T).T,
        lambda x, w: torch.stack([w.T @ row for row in x]),
        lambda x, w: torch.stack([torch.addmv(torch.zeros(3), w.T, row) for row in x]),
        lambda x, w: torch.einsum("nd,dh->nh", x, w),
        lambda x, w: torch.bmm(x[None], w[None])[0],
    ],
)
def test_a_product_is_a_layer_however_it_is_written(product: Callable[..., torch.Tensor]) -> None:
    x, w = torch.rand(20, 5), torch.rand(5, 3)
    trace = Trace(lambda _: False)
    trace.follow(x)
    with trace:
        output = product(x, w)
    (layer,) = layers(trace.leading_to(output))
    assert torch.equal(layer.inputs, x)
    assert torch.equal(layer.weight, w)


def test_a_trace_ends_where_its_memory_does() -> None:
    trace = Trace(lambda _: False)
    x = torch.zeros(1 << 20)
    trace.follow(x)
    with trace:
        for _ in range(100):
            x = x + 1
    assert len(trace.steps) <= 1 + (1 << 27) // (1 << 22)


def test_a_network_without_a_class_or_layers_in_its_text_goes_where_its_layers_lead(
    nursery: Nursery, tmp_path: Path
) -> None:
    source = "sizes = [784, 128, 64, 10]\nparts = []\n"
    source += "for a, b in zip(sizes, sizes[1:]):\n    parts += [nn.Linear(a, b), nn.ReLU()]\n"
    (tmp_path / "mine.py").write_text(source + "model = nn.Sequential(*parts[:-1], nn.Softmax(dim=1))\n")
    found = verdicts_of(nursery, tmp_path / "mine.py")
    assert {name: verdict.code for name, verdict in found.items()} == {"relu-network": "correct"}
