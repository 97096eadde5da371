"""``python -m benchmarks``: measure, write the records, and put their tables into the README."""

from __future__ import annotations

import argparse

from benchmarks import plain, softmax, tables
from benchmarks.protocol import write_record
from sumtoone import load
from sumtoone.errors import UnavailableError


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="the built-in digits, two rounds, no record")
    given = parser.parse_args()
    try:
        dataset = load("digits" if given.quick else "mnist")
    except UnavailableError as error:
        raise SystemExit(str(error)) from None
    rounds = 2 if given.quick else given.rounds
    records = {
        "softmax": softmax.measure(rounds, 200_000 if given.quick else softmax.NUMBERS),
        "plain": plain.measure(dataset, rounds),
    }
    for name, record in records.items():
        print(tables.TABLES[name](record), end="\n\n")
        if not given.quick:
            print("record:", write_record(name, record))
    if not given.quick:
        tables.update_readme()


if __name__ == "__main__":
    main()
