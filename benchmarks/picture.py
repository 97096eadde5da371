"""The picture of one epoch: how many times our seconds each contender takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from sumtoone.language import speaking
from sumtoone.plots.canvas import BLUE, GREY, PALE_GREY, drawing, save


def draw(record: Mapping[str, Any], path: Path) -> None:
    """Write the bars of the record's contenders in float32, with the ranges of their rounds."""
    contenders = record["float32"].get("contenders", {}).items()
    found = {name: contender["times"] for name, contender in contenders if contender["times"]}
    names = sorted(found, key=lambda name: found[name]["median"])
    medians = [found[name]["median"] for name in names]
    least, most = ([found[name][end] for name in names] for end in ("min", "max"))
    with speaking("en"), drawing():
        figure = Figure(figsize=(7.2, 0.34 * len(names) + 0.9), layout="constrained")
        axes = figure.subplots()
        axes.barh(names, medians, color=[BLUE if name.startswith("sumtoone") else PALE_GREY for name in names])
        axes.hlines(range(len(names)), least, most, color=GREY)
        for place, (median, end) in enumerate(zip(medians, most, strict=True)):
            axes.annotate(f"{median:.1f} ×", (end, place), (5, 0), textcoords="offset points", va="center")
        axes.set_xscale("log")
        axes.set_xlim(0.5, 1.6 * max(most, default=1))
        axes.set_xticks(ticks := [1, 2, 5, 10, 20], [str(tick) for tick in ticks])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.invert_yaxis()
        axes.set_xlabel("one epoch of 784-128-64-10: seconds, as a multiple of ours")
        save(figure, path)
