"""``sumtoone check``: what learners wrote in, right or wrong and why out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sumtoone.cli import verdicts as shown
from sumtoone.cli.common import AsJson, Lang, Quiet, Voice
from sumtoone.errors import DataError, UsageError
from sumtoone.language import text
from sumtoone.specification import not_among

if TYPE_CHECKING:
    from sumtoone.checking.running import Settings
    from sumtoone.checking.sources import Found
    from sumtoone.checking.verdict import Verdict

LEVELS = ("strong", "good", "weak")
_POLL_SECONDS = 0.2


def _file(name: str) -> Any:
    return typer.Option(metavar="FILE", help=f"cli.check.{name}")


def check(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH", help="cli.check.paths")] = None,
    exercise: Annotated[str | None, typer.Option(metavar="NAME", help="cli.check.exercise")] = None,
    list_: Annotated[bool, typer.Option("--list", help="cli.check.list")] = False,
    new: Annotated[str | None, typer.Option(metavar="EXERCISE", help="cli.check.new")] = None,
    status: Annotated[bool, typer.Option("--status", help="cli.check.status")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="cli.check.watch")] = False,
    hints: Annotated[int, typer.Option(min=0, max=3, help="cli.check.hints")] = 0,
    solution: Annotated[bool, typer.Option("--solution", help="cli.check.solution")] = False,
    isolation: Annotated[str | None, typer.Option(metavar="|".join(LEVELS), help="cli.check.isolation")] = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=3600, help="cli.check.seconds")] = 10.0,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="cli.check.workers")] = None,
    csv: Annotated[Path | None, _file("csv")] = None,
    junit: Annotated[Path | None, _file("junit")] = None,
    gradescope: Annotated[Path | None, _file("gradescope")] = None,
    classroom50: Annotated[Path | None, _file("classroom50")] = None,
    ctrf: Annotated[Path | None, _file("ctrf")] = None,
    coderunner: Annotated[Path | None, _file("coderunner")] = None,
    github: Annotated[bool, typer.Option("--github", help="cli.check.github")] = False,
    report: Annotated[Path | None, _file("report")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> None:
    """Judge submissions, and write down what was found."""
    if isolation is not None and isolation not in LEVELS:
        raise not_among("--isolation", isolation, LEVELS)
    voice = Voice(as_json, quiet)
    _alone({"--list": list_, "--new": new is not None, "--status": status}, bool(paths) and not status)
    if list_:
        shown.exercises(voice)
        return
    if new is not None:
        shown.begun(voice, new)
        return
    voice.begin(text("cli.check.begin"))
    from sumtoone.checking.exercises import find
    from sumtoone.checking.running import Settings

    settings = Settings(find(exercise).name if exercise else None, isolation, seconds, workers=workers)
    if status:
        shown.status(voice, (paths or [Path()])[0], settings)
        return
    if not paths:
        raise UsageError("check-nothing", path="-")
    files = {"csv": csv, "junit": junit, "gradescope": gradescope, "classroom50": classroom50, "ctrf": ctrf}
    files |= {"coderunner": coderunner, "report": report}
    _check_writable(files)
    _alone({"--watch": watch, **{f"--{name}": watch and bool(file) for name, file in files.items()}}, watch and github)
    if watch:
        _watch(voice, paths, settings, hints=hints, solution=solution)
    started = datetime.now(UTC)
    results, level, proved = _judge(voice, paths, settings)
    for name, file in files.items():
        if file is not None:
            _write(voice, name, file, results, level, started)
    if github:
        _annotate(voice, results, level, started)
    if as_json:
        voice.emit(_document(results, level))
    else:
        shown.results(voice, results, level, proved, hints=hints, solution=solution)
    raise typer.Exit(0 if all(verdict.passed for verdict in results) else 1)


def _alone(chosen: Mapping[str, bool], beside: bool) -> None:
    wanted = [option for option, is_there in chosen.items() if is_there]
    if len(wanted) + beside > 1:
        raise UsageError("check-alone", option=wanted[0], given=" ".join([*wanted, *["PATH"] * beside]))


def _check_writable(files: Mapping[str, Path | None]) -> None:
    """Refuse a file that could not be written before hundreds of submissions are judged for it."""
    for name, file in files.items():
        if file is not None and (file.is_dir() or not file.resolve().parent.is_dir()):
            raise UsageError("argument-value", name=f"--{name}", given=file, wanted="FILE", command="sumtoone check")


def _judge(voice: Voice, paths: Sequence[Path], settings: Settings) -> tuple[list[Verdict], str, Mapping[str, bool]]:
    """Return the verdicts in the order of the submissions, the level of isolation, and what was proved."""
    from sumtoone.checking.journal import Journal
    from sumtoone.checking.running import judge_all, key
    from sumtoone.checking.sources import gather
    from sumtoone.data import cache

    found = gather(paths)
    if not found:
        raise DataError("check-nothing", path=paths[0])
    made: dict[int, list[Verdict]] = {}
    proofs: list[Mapping[str, bool]] = []
    asked = [*sorted(str(path.absolute()) for path in paths), settings.exercise, settings.isolation, settings.seconds]
    if len(found) == 1:
        made = dict(judge_all(found, settings, proofs=proofs))
    else:
        with Journal(repr(asked), cache.folder()) as journal:
            if journal.known:
                voice.say(text("cli.check.resumed", count=len(journal.known), of=len(found)))
            with shown.progress(voice, len(found)) as advance:
                done = lambda submission, verdicts: journal.add(key(submission), verdicts)  # noqa: E731
                for place, verdicts in judge_all(found, settings, dict(journal.known), done, proofs):
                    made[place] = verdicts
                    advance()
            journal.finish()
    results = [verdict for place in sorted(made) for verdict in made[place]]
    levels = {verdict.isolation for verdict in results} - {"none"}
    return results, min(levels, key=LEVELS[::-1].index, default="none"), proofs[0] if proofs else {}


def _written(name: str, results: Sequence[Verdict], level: str, started: datetime) -> str:
    from sumtoone.checking.writers import WRITERS, Circumstances

    return WRITERS[name](results, Circumstances(level, started, datetime.now(UTC), dict(os.environ)))


def _document(results: Sequence[Verdict], level: str) -> dict[str, Any]:
    from sumtoone.checking.writers import Circumstances
    from sumtoone.checking.writers.document import values

    return values(results, Circumstances(level))


def _write(voice: Voice, name: str, file: Path, results: Sequence[Verdict], level: str, started: datetime) -> None:
    # Excel reads Hangul in a table where a mark stands before it.
    encoding = "utf-8-sig" if name == "csv" else "utf-8"
    from sumtoone.storage import write_atomically

    write_atomically(file, _written(name, results, level, started).encode(encoding, "backslashreplace"))
    voice.say(text("cli.check.written", path=file))


def _annotate(voice: Voice, results: Sequence[Verdict], level: str, started: datetime) -> None:
    print(_written("github", results, level, started), end="", flush=True, file=voice.stream)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(_written("github-summary", results, level, started))


def _watch(voice: Voice, paths: Sequence[Path], settings: Settings, *, hints: int, solution: bool) -> None:
    """Judge what has changed, again and again, in one nursery that stays warm; Ctrl-C ends it."""
    from sumtoone.checking.confinement import Nursery
    from sumtoone.checking.running import judged
    from sumtoone.checking.sources import gather, read

    gather(paths)  # a path that is not there at first is a slip, not something to wait for
    before: dict[str, str] = {}
    with Nursery(settings.isolation, settings.limits) as nursery:
        while True:
            changed = []
            for found in _there(gather, paths):
                submission = read(found)
                if before.get(found.path) != submission.digest:
                    before[found.path] = submission.digest
                    changed += judged(nursery, submission, settings)
            if changed:
                shown.results(voice, changed, nursery.level, {}, hints=hints, solution=solution)
                voice.say(text("cli.check.watching", path=", ".join(map(str, paths))))
            time.sleep(_POLL_SECONDS)


def _there(gather: Any, paths: Sequence[Path]) -> list[Found]:
    """Return what is there at this moment: an editor may be writing a file anew."""
    found: list[Found] = []
    for path in paths:
        if path.exists():
            found += gather([path])
    return found
