"""The tables of docs/performance.md and the README's, made from the records and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import judge_tables, picture, serving_tables
from benchmarks.protocol import RECORDS

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "README.ko.md", ROOT / "docs" / "performance.md")
PICTURE = ROOT / "docs" / "images" / "speed.png"


def epoch_table(record: Mapping[str, Any]) -> str:
    """Return the table of one epoch: every contender, the limits, and how far ours is from them."""
    lines = [
        "| one epoch | seconds | threads | times ours | test accuracy | first call, s |",
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
    lines += ["", *(["; ".join(said) + "."] if said else [])]
    lines += ["The machine's limits in the same rounds: " + "; ".join(machine) + "."] if machine else []
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


def compare_table(record: Mapping[str, Any]) -> str:
    """Return the table of many trainings."""
    lines = ["| all trainings | seconds | threads | times ours | mean test accuracy |", "|---|---|---|---|---|"]
    for name, contender in record.get("contenders", {}).items():
        lines.append(
            f"| {name} | {_range(contender['seconds'])} | {contender['threads']} | {_range(contender['times'])} "
            f"| {contender['judged']:.2%} |"
        )
    return "\n".join([*lines, "", _footer(record)])


def shapes_table(record: Mapping[str, Any]) -> str:
    """Return the table of the other networks and batches."""
    lines = [
        "| network | rows | batch | ours, s | ours / limit, 1 thread | 2 threads | PyTorch eager / ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["shapes"]:
        contenders, limit = row.get("contenders", {}), row.get("over_limit", {})
        ours, theirs = (contenders.get(name, {}) for name in ("sumtoone, fused", "PyTorch, eager"))
        over = " | ".join(_range(limit.get(threads)) for threads in ("1", "2"))
        network = row["network"] + (", tanh" if row.get("activation") == "tanh" else "")
        epochs = f", {row['epochs']} epochs" if row.get("epochs", 1) > 1 else ""
        lines.append(
            f"| {network} | {row['rows']:,} of {row['data']}{epochs} | {row['batch']} "
            f"| {_range(ours.get('seconds'))} | {over} | {_range(theirs.get('times'))} |"
        )
    return "\n".join([*lines, "", _footer(record)])


def inference_table(record: Mapping[str, Any]) -> str:
    """Return the table of single calls."""
    lines = ["| rows | one call | µs | threads | times ours | first call, s |", "|---|---|---|---|---|---|"]
    lines += [f"{line} {contender['first']:.3f} |" for line, contender in _calls(record)]
    return "\n".join([*lines, "", _footer(record)])


def estimator_table(record: Mapping[str, Any]) -> str:
    """Return the table of the classifier: fitting, and single calls."""
    lines = ["| | | seconds to fit | threads | times ours | test accuracy |", "|---|---|---|---|---|---|"]
    for fit in record["fits"]:
        for name, contender in fit.get("contenders", {}).items():
            lines.append(
                f"| {fit['network']}, {fit['rows']:,} rows of {fit['data']} | {name} | {_range(contender['seconds'])} "
                f"| {contender['threads']} | {_range(contender['times'])} | {contender['judged']:.2%} |"
            )
    lines += ["", "| rows | `predict_proba` | µs | threads | times ours |", "|---|---|---|---|---|"]
    lines += [line for line, _ in _calls(record)]
    return "\n".join([*lines, "", _footer(record)])


def _calls(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give a line of a table for each contender's single calls of each size, and the contender."""
    for size in record["sizes"]:
        for name, contender in size.get("contenders", {}).items():
            microseconds = contender["seconds"]["median"] * 1e6
            start = f"| {size['rows']:,} | {name} | {microseconds:.1f} | {contender['threads']} "
            yield f"{start}| {_range(contender['times'])} |", contender


def _range(figures: Mapping[str, float] | None) -> str:
    return f"{figures['median']:.2f} ({_ends(figures)})" if figures else "–"


def _ends(figures: Mapping[str, float]) -> str:
    return f"{figures['min']:.2f} – {figures['max']:.2f}"


def _threads(count: str) -> str:
    return "1 thread" if count == "1" else f"{count} threads"


def _footer(record: Mapping[str, Any]) -> str:
    """Return how and where it was measured, and who was missing and why."""
    where = record["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items() if number != "-")
    return (
        f"Median and range of {record['rounds']} rounds, ratios within a round; {record['what']}; "
        f"{where['processor']}, {where['cores']} cores, Python {where['python']}, {versions}, {where['date']}."
        f"{_absent(record)}"
    )


def _absent(record: Mapping[str, Any]) -> str:
    parts = [record, *(part for name in ("shapes", "fits", "sizes") for part in record.get(name, ()))]
    missing = {name: why for part in parts for name, why in part.get("missing", {}).items()}
    return "".join(f" Missing: {name} ({why})." for name, why in missing.items())


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
        f"{where['processor']}, {where['cores']} cores, PyTorch {where['versions']['torch']}, {where['date']}."
        f"{_absent(record)}",
    ]
    return "\n".join(lines)


def _in_order(speeds: Mapping[str, float]) -> list[float]:
    return [speeds[name] for name in ("copy", "clone", "softmax into out: torch", "softmax into out: ours")]


def ladder_table(record: Mapping[str, Any]) -> str:
    """Return the table of the rungs, and that of the optimizers that were compared on validation rows."""
    lines = [
        "| rung | network | test accuracy | validation accuracy | parameters | seeds | seconds for one | recipe |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {rung['name']} | {rung['what']} | **{_with_deviation(rung, 'test')}** "
        f"| {_with_deviation(rung, 'validation')} | {rung['parameters']:,} | {rung['seeds']} "
        f"| {rung['seconds']['mean']:.0f} | {rung['recipe']} |"
        for rung in record["rungs"]
    ]
    where = {row["machine"]["date"]: row["machine"] for row in record["rungs"]}
    for date, at in sorted(where.items()):
        lines += ["", f"{at['processor']}, {at['cores']} cores, torch {at['versions']['torch']}, {date}."]
    for search in record["searches"]:
        lines += ["", f"{search['name']}: {search['what']}; seeds: {search['seeds']}.", ""]
        lines += [
            "| optimizer | batch | learning rate | weight decay | averaging | validation accuracy | loss | seconds |"
        ]
        lines += ["|---|---|---|---|---|---|---|---|"]
        lines += [
            f"| {row['optimizer']} | {row['batch_size']} | {row['lr']:g} | {row['weight_decay']:g} "
            f"| {row['averaging'] or '–'} "
            f"| {row['validation']['mean']:.2%} | {row['validation_loss']['mean']:.4f} | {row['seconds']['mean']:.0f} |"
            for row in search["rows"]
        ]
    return "\n".join(lines)


def _with_deviation(rung: Mapping[str, Any], rows: str) -> str:
    """Return a mean over seeds and its deviation in points; of one seed there is none."""
    figures = rung[rows]
    return f"{figures['mean']:.2%}" + (
        f" ± {figures['deviation'] * 100:.2f}" if figures["deviation"] is not None else ""
    )


TABLES = {
    "epoch": epoch_table,
    "accuracy": accuracy_table,
    "compare": compare_table,
    "shapes": shapes_table,
    "inference": inference_table,
    "estimator": estimator_table,
    "softmax": softmax_table,
    "judges": judge_tables.judges_table,
    "checking": judge_tables.checking_table,
    "notebooks": judge_tables.notebooks_table,
    "ladder": ladder_table,
    "leaks": judge_tables.leaks_table,
    "serving": serving_tables.serving_table,
}


_RATIOS = {
    "en": (
        "times as fast as PyTorch eager: median (range)",
        "softmax of ten classes",
        "an epoch of 784-128-64-10, batches of 64",
        "one image to probabilities",
        "training to 98 % on MNIST",
    ),
    "ko": (
        "PyTorch 즉시 실행보다 몇 배 빠른지: 중앙값 (범위)",
        "클래스 열 개의 softmax",
        "784-128-64-10의 한 에폭, 배치 64",
        "이미지 한 장의 확률",
        "MNIST 98 %까지의 학습",
    ),
}


def ratios_table(records: Mapping[str, Mapping[str, Any]], language: str) -> str:
    """Return a README's table: four ratios to PyTorch, out of four records."""
    ten = next(row for row in records["softmax"]["widths"] if row["classes"] == 10)
    one = next(size for size in records["inference"]["sizes"] if size["rows"] == 1)
    eager = [
        part.get("contenders", {}).get("PyTorch, eager", {}).get("times")
        for part in (records["epoch"]["float32"], one, records["accuracy"])
    ]
    heading, *said = _RATIOS[language]
    rows = zip(said, [ten["faster"]["softmax"], *eager], strict=True)
    return "\n".join([f"| | {heading} |", "|---|---|", *(f"| {what} | {_range(times)} |" for what, times in rows)])


def renew() -> None:
    """Rewrite the tables of all pages, and the picture, from the records."""
    for page in PAGES:
        page.write_text(rendered(page), encoding="utf-8")
    picture.draw(_records()["epoch"], PICTURE)


def rendered(path: Path) -> str:
    """Return a page with what stands between each ``<!-- table: name -->`` and ``<!-- end -->`` as it is now."""
    records, page = _records(), path.read_text(encoding="utf-8")
    made = {name: table(records[name]) for name, table in TABLES.items()}
    made["ratios"] = ratios_table(records, "ko" if ".ko" in path.suffixes else "en")
    for name, table in made.items():
        start, end = f"<!-- table: {name} -->\n", "<!-- end -->"
        before, found, rest = page.partition(start)
        if found:
            page = f"{before}{start}{table}\n{end}{rest.partition(end)[2]}"
    return page


def _records() -> dict[str, Any]:
    return {name: json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8")) for name in TABLES}
