"""The tables of the judge: who judges rightly, what confinement costs, fifty notebooks, what is left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SAID = {True: "passes", False: "refused", None: "–"}


def judges_table(record: Mapping[str, Any]) -> str:
    """Return the table of judges: mistakes of both kinds, and the seconds of one attempt."""
    lines = [
        "| attempts | judge | wrong ones passed | right ones refused | of these, stable ones | right code "
        "| the lesson's own formula | an attempt, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in record["kinds"]:
        for name, judge in kind["judges"].items():
            code = "–" if judge["right_code"] is None else f"{judge['right_code']} of {kind['wrong']}"
            lines.append(
                f"| {kind['kind']} | {name} | {judge['wrong_passed']} of {kind['wrong']} "
                f"| {_of(judge['right_refused'], kind['right'])} | {_of(judge['stable_refused'], kind['stable'])} "
                f"| {code} | {_SAID[judge['lesson']]} | {_range(judge['seconds'])} |"
            )
    return "\n".join([*lines, "", f"Median and range over the attempts; {where(record)}"])


def notebooks_table(record: Mapping[str, Any]) -> str:
    """Return the table of fifty notebooks."""
    lines = [
        f"| {record['what'].partition(',')[0]} | seconds for all [of the processor] | one, s | times ours "
        "| wrong ones passed | right ones refused |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {_batch(one)} | {one['each']:.2f} | {_range(one['times'], 1)} "
        f"| {one['wrong_passed']} | {one['right_refused']} |"
        for name, one in record["contenders"].items()
    ]
    return "\n".join(
        [*lines, "", f"{_rounds(record)}, ours before each of the others; times: to the run before; {where(record)}"]
    )


def checking_table(record: Mapping[str, Any]) -> str:
    """Return the table of what confinement costs, and of two hundred submissions."""
    cost = record["cost"]
    batches = list(record["batches"])
    lines = [
        f"| isolation | one submission, ms | added, ms | {', s | '.join(batches)}, s |",
        "|---|---|---" + "|---" * len(batches) + "|",
    ]
    for name, milliseconds in cost["milliseconds"].items():
        added = cost["added"].get(name)
        cells = [_range(milliseconds, 0), _range(added, 0)]
        cells += [_batch(record["batches"][batch].get(name)) for batch in batches]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            f"One submission: median and quartiles over {cost['submissions']} attempts. Batches, in brackets the "
            f"processor's seconds: {_rounds(record).lower()}; {where(record)}",
        ]
    )


def leaks_table(record: Mapping[str, Any]) -> str:
    """Return the table of what is left behind."""
    lines = ["| left behind | |", "|---|---|"]
    lines += [f"| {kind} | {count} |" for kind, count in record["left"].items()]
    for level, grown in record["grown"].items():
        for whose, seen in grown.items():
            lines.append(
                f"| MiB of the {whose} at {level}: when warm, at the end | {seen['warm']:.1f}, {seen['end']:.1f} |"
            )
    return "\n".join([*lines, "", f"In {record['seconds'] / 60:.0f} minutes; {where(record)}"])


def _batch(figures: Mapping[str, Any] | None) -> str:
    return f"{_range(figures['seconds'], 1)} [{figures['processor']['median']:.1f}]" if figures else "–"


def _of(count: int, most: int) -> str:
    return f"{count} of {most}" if most else "–"


def _rounds(record: Mapping[str, Any]) -> str:
    return "One round" if record["rounds"] == 1 else f"Median and range of {record['rounds']} rounds"


def _range(figures: Mapping[str, float] | None, digits: int = 2) -> str:
    if figures is None:
        return "–"
    median, least, most = (f"{figures[name]:.{digits}f}" for name in ("median", "min", "max"))
    return median if least == most else f"{median} ({least} – {most})"


def where(record: Mapping[str, Any]) -> str:
    """Return what was measured, where, how busy the machine was, and who was missing and why."""
    where = record["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items() if number != "-")
    load = f", load {record['load']:.1f}" if "load" in record else ""
    missing = "".join(f" Missing: {name} ({why})." for name, why in record.get("missing", {}).items())
    return (
        f"{record['what']}; {where['processor']}, {where['cores']} cores{load}, Python {where['python']}, {versions}, "
        f"{where['date']}.{missing}"
    )
