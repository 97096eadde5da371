"""The README's tables, made from the records and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.protocol import RECORDS

README = Path(__file__).parent.parent / "README.md"


def epoch_table(record: Mapping[str, Any]) -> str:
    """Return the table of one epoch: every contender, the limits, and how far ours is from them."""
    lines = [
        "| one epoch | seconds | threads | times ours | test accuracy | first epoch, s |",
        "|---|---|---|---|---|---|",
    ]
    for precision in ("float32", "bfloat16"):
        for name, contender in record[precision].get("contenders", {}).items():
            lines.append(
                f"| {name} | {_range(contender['seconds'])} | {contender['threads']} | {_range(contender['times'])} "
                f"| {contender['judged']:.2%} | {contender['first']:.1f} |"
            )
    said = [
        f"ours / limit in {precision}, {_threads(threads)}: **{ratio['median']:.2f}** ({_ends(ratio)})"
        for precision in ("float32", "bfloat16")
        for threads, ratio in record[precision].get("over_limit", {}).items()
    ]
    machine = [
        f"{words}, {_threads(threads)}: {rate['median']:.0f} {unit}"
        for name, (words, unit) in _LIMITS.items()
        for threads, rate in record["limits"].get(name, {}).items()
    ]
    lines += ["", "; ".join(said) + ".", "The machine's limits in the same rounds: " + "; ".join(machine) + "."]
    return "\n".join([*lines, _footer(record)])


_LIMITS = {
    "limit": ("matrix products in float32", "GFLOP/s"),
    "limit, bfloat16": ("in bfloat16", "GFLOP/s"),
    "copy": ("copy", "GB/s"),
}


def accuracy_table(record: Mapping[str, Any]) -> str:
    """Return the table of the time to 98 %."""
    lines = [
        "| to 98 % | seconds, mean | seconds, median | threads | times ours | mean accuracy | seeds that reach it |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, contender in record.get("contenders", {}).items():
        lines.append(
            f"| {name} | {contender['mean_seconds']:.2f} | {_range(contender['seconds'])} | {contender['threads']} "
            f"| {_range(contender['times'])} | {contender['mean_accuracy']:.2%} "
            f"| {contender['seeds_that_reach_it']} of {record['rounds']} |"
        )
    return "\n".join([*lines, "", f"Recipe: {record['recipe']}.", _footer(record)])


def shapes_table(record: Mapping[str, Any]) -> str:
    """Return the table of the other networks and batches."""
    lines = [
        "| network | rows | batch | ours, s | ours / limit, 1 thread | 2 threads | PyTorch eager / ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["shapes"]:
        contenders, limit = row.get("contenders", {}), row.get("over_limit", {})
        ours, theirs = list(contenders.values()) or (None, None)
        over = " | ".join(_range(limit.get(threads)) for threads in ("1", "2"))
        lines.append(
            f"| {row['network']} | {row['rows']:,} of {row['data']} | {row['batch']} "
            f"| {_range(ours and ours['seconds'])} | {over} | {_range(theirs and theirs['times'])} |"
        )
    return "\n".join([*lines, "", _footer(record)])


def inference_table(record: Mapping[str, Any]) -> str:
    """Return the table of single calls: microseconds, and how many times ours."""
    names = list(dict.fromkeys(name for size in record["sizes"] for name in size.get("contenders", ())))
    lines = [f"| rows | {' | '.join(f'{name}, µs' for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for size in record["sizes"]:
        cells = [
            f"{found['seconds']['median'] * 1e6:.1f}, {_range(found['times'])} ×" if found else "–"
            for found in (size.get("contenders", {}).get(name) for name in names)
        ]
        lines.append(f"| {size['rows']:,} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "×: times ours. " + _footer(record)])


def _range(figures: Mapping[str, float] | None) -> str:
    return f"{figures['median']:.2f} ({_ends(figures)})" if figures else "–"


def _ends(figures: Mapping[str, float]) -> str:
    return f"{figures['min']:.2f} – {figures['max']:.2f}"


def _threads(count: str) -> str:
    return "1 thread" if count == "1" else f"{count} threads"


def _footer(record: Mapping[str, Any]) -> str:
    """Return how and where it was measured, and who was missing and why."""
    where = record["machine"]
    parts = [record, *record.get("shapes", ()), *record.get("sizes", ())]
    missing = {name: why for part in parts for name, why in part.get("missing", {}).items()}
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items() if number != "-")
    absent = "".join(f" Missing: {name} ({why})." for name, why in missing.items())
    return (
        f"Median and range of {record['rounds']} rounds, ratios within a round; {record['what']}; "
        f"{where['processor']}, {where['cores']} cores, Python {where['python']}, {versions}, {where['date']}.{absent}"
    )


def softmax_table(record: Mapping[str, Any]) -> str:
    """Return the two tables of the softmax record: large tensors, and calls on a few numbers."""
    peers = list(dict.fromkeys(name for row in record["widths"] for name in row.get("peers", ())))
    names = list(record["widths"][0]["faster"])
    headings = [
        *("classes", "copy, GB/s", "clone, GB/s", "torch.softmax into out, GB/s", "ours into out, GB/s", "ours / copy"),
        *(*names, *(f"softmax, {peer}" for peer in peers)),
    ]
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for row in record["widths"]:
        speeds = " | ".join(f"{speed:.1f}" for speed in _in_order(row["gigabytes_per_second"]))
        times = " | ".join(
            f"{ratio['median']:.1f} × ({ratio['min']:.1f} – {ratio['max']:.1f})"
            for ratio in [*row["faster"].values(), *(row.get("peers", {})[name] for name in peers)]
        )
        lines.append(f"| {row['classes']} | {speeds} | {row['share_of_copy']['median']:.0%} | {times} |")
    where, calls = record["machine"], list(record["small"][0]["ours / torch"])
    than_peers = " (the last columns: than these)" if peers else ""
    lines += [
        "",
        f"×: how many times faster than PyTorch{than_peers}. Calls on a few numbers, one thread, microseconds:",
        "",
        f"| shape | {' | '.join(f'{name}: ours, PyTorch' for name in calls)} |",
        "|---" * (len(calls) + 1) + "|",
    ]
    for small in record["small"]:
        spent = small["microseconds"]
        cells = " | ".join(
            f"{spent[f'{name}: ours']:.1f}, {spent[f'{name}: torch']:.1f} ({ratio['median']:.2f})"
            for name, ratio in small["ours / torch"].items()
        )
        lines.append(f"| {small['shape'][0]} × {small['shape'][1]} | {cells} |")
    lines += [
        "",
        f"Median and range of {record['rounds']} rounds; {record['what']}; kernels: {record['path']}; "
        f"{where['processor']}, {where['cores']} cores, PyTorch {where['versions']['torch']}, {where['date']}.",
    ]
    return "\n".join(lines)


def _in_order(speeds: Mapping[str, float]) -> list[float]:
    return [speeds[name] for name in ("copy", "clone", "softmax into out: torch", "softmax into out: ours")]


TABLES = {
    "epoch": epoch_table,
    "accuracy": accuracy_table,
    "shapes": shapes_table,
    "inference": inference_table,
    "softmax": softmax_table,
}


def update_readme(name: str) -> None:
    """Rewrite the table between ``<!-- table: name -->`` and ``<!-- end -->`` from its record."""
    README.write_text(rendered(README.read_text(encoding="utf-8"), [name]), encoding="utf-8")


def rendered(readme: str, names: Iterable[str] = TABLES) -> str:
    """Return the README with these tables as the records have them."""
    for name in names:
        record = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
        start, end = f"<!-- table: {name} -->\n", "<!-- end -->"
        before, found, rest = readme.partition(start)
        if found:
            readme = f"{before}{start}{TABLES[name](record)}\n{end}{rest.partition(end)[2]}"
    return readme
