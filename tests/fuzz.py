"""Every property with new examples, round after round, each with a seed of its own: make fuzz."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Iterator


def _new() -> Iterator[int]:
    while True:
        yield random.SystemRandom().randrange(2**32)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=600, help="no property is begun after them (600)")
    parser.add_argument("--seeds", type=int, nargs="*", help="one round for each of these, whatever time it takes")
    parser.add_argument("--examples", type=int, default=2000, help="a property and a round (2000)")
    chosen, pytest = parser.parse_known_args()
    until = float("inf") if chosen.seeds else time.time() + chosen.seconds
    rounds, wrong = 0, []
    for seed in chosen.seeds or _new():
        if time.time() > until:
            break
        rounds += 1
        print(f"seed {seed}", flush=True)
        more = [
            "-p",
            "no:schemathesis",
            "--fuzz",
            f"{chosen.examples}",
            f"--hypothesis-seed={seed}",
            f"--until={until}",
            "--tb=short",
            *pytest,
        ]
        if subprocess.run([sys.executable, "-m", "pytest", *more], check=False).returncode != 0:
            wrong.append(seed)
    found = f"failed with the seeds {wrong}: what to paste stands under each failure" if wrong else "nothing found"
    print(f"{rounds} rounds; {found}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
