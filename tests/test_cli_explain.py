"""``sumtoone explain`` prints what :func:`sumtoone.explain` returns and exits by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sumtoone.cli import main
from sumtoone.language import speaking
from sumtoone.language.display import printable
from sumtoone.shapes import explain


def test_what_works_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "a / b", "--shape", "a=64,10", "--shape", "b=64,1"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (f"{explain('a / b', a=(64, 10), b=(64, 1))}\n", "")


def test_what_fails_exits_1_in_the_language_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "a / b", "--shape", "a=64,10", "--shape", "b=64", "--lang", "ko"]) == 1
    shown = capsys.readouterr()
    with speaking("ko"):
        expected = explain("a / b", a=(64, 10), b=(64,))
    assert "브로드캐스팅되지 않습니다" in expected.text
    assert (shown.out, shown.err) == (f"{expected}\n", "")


@pytest.mark.parametrize(
    ("written", "shape"),
    [
        ("=", ()),
        ("=()", ()),
        ("=64", (64,)),
        ("=64,", (64,)),
        ("=(64,)", (64,)),
        ("=(64, 10)", (64, 10)),
        ("=[0, 1]", (0, 1)),
        (" = 2 , 3 ", (2, 3)),
    ],
)
def test_shapes_are_read(written: str, shape: tuple[int, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "c", "--shape", f"c{written}", "--json", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == explain("c", c=shape).to_json()
    assert shown.err == ""


@pytest.mark.parametrize(
    "written",
    ["64,10", "a", "a=64x", "a=64,,10", "a=-1", "a=(64", "a=64)", "=64", "a b=64", "a=٣", "a=" + "9" * 10, "a=\x1b[1m"],
)
def test_what_is_no_shape_exits_2(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "a", "--shape", written]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "sumtoone: This is no shape [explain-shape-text]\n"
        "  expected: a name, '=' and sizes joined by commas\n"
        f"  got: {written.replace(chr(27), chr(92) + 'x1b')}\n"
        "  try: --shape a=64,10; --shape b=64 for a vector, --shape c= for a tensor without axes\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["a +", "--shape", "a=2"], "explain-syntax"),
        (["a.data", "--shape", "a=2"], "explain-piece"),
        (["a"], "explain-shape-missing"),
        (["a", "--shape", "a=2", "--shape", "b=2"], "explain-shape-unused"),
        (["a", "--shape", "a=2", "--shape", "a=2"], "explain-shape-twice"),
        (["a", "--shape", "torch=2"], "several"),
        ([], "argument-missing"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments, "--json"]) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["code"] == code
    assert shown.err.startswith("sumtoone: ")


def test_an_expression_may_begin_with_a_minus(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["-torch.log(p).sum(dim=1)", "--shape", "p=64,10"],
        ["--shape", "p=64,10", "-torch.log(p).sum(dim=1)"],
    ):
        assert main(["explain", *words, "-q"]) == 0
        assert capsys.readouterr().out == "(64,)\n"
    assert main(["explain", "-q", "--shape", "p=64,10", "--", "-p"]) == 0
    assert capsys.readouterr().out == "(64, 10)\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_lines_of_a_file_are_explained(encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lesson = tmp_path / "softmax.py"
    lesson.write_bytes("import torch\n\n# 소프트맥스\ne = torch.exp(x)\np = e / e.sum(dim=1)\n".encode(encoding))
    assert main(["explain", str(lesson), "--shape", "x=64,10"]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (f"{explain('e = torch.exp(x); p = e / e.sum(dim=1)', x=(64, 10))}\n", "")
    assert "    p = e / e.sum(dim=1, keepdim=True)" in shown.out


def test_a_file_that_is_too_long_is_told_so_wherever_it_is_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for before in ("", "a", "ab"):
        (tmp_path / "a.py").write_text(before + "가" * 50_000)
        assert main(["explain", str(tmp_path / "a.py")]) == 2
        assert "[explain-limit]" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff"])
def test_a_file_that_cannot_be_read_exits_2(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.py"
    if content is not None:
        path.write_bytes(content)
    assert main(["explain", str(path)]) == 2
    assert capsys.readouterr().err == (
        "sumtoone: The file could not be read [explain-file]\n"
        "  expected: a file of Python's lines, in UTF-8\n"
        f"  got: {printable(path, 60)}\n"
        "  try: check the path, or write the lines in quotes\n"
    )


def test_the_answer_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sumtoone.cli import main; assert main(['explain', 'a', '--shape', 'a=2']) == 0;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'sklearn', 'rich')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{explain('a', a=(2,))}\n")
