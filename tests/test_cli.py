"""The command line as a whole: help, usage errors, languages, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import warm
from sumtoone import __version__
from sumtoone.cli import main
from sumtoone.language import entries, speaking, text

VERBS = ["train", "evaluate", "calibrate", "predict", "explain", "data list", "data fetch", "data show"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sumtoone {__version__}\n"


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("verb", ["", "data", *VERBS])
def test_help_is_in_the_language_asked_for(verb: str, language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help", "--lang", language]) == 0 or main([*verb.split(), "--help"]) == 0
    capsys.readouterr()
    main(["--lang", language, *verb.split(), "--help"])
    shown = capsys.readouterr().out
    texts = entries(language)
    assert texts["cli.common.usage"] in shown
    assert texts["cli.common.options"] in shown
    words = texts["cli." + ".".join([*verb.split(), "help"])]
    assert " ".join(words.split()) in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    placeholders = ["[OPTIONS]", "COMMAND", "[ARGS]", "<int>", "<float>", "<str>"]
    assert language == "en" or not [word for word in placeholders if word in shown]
    assert not re.search(r"<(list|int range|float range)", shown)
    # No help text is left as its key.
    assert "cli." not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--epoch", "3"],
            "There is no such verb or option [word-unknown]\n"
            "  expected: one of those that 'sumtoone train --help' lists\n"
            "  got: --epoch\n"
            "  try: did you mean --epochs?",
        ),
        (
            ["trian"],
            "There is no such verb or option [word-unknown]\n"
            "  expected: one of those that 'sumtoone --help' lists\n"
            "  got: trian\n"
            "  try: did you mean train?",
        ),
        (
            ["data", "lst"],
            "There is no such verb or option [word-unknown]\n"
            "  expected: one of those that 'sumtoone data --help' lists\n"
            "  got: lst\n"
            "  try: did you mean list?",
        ),
        (
            ["evaluate"],
            "RUN needs a value [argument-missing]\n"
            "  expected: a value for RUN\n"
            "  got: none\n"
            "  try: see 'sumtoone evaluate --help'",
        ),
        (
            ["train", "--epochs", "many"],
            "--epochs cannot have this value [argument-value]\n"
            "  expected: a whole number\n"
            "  got: many\n"
            "  try: see 'sumtoone train --help'",
        ),
        (
            ["train", "digits", "more"],
            "There are more arguments than the command takes [argument-extra]\n"
            "  expected: arguments as 'sumtoone train --help' lists them\n"
            "  got: more besides\n"
            "  try: take more away",
        ),
        (
            ["train", "--epochs"],
            "--epochs needs a value [argument-missing]\n"
            "  expected: a value for --epochs\n"
            "  got: none\n"
            "  try: see 'sumtoone train --help'",
        ),
        (
            ["train", "--lang", "fr"],
            "--lang cannot be this [choice]\n  expected: one of en, ko\n  got: 'fr'\n  try: choose one of en, ko",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_exits_2_with_what_to_do(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"sumtoone: {message}\n")


def test_usage_errors_speak_korean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epoch", "3", "--lang", "ko"]) == 2
    assert capsys.readouterr().err == (
        "sumtoone: 그런 명령이나 옵션은 없습니다 [word-unknown]\n"
        "  기대한 것: 'sumtoone train --help'에 나오는 것 가운데 하나\n"
        "  받은 것: --epoch\n"
        "  해 볼 것: 혹시 --epochs를 뜻하셨나요?\n"
    )
    assert main(["--lang=ko", "evaluate"]) == 2
    assert capsys.readouterr().err.startswith("sumtoone: RUN에는 값이 필요합니다 [argument-missing]\n")


def test_no_verb_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr()
    assert "Usage: sumtoone" in shown.out + shown.err


def test_errors_are_documents_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "nowhere", "--json"]) == 3
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {
        "error": {
            "code": "run-missing",
            "message": "There is no run here",
            "expected": "a folder with run.json in it",
            "got": "nowhere",
            "try": "name the folder that 'sumtoone train' printed",
        }
    }
    assert shown.err.startswith("sumtoone: There is no run here [run-missing]\n")


@pytest.mark.measured
def test_a_reader_that_leaves_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m sumtoone data list --json --quiet | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_a_reader_that_takes_one_line_is_no_error(tmp_path: Path) -> None:
    for words in ("evaluate --help", "data list", "data show digits", "explain 'a / b' --shape a=64,10 --shape b=64,1"):
        done = subprocess.run(
            ["bash", "-c", f"{sys.executable} -m sumtoone {words} | head -1 > /dev/null; exit ${{PIPESTATUS[0]}}"],
            capture_output=True,
            cwd=tmp_path,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_list_of_data_sets_fits_a_narrow_terminal(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    from rich.cells import cell_len

    for language in ("en", "ko"):
        for columns in (50, 80):
            monkeypatch.setenv("COLUMNS", str(columns))
            assert main(["data", "list", "--lang", language]) == 0
            shown = capsys.readouterr().out
            assert all(cell_len(line) <= columns for line in shown.splitlines())
            assert "…" not in shown
            for word in entries(language)["source.about-digits"].split():
                assert word in shown


def test_an_output_without_korean_letters_is_no_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sumtoone", "--help", "--lang", "ko"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["-h"], ["--help"]),
        (["help"], ["--help"]),
        (["train", "-h"], ["train", "--help"]),
        (["help", "train"], ["train", "--help"]),
        (["data", "show", "-h"], ["data", "show", "--help"]),
        (["-V"], ["--version"]),
        (["version"], ["--version"]),
    ],
)
def test_what_people_type_for_help(words: list[str], meant: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    found = capsys.readouterr()
    assert main(meant) == 0
    assert found == capsys.readouterr()


@pytest.mark.parametrize(
    "words",
    [
        ["train", "digits", "--label", "kind"],
        ["train", "pixels.npz", "--label", "kind"],
        ["data", "show", "digits", "--label", "kind"],
    ],
)
def test_a_label_where_there_are_no_columns(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "Only a table has a column of labels to choose [label-useless]" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_encoding_of_the_output_ends_a_command(tmp_path: Path, encoding: str, language: str) -> None:
    (tmp_path / "표 é.csv").write_text("a,종\n" + "".join(f"{n},{'가나é'[n % 3]}\n" for n in range(30)))
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for words in (
        ["train", "표 é.csv", "--label", "종", "--epochs", "2", "--test", "--out", "실행"],
        ["evaluate", "실행"],
        ["evaluate", "실행", "--json"],
        ["data", "show", "표 é.csv", "--label", "종"],
        ["data", "list"],
        ["data", "show", "표 é.csv"],
        ["train", "--help"],
        ["explain", "a / b", "--shape", "a=64,10", "--shape", "b=64"],
    ):
        # Some as a user begins them; those that load PyTorch where it is loaded already.
        begun = words[-1] in ("list", "--help")
        command = [sys.executable, "-m", "sumtoone", *words, "--lang", language]
        done = (
            subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
            if begun
            else warm.run(None, *words, "--lang", language, cwd=tmp_path, env=environment, encoding=None)
        )
        code = 1 if words[0] == "explain" else 3 if words[-1] == "표 é.csv" else 0
        assert done.returncode == code, (words, done.stderr)
        assert b"Traceback" not in done.stderr
        done.stdout.decode(encoding)
        done.stderr.decode(encoding)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("columns", [52, 80])
@pytest.mark.parametrize(
    "verb", ["", "train", "evaluate", "calibrate", "predict", "explain", "data", "data list", "data show"]
)
def test_help_fits_its_terminal(
    verb: str, columns: int, language: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([*verb.split(), "--help", *(["--lang", language] if verb != "data" else [])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(cell_len(line) <= columns for line in lines), [line for line in lines if cell_len(line) > columns]


def test_lines_break_between_words_in_a_narrow_terminal(tmp_path: Path) -> None:
    from rich.cells import cell_len

    for words in (["train", "--network", "784-0-10"], ["train", "digits", "--label", "a"], ["train", "--lr", "-1"]):
        for language in ("en", "ko"):
            shown = in_terminal([*words, "--lang", language], 50, tmp_path)
            # What is said at once, where somebody waits.
            with speaking(language):
                shown = shown.removeprefix(text("cli.train.begin"))
            lines = shown.splitlines()
            assert all(cell_len(line) <= 50 or " " not in line.strip() for line in lines), lines
            # Nothing but where lines break is changed.
            plain = warm.run(None, *words, "--lang", language, cwd=tmp_path)
            assert shown.split() == (plain.stdout + plain.stderr).split()


def in_terminal(words: list[str], columns: int, folder: Path) -> str:
    """What a command shows in a terminal of so many columns."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}

    def command() -> None:
        try:
            warm.run(None, *words, env=environment, cwd=folder, terminal=theirs)
        finally:
            os.close(theirs)

    running = threading.Thread(target=command)
    running.start()
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    running.join()
    return shown.decode()


def test_a_defect_is_told_in_a_line_and_its_traceback_for_those_who_ask(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("sumtoone.shapes.explain", broken)
    words = ["explain", "a + b", "--shape", "a=2", "--shape", "b=2"]
    assert main(words) == 70
    where = f"{Path(__file__).name}:{broken.__code__.co_firstlineno + 1}"
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "of ours" in said
    assert where in said
    monkeypatch.setenv("SUMTOONE_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(words)
