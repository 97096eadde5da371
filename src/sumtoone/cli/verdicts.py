"""What ``sumtoone check`` shows: exercises, verdicts one by one or as a table, the folder of a learner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sumtoone.errors import UsageError
from sumtoone.language import text
from sumtoone.language.display import printable
from sumtoone.language.lines import aligned, cut, padded
from sumtoone.specification import not_among

if TYPE_CHECKING:
    from sumtoone.checking.running import Settings
    from sumtoone.checking.verdict import Finding, Verdict
    from sumtoone.cli.common import Voice

_GREEN, _RED, _BOLD = "32", "31", "1"
# More results than this are a table.
_ONE_BY_ONE = 12
_WIDEST = 40


def exercises(voice: Voice) -> None:
    """List the exercises: name and title."""
    from sumtoone.checking.exercises import find, names

    voice.emit({"exercises": [{"name": name, "title": find(name).title} for name in names()]})
    width = max(map(len, names()))
    for name in names():
        voice.say(f"{padded(name, width)}  {find(name).title}")
        voice.result(name)


def begun(voice: Voice, name: str) -> None:
    """Write the stub of an exercise into this folder, and show what is asked."""
    from sumtoone.checking.exercises import find, names
    from sumtoone.checking.workbook import write_stub

    try:
        find(name)
    except UsageError:
        raise not_among("--new", name, names()) from None
    written = write_stub(name)
    voice.emit({"written": str(written.path), "kept": str(written.kept) if written.kept else None})
    voice.say(find(name).statement.strip() + "\n")
    if written.kept:
        voice.say(text("cli.check.kept", path=written.kept))
    voice.say(text("cli.check.written", path=written.path))
    voice.say(text("cli.check.statement", file=written.path.name))
    voice.result(str(written.path))


def status(voice: Voice, folder: Path, settings: Settings) -> None:
    """Judge the exercises of a learner's folder, and show which are done."""
    from dataclasses import replace

    from sumtoone.checking.running import judge_all
    from sumtoone.checking.sources import gather
    from sumtoone.checking.workbook import status as status_of

    rows = []
    for item in status_of(folder):
        state, code = "open", ""
        if item.files:
            asked = replace(settings, exercise=item.exercise.name)
            ((_, (verdict,)),) = judge_all(gather([item.files[-1]]), asked)
            state, code = ("done" if verdict.passed else "begun"), verdict.code
        rows.append((item.exercise.name, state, code, item.files))
    names = [{"exercise": name, "state": state, "code": code or None, "files": [str(file) for file in files]}
             for name, state, code, files in rows]  # fmt: skip
    voice.emit({"status": names})
    width = max(len(name) for name, *_ in rows)
    for name, state, code, files in rows:
        file = printable(files[-1].name) if files else ""
        words = f"{padded(name, width)}  {text(f'cli.check.{state}')}  {file}  {code if state == 'begun' else ''}"
        voice.say(words.rstrip(), _GREEN if state == "done" else "")
        voice.result(f"{name}\t{state}")


def results(
    voice: Voice, verdicts: Sequence[Verdict], level: str, proved: Mapping[str, bool], *, hints: int, solution: bool
) -> None:
    """Show verdicts: each with its words where they are few, as a table with the commonest mistakes where many."""
    passed = sum(verdict.passed for verdict in verdicts)
    if len(verdicts) > _ONE_BY_ONE:
        _table(voice, verdicts)
    else:
        for verdict in verdicts:
            _one(voice, verdict)
            _more(voice, verdict, hints, solution=solution)
    for verdict in verdicts:
        voice.result(f"{verdict.path}\t{verdict.exercise or '-'}\t{verdict.code}")
    if len(verdicts) > 1:
        voice.say(text("cli.check.counted", passed=passed, count=len(verdicts)), _BOLD)
    names = [text(f"cli.check.proved.{name}") for name, is_so in proved.items() if is_so]
    said = text("cli.check.isolated", level=level, proved=", ".join(names)) if names else ""
    voice.say(said or text("cli.check.isolated-none", level=level))


def _one(voice: Voice, verdict: Verdict) -> None:
    word = text("cli.check.right" if verdict.passed else "cli.check.wrong")
    title = f"{printable(verdict.path)} · {verdict.exercise or '-'} · {word} ({verdict.code})"
    voice.say(title, _GREEN if verdict.passed else _RED)
    voice.say(f"  {verdict.text}")
    _line(voice, verdict, verdict.finding)
    if verdict.hint:
        voice.say(f"  {text('cli.check.hint')}: {verdict.hint}")
    for remark in verdict.remarks:
        voice.say(f"  {text('cli.check.note')} ({remark.code}): {verdict.said(remark)}")
    if not verdict.passed and verdict.cases:
        voice.say("  " + text("cli.check.points", points=verdict.score, most=verdict.most))
    voice.say("")


def _line(voice: Voice, verdict: Verdict, finding: Finding) -> None:
    """Show the learner's own line."""
    if finding.row is None or verdict.passed:
        return
    key = "cli.check.line" if finding.cell is None else "cli.check.cell"
    voice.say(f"  {text(key, line=finding.line, cell=finding.cell)}: {printable(_source_line(verdict, finding.row))}")


def _source_line(verdict: Verdict, row: int) -> str:
    written = [line.strip() for line in verdict.source.split("\n")[:row]]
    # An error that comes from the end of a cell is shown with the last line that there is.
    return next((line for line in reversed(written) if line), "")


def _more(voice: Voice, verdict: Verdict, hints: int, *, solution: bool) -> None:
    from sumtoone.checking.exercises import find

    if verdict.exercise is None:
        return
    asked = find(verdict.exercise)
    for number, hint in enumerate(asked.hints[:hints], start=1):
        voice.say(f"  {text('cli.check.hint')} {number}: {hint}" + "\n" * (number == hints))
    if solution:
        voice.say(f"# {asked.file_name}\n{asked.solution}")


def _table(voice: Voice, verdicts: Sequence[Verdict]) -> None:
    width = min(_WIDEST, max(len(verdict.path) for verdict in verdicts))
    for verdict in verdicts:
        path = cut(printable(verdict.path, 4 * _WIDEST), width)
        notes = f"  ({', '.join(verdict.notes)})" if verdict.notes else ""
        words = f"{padded(path, width)}  {padded(verdict.exercise or '-', 16)}  {verdict.code}{notes}"
        voice.say(words, _GREEN if verdict.passed else _RED)
    voice.say("")
    for line in aligned([(code, str(count)) for code, count in Counter(item.code for item in verdicts).most_common()]):
        voice.say(line)
    voice.say("")


@contextmanager
def progress(voice: Voice, count: int) -> Iterator[Callable[[], None]]:
    """Draw a bar while submissions are judged, where somebody sits at a terminal."""
    if voice.quiet or not voice.stream.isatty():
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(console=voice.console(), transient=True) as bar:
        task = bar.add_task(text("cli.check.several", count=count), total=count)
        yield lambda: bar.advance(task)
