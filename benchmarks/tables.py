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
        "fused": "`sumtoone`, fused engine, history included",
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
    where = record["machine"]
    quotients = ("plain / by hand", "lesson / plain", "by hand / fused", "lesson / fused")
    said = "; ".join(
        f"{name}: **{record[name]['median']:.2f}** ({record[name]['min']:.2f} – {record[name]['max']:.2f})"
        for name in quotients
    )
    lines += [
        "",
        f"{said}. Ratios within a round, median and range of {record['rounds']} rounds; {record['what']}, "
        f"best number of threads for each; {where['processor']}, {where['cores']} cores, "
        f"PyTorch {where['versions']['torch']}, {where['date']}.",
    ]
    return "\n".join(lines)


def softmax_table(record: Mapping[str, Any]) -> str:
    """Return the table of the softmax record."""
    lines = [
        "| classes | copy, GB/s | clone, GB/s | torch.softmax, GB/s | ours, GB/s | ours / copy | softmax | log_softmax "
        "| softmax, both passes | cross entropy, both passes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in record["widths"]:
        speed, faster = row["gigabytes_per_second"], row["faster"]
        times = " | ".join(
            f"{ratio['median']:.1f} × ({ratio['min']:.1f} – {ratio['max']:.1f})" for ratio in faster.values()
        )
        lines.append(
            f"| {row['classes']} | {speed['copy']:.1f} | {speed['clone']:.1f} | {speed['softmax: torch']:.1f} "
            f"| {speed['softmax: ours']:.1f} | {row['share_of_copy']['median']:.0%} | {times} |"
        )
    small, where = record["small"], record["machine"]
    lines += [
        "",
        f"The last four columns: how many times faster than PyTorch. One call on (64, 10), one thread: "
        f"{small['microseconds']['ours']:.1f} µs, PyTorch {small['microseconds']['torch']:.1f} µs "
        f"(ratio {small['ours / torch']['median']:.2f}). Median and range of {record['rounds']} rounds; "
        f"{record['what']}; kernels: {record['path']}; {where['processor']}, {where['cores']} cores, "
        f"PyTorch {where['versions']['torch']}, {where['date']}.",
    ]
    return "\n".join(lines)


TABLES = {"softmax": softmax_table, "plain": plain_table}


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
