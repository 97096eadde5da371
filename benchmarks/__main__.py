"""``python -m benchmarks``: measure, write the records, and renew the tables and the picture made from them.

``--check`` needs nothing but Python: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

# In the order in which they are measured; each is a module here with a function ``measure(rounds, quick)``.
SECTIONS = (
    "epoch", "accuracy", "compare", "shapes", "inference", "estimator", "softmax", "judges", "checking", "notebooks",
    "leaks", "serving",
)  # fmt: skip
ON_MNIST = {"epoch", "accuracy", "compare", "shapes", "estimator"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the measurements; the exit code is 1 if contenders disagree in what they compute, or a section failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--only", default=",".join(SECTIONS), help="some of %(default)s")
    parser.add_argument("--quick", action="store_true", help="the built-in digits, two rounds, one thread, no record")
    parser.add_argument("--check", action="store_true", help="only see whether the data is here")
    given = parser.parse_args(arguments)
    wanted = given.only.split(",")
    if unknown := sorted(set(wanted) - set(SECTIONS)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(SECTIONS)}")

    if ON_MNIST & set(wanted) and not given.quick and not _mnist_is_here():
        raise SystemExit(
            "MNIST is neither in a folder of SUMTOONE_DATA nor among the system's data sets nor in the cache.\n"
            "Set SUMTOONE_DATA to the folder that holds mnist/ with its four IDX files, or fetch it:\n"
            "  make .venv/installed && .venv/bin/sumtoone data fetch mnist"
        )
    if given.check:
        return

    from benchmarks import tables
    from benchmarks.protocol import write_record

    wrong: list[str] = []
    for name in wanted:
        try:
            record = import_module(f"benchmarks.{name}").measure(2 if given.quick else given.rounds, given.quick)
        except Exception as error:  # the sections that follow can still be measured
            traceback.print_exc()
            wrong.append(f"{name} failed: {type(error).__name__}: {error}")
            continue
        if not given.quick:
            print("record:", write_record(name, record), flush=True)
            tables.renew()
        print(tables.TABLES[name](record), end="\n\n", flush=True)
        wrong += [f"{name}: {whose} did not compute the same" for whose in record.get("disagreeing", ())]
    if wrong:
        raise SystemExit("\n".join(wrong))


def _mnist_is_here() -> bool:
    if find_spec("sumtoone") is None:
        sys.path.append(str(Path(__file__).parent.parent / "src"))
    if find_spec("pooch") is None:  # which knows where each system has its caches; this is where it says
        caches = "~/Library/Caches" if sys.platform == "darwin" else os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        os.environ["SUMTOONE_CACHE"] = os.environ.get("SUMTOONE_CACHE") or f"{caches}/sumtoone"

    from sumtoone.data import named, sources

    return named.find(sources.SOURCES["mnist"]) is not None


if __name__ == "__main__":
    main()
