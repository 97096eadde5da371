"""``python -m benchmarks``: measure, write the records, and put their tables into the README."""

from __future__ import annotations

import argparse
from importlib import import_module

# In the order in which they are measured; each is a module here with a function ``measure(rounds, quick)``.
SECTIONS = ("epoch", "accuracy", "shapes", "inference", "softmax")


def main() -> None:
    """Run the measurements; the exit code is 1 if contenders disagree in what they compute."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--only", default=",".join(SECTIONS), help="some of %(default)s")
    parser.add_argument("--quick", action="store_true", help="the built-in digits, two rounds, one thread, no record")
    given = parser.parse_args()
    wanted = given.only.split(",")
    if unknown := sorted(set(wanted) - set(SECTIONS)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(SECTIONS)}")

    from benchmarks import tables
    from benchmarks.protocol import write_record
    from sumtoone import load
    from sumtoone.errors import UnavailableError

    try:
        load("digits" if given.quick else "mnist")
    except UnavailableError as error:
        raise SystemExit(str(error)) from None
    disagreeing: list[str] = []
    for name in wanted:
        record = import_module(f"benchmarks.{name}").measure(2 if given.quick else given.rounds, given.quick)
        print(tables.TABLES[name](record), end="\n\n", flush=True)
        if not given.quick:
            print("record:", write_record(name, record), end="\n\n", flush=True)
            tables.update_readme(name)
        disagreeing += [f"{name}: {whose}" for whose in record.get("disagreeing", ())]
    if disagreeing:
        raise SystemExit("these did not compute the same: " + "; ".join(disagreeing))


if __name__ == "__main__":
    main()
