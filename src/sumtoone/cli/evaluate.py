"""``sumtoone evaluate``: a run and a data set in, plain numbers out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sumtoone.cli.common import AsJson, Lang, NetworkFile, Quiet, Voice, opened, warn
from sumtoone.errors import DataError, UsageError
from sumtoone.language import text
from sumtoone.specification import did_you_mean

if TYPE_CHECKING:
    from sumtoone.data import Dataset, Split
    from sumtoone.evaluation import Report
    from sumtoone.runs import Run

SPLITS = ("test", "validation", "train")


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="cli.evaluate.run")],
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="cli.evaluate.data")] = None,
    split: Annotated[str, typer.Option(metavar="|".join(SPLITS), help="cli.evaluate.split")] = "test",
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="cli.evaluate.plots")] = None,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="cli.evaluate.label")] = None,
    network: NetworkFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> None:
    """Judge a run on the rows of a split, and draw what was found."""
    if split not in SPLITS:
        raise UsageError("source-split", given=split[:60], hint=did_you_mean(split[:60], SPLITS))
    from sumtoone.data import load
    from sumtoone.evaluation import evaluate as judge

    voice = Voice(as_json, quiet)
    judged = opened(run, network)
    dataset = load(judged.data if data is None else data, label=judged.label if label is None else label)
    report = judge(judged, _comparable(judged, dataset, getattr(dataset, split)))
    voice.emit(report.to_json())
    _say(voice, report)
    if plots is not None:
        _draw(voice, judged, report, plots)


def _comparable(run: Run, dataset: Dataset, split: Split) -> Split:
    """Return the split with the labels of the run's classes; the same name means the same class."""
    import torch

    from sumtoone.data import Split

    fingerprint = dataset.fingerprint
    if fingerprint == run.fingerprint:
        return split
    fields = {"name": dataset.name, "found": fingerprint[:12], "stored": run.fingerprint[:12]}
    warn(text("cli.evaluate.changed", **fields))
    if dataset.features != run.preprocessing.features:
        return split  # the evaluation's own error says what is wrong
    unknown = [name for name in dataset.classes if name not in run.classes]
    if unknown:
        raise DataError("evaluate-classes", unknown=_listed(unknown), known=_listed(run.classes))
    kinds = text("cli.evaluate.floats"), text("cli.evaluate.bytes")
    trained, given = run.preprocessing.divisor != 1, split.inputs.dtype == torch.uint8
    if trained != given:
        raise DataError("evaluate-scale", expected=kinds[trained], got=kinds[given])
    places = torch.tensor([run.classes.index(name) for name in dataset.classes])
    return Split(split.inputs, places[split.labels])


def _listed(names: tuple[str, ...] | list[str], most: int = 12) -> str:
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def _say(voice: Voice, report: Report) -> None:
    from sumtoone.cli.terminal import commonest_confusions, confusion_table

    counts = report.confusion.tolist()
    table = confusion_table(counts, report.classes, voice.console().width)
    heading = text("cli.evaluate.confusion" if table else "cli.evaluate.confusions")
    bins = text("cli.evaluate.bins", bins=len(report.reliability.counts))
    voice.say("\n".join([str(report), "", heading, *(table or commonest_confusions(counts, report.classes)), "", bins]))


def _draw(voice: Voice, run: Run, report: Report, folder: Path) -> None:
    from sumtoone import plots

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("plot-unwritable", path=folder, why=error.strerror or str(error)) from None
    pictures = {
        "confusion.png": plots.confusion_matrix(report),
        "reliability.png": plots.reliability_diagram(report),
        "curves.png": plots.training_curves(run.history),
    }
    for name, figure in pictures.items():
        voice.say(text("cli.evaluate.picture", path=plots.save(figure, folder / name)))
