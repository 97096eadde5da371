"""``sumtoone compare``: a grid of words into trainings, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sumtoone.cli import training
from sumtoone.cli.common import AsJson, Lang, Quiet, Voice, check_label, warn
from sumtoone.errors import UsageError
from sumtoone.language import text
from sumtoone.language.lines import aligned

if TYPE_CHECKING:
    from sumtoone.comparing import Comparison


def compare(
    data: training.Data = None,
    activations: Annotated[str | None, typer.Option(metavar="NAME,…", help="cli.compare.activations")] = None,
    networks: Annotated[str | None, typer.Option(metavar="SIZES,…", help="cli.compare.networks")] = None,
    dropout: training.Dropout = None,
    optimizers: Annotated[str | None, typer.Option(metavar="NAME,…", help="cli.compare.optimizers")] = None,
    lrs: Annotated[str | None, typer.Option(metavar="auto|NUMBER,…", help="cli.compare.lrs")] = None,
    batch_sizes: Annotated[str | None, typer.Option(metavar="ROWS,…", help="cli.compare.batch-sizes")] = None,
    seeds: Annotated[int | None, typer.Option(help="cli.compare.seeds")] = None,
    epochs: training.Epochs = None,
    momentum: training.Momentum = None,
    weight_decay: training.WeightDecay = None,
    label_smoothing: training.LabelSmoothing = None,
    schedule: training.Schedule = None,
    deformation: training.Deformation = None,
    noise: training.Noise = None,
    averaging: training.Averaging = None,
    class_weight: training.ClassWeight = None,
    engine: training.Engine = None,
    precision: training.Precision = None,
    device: training.Device = None,
    reach: Annotated[float | None, typer.Option(help="cli.compare.reach")] = None,
    workers: Annotated[int | None, typer.Option(help="cli.compare.workers")] = None,
    backend: Annotated[str | None, typer.Option(metavar="threading|loky|dask|ray", help="cli.compare.backend")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="cli.compare.scheduler")] = None,
    label: training.Label = None,
    weight: training.Weight = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="cli.compare.out")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> int:
    """Train a grid of contenders from the same seeds and compare them."""
    asked = locals()
    lists = {
        "activations": _words(activations),
        "networks": _words(networks),
        "optimizers": _words(optimizers),
        "lrs": "auto" if lrs == "auto" else _numbers("--lrs", lrs, float),
        "batch_sizes": _numbers("--batch-sizes", batch_sizes, int),
        "class_weight": None if class_weight is None else training.weights_of_classes(class_weight),
    }
    alone = (
        *("dropout", "seeds", "epochs", "momentum", "weight_decay", "label_smoothing", "schedule", "engine"),
        *("deformation", "noise", "averaging", "precision", "device", "reach", "workers", "backend", "scheduler"),
    )
    given = {
        name: value for name, value in {**lists, **{name: asked[name] for name in alone}}.items() if value is not None
    }
    voice, source = Voice(as_json, quiet), data or "digits"
    voice.begin(text("cli.compare.begin"))
    from sumtoone.comparing import compare as compared
    from sumtoone.data import load

    check_label(label, source)
    dataset = load(source, label=label or "label", weight=weight)
    folder = out or Path("runs") / f"compare-{Path(dataset.name).stem}"
    try:
        found = compared(dataset, out=folder, progress=not quiet, on_event=voice.emit, **given)
    except KeyboardInterrupt:
        warn(text("cli.compare.interrupted", out=folder))
        raise
    _say(voice, found, folder)
    return 0


def _say(voice: Voice, found: Comparison, folder: Path) -> None:
    from sumtoone import plots

    head, body = found.table
    if any(found.curves(contender) for contender in found.contenders):
        plots.save(found.figure(), folder / "curves.png")
    voice.emit({"event": "done", **found.to_json()})
    voice.say(
        "\n".join(["", *aligned([tuple(head), *map(tuple, body)]), "", *map(str, found.statements), *found.notes])
    )
    voice.say(text("cli.compare.done", out=folder))
    for statement in found.statements:
        voice.result(str(statement))
    if not found.statements:
        voice.result(str(folder))


def _words(given: str | None) -> list[str] | None:
    return None if given is None else [word.strip() for word in given.split(",")]


def _numbers(name: str, given: str | None, kind: Any) -> list[Any] | None:
    """Return the numbers of a list; what is none is refused by the name of its option."""
    words = _words(given)
    if words is None:
        return None
    found = []
    for word in words:
        try:
            # Not what Python reads besides: 1_000, ٣, and texts of a million digits.
            if not word.isascii() or "_" in word or len(word) > 40:
                raise ValueError
            found.append(kind(word))
        except ValueError:
            wanted = text("cli.wanted.whole" if kind is int else "cli.wanted.number")
            fields: Mapping[str, str] = {"given": word or "''", "wanted": wanted, "command": "sumtoone compare"}
            raise UsageError("argument-value", name=name, **fields) from None
    return found
