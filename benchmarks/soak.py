"""``python -m benchmarks.soak``: what the server must stand, for as long as it must; the exit code is 1 if it does not.

The suite has the same in seconds (``tests/test_serving_load.py``). It needs what ``sumtoone serve`` and the tests need.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.load import parts, schemas, server
from benchmarks.load.parts import Subject, Verdict

SECONDS, TAGGED, SIGNALS, MALFORMED, EXAMPLES = 60.0, 100_000, 50, 50_000, 200


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for with a run of their own, or with a given one."""
    given = arguments(words)
    with tempfile.TemporaryDirectory() as folder:
        run = given.run or _trained(Path(folder) / "digits")
        with server.sumtoone(run) as it:
            subject = parts.subject(run, it, say=_say)
        return soaked(subject, given)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="some of %(default)s")
    parser.add_argument("--run", type=Path, help="a run on the built-in digits; else one is trained")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each overload (%(default)s)")
    parser.add_argument("--times", type=int, default=parts.TIMES, help="the load (%(default)s)")
    parser.add_argument("--requests", type=int, help=f"instead of {TAGGED} tagged and {MALFORMED} malformed ones")
    parser.add_argument("--signals", type=int, default=SIGNALS, help="SIGTERMs (%(default)s)")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of schemathesis, an operation (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (%(default)s)")
    given = parser.parse_args(words)
    given.only = given.only.split(",")
    if unknown := sorted(set(given.only) - set(PARTS)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return given


def soaked(subject: Subject, given: argparse.Namespace) -> int:
    """Run the parts, print what each found, and return 1 if something was missed."""
    verdicts: list[Verdict] = []
    for name in given.only:
        started = time.perf_counter()
        verdicts += PARTS[name](subject, given)
        subject.say(f"{name}: {time.perf_counter() - started:.0f} s\n")
    subject.say(table(verdicts))
    return int(not all(verdict.good for verdict in verdicts))


PARTS: dict[str, Callable[[Subject, argparse.Namespace], list[Verdict]]] = {
    "overload": lambda subject, given: parts.overload(subject, given.seconds, times=given.times),
    "crowd": lambda subject, given: parts.overload(subject, given.seconds, parts.IDLE, parts.SLOW, times=given.times),
    "tagged": lambda subject, given: parts.tagged(subject, given.requests or TAGGED, given.seed),
    "signals": lambda subject, given: parts.terminated(subject, given.signals, given.seed),
    "malformed": lambda subject, given: parts.malformed(subject, given.requests or MALFORMED, given.seed),
    "schemas": lambda subject, given: schemas.explored(subject, given.examples, given.seed),
}


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a table."""
    lines = ["| | what | wanted | found |", "|---|---|---|---|"]
    lines += [
        f"| {'ok' if verdict.good else 'MISSED'} | {verdict.what} | {verdict.wanted} | {verdict.found} |"
        for verdict in verdicts
    ]
    return "\n".join(lines)


def _trained(folder: Path) -> Path:
    import sumtoone

    sumtoone.fit(sumtoone.Network("784-128-64-10"), sumtoone.load("digits"), epochs=5, out=folder)
    return folder


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
