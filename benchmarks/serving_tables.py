"""The table of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.judge_tables import where


def serving_table(record: Mapping[str, Any]) -> str:
    """Return the table of requests a second."""
    lines = ["| | requests/s | images/s | p50, ms | p99, ms | ours / its |", "|---|---|---|---|---|---|"]
    for name, one in record["contenders"].items():
        cells = [_range(one[key], digits) for key, digits in (("requests", 0), ("images", 0), ("p50", 1), ("p99", 1))]
        lines.append(f"| {name} | {' | '.join(cells)} | {_range(one['ours_to_it'], 2)} |")
    said = f"Median and range of {record['rounds']} rounds, ratios within a round; asked by {record['client']}"
    return "\n".join([*lines, "", f"{said} on the same cores; {where(record)}"])


def _range(figures: Mapping[str, float] | None, digits: int) -> str:
    if figures is None:
        return "–"
    median, least, most = (f"{figures[name]:,.{digits}f}" for name in ("median", "min", "max"))
    return f"{median} ({least} – {most})"
