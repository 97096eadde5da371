"""``sumtoone export``: words, documents, default paths, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import onnxruntime
import pytest
import torch

import sumtoone as s1
import warm
from sumtoone.cli import main
from sumtoone.cli.export import default_path
from sumtoone.exporting import FORMATS, STYLES
from test_exporting import run_of

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> s1.Run:
    monkeypatch.chdir(tmp_path)
    run_of("16-8-3", image_shape=(4, 4)).save("runs/숫자 one")
    return s1.open_run("runs/숫자 one")


FOLDER = "runs/숫자 one"


def test_the_command_says_what_it_wrote_and_how_closely_it_answers(run: s1.Run, capsys: Captured) -> None:
    assert main(["export", FOLDER, "--format", "onnx"]) == 0
    content = Path("숫자-one.onnx").read_bytes()
    out, err = capsys.readouterr()
    size, difference = re.fullmatch(
        r"숫자-one\.onnx: ([\d,]+) bytes\non 256 rows its probabilities are the run's, but for (\S+) at the most\n", out
    ).groups()  # type: ignore[union-attr]
    assert (int(size.replace(",", "")), err) == (len(content), "")
    assert float(difference) <= 1e-5
    rows = torch.randint(0, 256, (9, 16), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"input": rows.numpy()})
    assert (torch.from_numpy(probabilities) - run.probabilities(rows)).abs().max() <= 1e-5


@pytest.mark.usefixtures("run")
@pytest.mark.measured
def test_another_process_writes_the_same_bytes(capsys: Captured) -> None:
    for format_, name in (("onnx", "a"), ("triton", "b"), ("pytorch", "c")):
        assert main(["export", FOLDER, "--format", format_, "--out", f"here/{name}", "-q"]) == 0
        done = warm.run(None, "export", FOLDER, "--format", format_, "--out", f"there/{name}", "--json", warn="error")
        assert done.returncode == 0
        document = json.loads(done.stdout)
        difference = document.pop("difference")
        assert 0 <= difference <= 1e-5
        files = {str(path.relative_to("there")): path for path in Path("there", name).rglob("*") if path.is_file()}
        files |= {name: Path("there", name)} if Path("there", name).is_file() else {}
        size = sum(path.stat().st_size for path in files.values())
        assert document == {"written": f"there/{name}", "format": format_, "bytes": size}
        # Beside a document, words go to standard error.
        assert done.stderr == (
            f"there/{name}: {size:,} bytes\n"
            f"on 256 rows its probabilities are the run's, but for {difference:.1g} at the most\n"
        )
        assert all(path.read_bytes() == Path("here", file).read_bytes() for file, path in files.items())
    assert capsys.readouterr() == ("here/a\nhere/b\nhere/c\n", "")


@pytest.mark.usefixtures("run")
def test_in_korean_also_the_python_file(capsys: Captured) -> None:
    assert main(["export", FOLDER, "--format", "pytorch", "--style", "functional", "--lang", "ko"]) == 0
    folder = Path("숫자-one-pytorch")
    size = sum(path.stat().st_size for path in folder.iterdir())
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{folder}: {size:,}바이트"
    assert re.fullmatch(r"256개 행에서 확률이 실행과 같습니다\. 차이는 최대 \S+입니다", second)
    words = (folder / "model.py").read_text(encoding="utf-8")
    assert f"# 숫자 one: sumtoone {s1.__version__}으로 학습한 신경망 16-8-3, 활성화 함수 relu.\n" in words
    assert '"""준비된 행 (N, 16)에서 확률 (N, 3)을 계산합니다."""' in words
    assert "F.relu(" in words


@pytest.mark.usefixtures("run")
def test_a_page_says_no_difference(capsys: Captured) -> None:
    assert main(["export", FOLDER, "--format", "html", "--json"]) == 0
    size = Path("숫자-one.html").stat().st_size
    out, err = capsys.readouterr()
    assert json.loads(out) == {"written": "숫자-one.html", "format": "html", "bytes": size, "difference": None}
    assert err == f"숫자-one.html: {size:,} bytes\n"
    # From Python, the same bytes.
    made = s1.export(s1.open_run(FOLDER), "made.html", "html")
    assert made.read_bytes() == Path("숫자-one.html").read_bytes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits-20260101-120000", "digits-20260101-120000.onnx"),
        ("v1.2_final", "v1.2_final.onnx"),
        ("고양이", "고양이.onnx"),
        ("../a/b c", "a-b-c.onnx"),
        ("-rf", "rf.onnx"),
        (".hidden", "hidden.onnx"),
        ("..", "run.onnx"),
        ("", "run.onnx"),
        ("\x1b[2J\x00\udc80", "2J.onnx"),
        ("한" * 300, "한" * 60 + ".onnx"),
    ],
)
def test_the_default_path_is_the_name_in_letters_that_every_system_takes(name: str, expected: str) -> None:
    assert str(default_path(name, "onnx")) == expected


def test_every_format_has_a_default_path_of_its_own() -> None:
    assert {str(default_path("a", format_)) for format_ in FORMATS} == {
        "a.onnx",
        "a-triton",
        "a.html",
        "a-pytorch",
    }


def test_the_help_names_every_format_and_style(capsys: Captured) -> None:
    assert main(["export", "--help"]) == 0
    words = capsys.readouterr().out
    assert "|".join(FORMATS) in words
    assert "|".join(STYLES) in words


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["--format", "onyx"],
            2,
            "sumtoone: --format cannot be this [choice]\n"
            "  expected: one of onnx, triton, html, pytorch\n"
            "  got: 'onyx'\n"
            "  try: did you mean onnx?\n",
        ),
        (
            ["--format", "pytorch", "--style", "klass"],
            2,
            "sumtoone: --style cannot be this [choice]\n"
            "  expected: one of class, functional\n"
            "  got: 'klass'\n"
            "  try: did you mean class?\n",
        ),
        (
            ["--format", "html", "--style", "class"],
            2,
            "sumtoone: Only a Python file has a style [export-style]\n"
            "  expected: style with the format pytorch\n"
            "  got: style class with the format html\n"
            "  try: leave the style out, or choose the format pytorch\n",
        ),
        (
            ["--format", "onnx", "--out", "runs"],
            2,
            "sumtoone: There is something at this path already; it is not overwritten [export-exists]\n"
            "  expected: a path where nothing is\n"
            "  got: runs\n"
            "  try: another --out, or remove what is there\n",
        ),
        (
            [],
            2,
            "sumtoone: --format needs a value [argument-missing]\n"
            "  expected: a value for --format\n"
            "  got: none\n"
            "  try: see 'sumtoone export --help'\n",
        ),
    ],
)
@pytest.mark.usefixtures("run")
def test_what_is_refused(capsys: Captured, words: list[str], code: int, message: str) -> None:
    assert main(["export", FOLDER, *words]) == code
    assert capsys.readouterr() == ("", message)
    assert [path.name for path in Path().iterdir()] == ["runs"]


def test_a_module_of_ones_own_is_refused_without_asking_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    run_of(network=torch.nn.Sequential(torch.nn.Linear(4, 3))).save("run")
    for format_ in FORMATS:
        assert main(["export", "run", "--format", format_]) == 3
        assert capsys.readouterr() == (
            "",
            "sumtoone: Only a Network can be exported; this run trained a module of your own, whose operations may be "
            "any [export-module]\n"
            "  expected: a run whose network is a Network\n"
            "  got: Sequential\n"
            "  try: if it is linear layers with one activation between them: "
            "dataclasses.replace(run, network=Network.from_module(module, rows))\n",
        )
    assert main(["export", "none", "--format", "onnx"]) == 3
    assert capsys.readouterr().err.startswith("sumtoone: There is no run here [run-missing]\n")
