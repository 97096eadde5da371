"""``python -m benchmarks``: measure, write the records, and put their tables into the README."""

from __future__ import annotations

import argparse

from benchmarks import plain, tables
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
    record = plain.measure(dataset, 2 if given.quick else given.rounds)
    print(tables.plain_table(record))
    if not given.quick:
        print("record:", write_record("plain", record))
        tables.update_readme()


if __name__ == "__main__":
    main()
