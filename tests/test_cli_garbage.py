"""Words of every kind at every verb: a documented exit code, and an error that is a document, whatever was typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sumtoone import Dataset, Network, fit
from sumtoone.cli import app, main

# As the documentation of main() lists them; 70 is a defect of ours.
CODES = {0, 1, 2, 3, 4}
NAMES = (
    *(["train"], ["evaluate"], ["calibrate"], ["predict"], ["export"], ["explain"]),
    *(["data", "list"], ["data", "fetch"], ["data", "show"], []),
)

ODD = (
    "", " ", "-", "--", "---", "\x00", "a\x00b", "\ud800", "a\udcffb.csv", "\x1b[2J", "\n", "\t\r", "한글", "\u202e",
    "e\u0301" * 300, "x" * 300, "x" * 5_000, "~nosuchuser", "~nosuchuser/x", "~", ".", "..", "/", "//", "/dev/null",
    "/dev/zero", "/proc/self/mem", "*", "?", "[", "%s", "%n", "{}", "{0}", "{name}", "$HOME", "`id`", "'", '"', "\\",
    "https://example.org/x.png", "file:///etc/passwd", "nan", "inf", "-inf", "NaN", "1e400", "-1", "0", "-0", "1", "2",
    "9" * 30, "-" + "9" * 30, "9" * 5_000, "0x10", "1_000", "١٢", "½", "1.5", "1e3", "true", "None", "null", "[]",
    "784-10", "784-128-10", "2-2", "784--10", "-" * 50, "784-128x3-10", "784-99999999999-10", "softmax(x)", "a / b",
    "digits", "one", "run", "rows.csv", "en", "ko", "cpu", "cuda", "adam", "sgd", "a=64,10", "a=", "a=-1", "a=1e3",
)  # fmt: skip


def _options(verb: list[str]) -> list[str]:
    command = typer.main.get_command(app)
    for name in verb:
        command = command.commands[name]  # type: ignore[attr-defined]
    return sorted({name for one in command.params for name in one.opts if name.startswith("-")})


OPTIONS = {tuple(verb): _options(verb) for verb in NAMES}


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    verb = draw(st.sampled_from(NAMES))
    odd = st.one_of(st.sampled_from(ODD), st.text(st.characters(), max_size=12))
    words = list(verb)
    # What draws for seconds is tried once for each word below.
    options = st.sampled_from([name for name in OPTIONS[tuple(verb)] if name != "--plots"])
    for _ in range(draw(st.integers(0, 4))):
        words += draw(
            st.one_of(
                odd.map(lambda word: [word]),
                options.map(lambda name: [name]),
                st.tuples(options, odd).map(list),
                st.tuples(options, odd).map("=".join).map(lambda word: [word]),
            )
        )
    return words


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be where a small run and a table are, and where no data set is fetched and no training takes long."""
    generator = np.random.default_rng(0)
    data = Dataset.from_arrays(generator.normal(size=(40, 2)), generator.integers(0, 2, 40))
    fit(Network("2-2"), data, epochs=1, out=tmp_path / "run")
    rows = "\n".join(f"{a:.3f},{b:.3f},{'pq'[int(a > b)]}" for a, b in generator.normal(size=(40, 2)))
    (tmp_path / "rows.csv").write_text(f"a,b,label\n{rows}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SUMTOONE_OFFLINE", "1")
    monkeypatch.delenv("SUMTOONE_DATA", raising=False)
    return tmp_path


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=command_lines())
def test_whatever_is_typed_is_done_or_refused(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    main_and_look(words, capsys)


# What the rest of each line is, so that the odd word is all that is wrong with it.
WHOLE = {
    (): [],
    ("train",): ["rows.csv", "--epochs", "1"],
    ("evaluate",): ["run", "rows.csv"],
    ("calibrate",): ["run", "rows.csv"],
    ("predict",): ["run", "a.png"],
    ("export",): ["run", "--format", "pytorch"],
    ("explain",): ["a + a", "--shape", "a=2"],
    ("data", "list"): [],
    ("data", "fetch"): ["digits"],
    ("data", "show"): ["rows.csv"],
}
# One of each kind, for every option and in place of every argument.
KINDS = (
    "", "a\x00b", "\ud800", "a\udcffb", "\x1b[2J\n", "x" * 300 + ".py:N", "e\u0301" * 2_500, "~nosuchuser/x",
    "nan", "-inf", "1e400", "-1", "9" * 5_000, "/dev/null", "rows.csv/x",
)  # fmt: skip


@pytest.mark.no_cover
@pytest.mark.parametrize(("verb", "rest"), WHOLE.items(), ids=map(" ".join, WHOLE))
def test_every_option_and_argument_in_its_turn(
    place: Path, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...], rest: list[str]
) -> None:
    for word in KINDS:
        for option in OPTIONS[verb]:
            main_and_look([*verb, *rest, option, word, "--json"], capsys)
        for argument in range(len(rest)):
            main_and_look([*verb, *rest[:argument], word, *rest[argument + 1 :], "--json"], capsys)


def main_and_look(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Run the words; hold the exit code and, with ``--json``, the documents against what is promised."""
    code = main(words)
    out, err = capsys.readouterr()
    assert code in CODES, (words, err)
    assert "Traceback" not in err
    out.encode()
    err.encode()
    if "--json" in words and code not in (0,):
        document = json.loads(out.splitlines()[-1])
        assert set(document["error"]) >= {"code", "message", "expected", "got", "try"}, words
