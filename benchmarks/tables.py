"""The README's tables, made from the records and from nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.protocol import RECORDS

README = Path(__file__).parent.parent / "README.md"


def plain_table(record: Mapping[str, Any]) -> str:
    """Return the table of the plain engine's record."""
    lines = ["| loop | seconds per epoch, median | least – most | threads |", "|---|---|---|---|"]
    words = {
        "plain": "`sumtoone`, plain engine, history included",
        "by hand": "hand-written loop over float tensors in memory",
        "lesson": "the lesson's `DataLoader` loop",
    }
    for name, described in words.items():
        key = record["best"][name]
        figures = record["seconds"][key]
        threads = re.search(r"\d+", key.rpartition(",")[2])
        lines.append(
            f"| {described} | {figures['median']:.2f} | {figures['min']:.2f} – {figures['max']:.2f} "
            f"| {threads[0] if threads else ''} |"
        )
    hand, lesson, where = record["plain / by hand"], record["lesson / plain"], record["machine"]
    lines += [
        "",
        f"Plain engine / hand-written loop: **{hand['median']:.2f}** ({hand['min']:.2f} – {hand['max']:.2f}). "
        f"Lesson's loop / plain engine: **{lesson['median']:.1f}** ({lesson['min']:.1f} – {lesson['max']:.1f}). "
        f"Ratios within a round, median and range of {record['rounds']} rounds; {record['what']}, "
        f"best number of threads for each; {where['processor']}, {where['cores']} cores, "
        f"PyTorch {where['versions']['torch']}, {where['date']}.",
    ]
    return "\n".join(lines)


TABLES = {"plain": plain_table}


def update_readme() -> None:
    """Rewrite every table between ``<!-- table: name -->`` and ``<!-- end -->`` from its record."""
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")


def rendered(readme: str) -> str:
    """Return the README with its tables as the records have them."""
    for name, table in TABLES.items():
        record = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
        start, end = f"<!-- table: {name} -->\n", "<!-- end -->"
        before, found, rest = readme.partition(start)
        if found:
            readme = f"{before}{start}{table(record)}\n{end}{rest.partition(end)[2]}"
    return readme
