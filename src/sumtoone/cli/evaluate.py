"""``sumtoone evaluate``: a run and a data set in, plain numbers out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sumtoone.cli.common import AsJson, Lang, NetworkFile, Quiet, Voice, check_label, opened, warn
from sumtoone.errors import DataError, UsageError
from sumtoone.language import text
from sumtoone.language.lines import listed
from sumtoone.specification import not_among

if TYPE_CHECKING:
    from sumtoone.data import Dataset
    from sumtoone.evaluation import Report
    from sumtoone.runs import Run

SPLITS = ("test", "validation", "train", "all")

# What is wrong with data to train on, and nothing against rows to judge a run by.
_TOO_FEW = ("data-one-class", "data-rows", "data-label-unseen")


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="cli.evaluate.run")],
    data: Annotated[str | None, typer.Argument(metavar="DATA", help="cli.evaluate.data")] = None,
    split: Annotated[str | None, typer.Option(metavar="|".join(SPLITS), help="cli.evaluate.split")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="cli.evaluate.plots")] = None,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="cli.evaluate.label")] = None,
    network: NetworkFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> None:
    """Judge a run on the rows of a split, and draw what was found."""
    if split is not None and split not in SPLITS:
        raise not_among("--split", split, SPLITS)
    voice = Voice(as_json, quiet)
    voice.begin(text("cli.evaluate.begin", run=run))
    from sumtoone.evaluation import evaluate as judge

    judged = opened(run, network)
    dataset, which = _chosen(judged, data, judged.label if label is None else label, split)
    report = judge(judged, dataset.test if which == "all" else getattr(dataset, which))
    voice.emit({"data": dataset.name, "split": which, **report.to_json()})
    voice.say(text(f"cli.evaluate.rows-{which}", data=dataset.name))
    if judged.calibration is not None:
        temperature = f"{judged.calibration.temperature:.4f}"
        voice.say(text("cli.evaluate.calibrated", temperature=temperature, rows=f"{judged.calibration.rows:,}"))
    low, high = report.intervals["accuracy"]
    voice.result(f"{text('evaluation.accuracy')}  {report.accuracy:.4f}  [{low:.4f}, {high:.4f}]")
    _say(voice, report)
    if plots is not None:
        _draw(voice, judged, report, plots)


def _chosen(run: Run, data: str | None, label: str, split: str | None) -> tuple[Dataset, str]:
    """Return the rows to judge by, and which they are: the test rows of the run's own data, all of another file."""
    from sumtoone.data import load

    source = run.data if data is None else data
    check_label(None if label == run.label else label, source)
    try:
        dataset = load(source, label=label)
    except DataError as error:
        if data is None or split not in (None, "all") or error.code not in _TOO_FEW:
            raise
        dataset = load(source, label=label, whole=True)
    dataset = dataset.weighted(run.weight, needed=False)
    if dataset.features == run.preprocessing.features or run.columns is not None:
        dataset = dataset.in_order(run.columns)
    own = dataset.fingerprint == run.fingerprint
    if not own:
        fields = {"name": dataset.name, "found": dataset.fingerprint[:12], "stored": run.fingerprint[:12]}
        warn(text("cli.evaluate.changed", **fields))
        if dataset.features == run.preprocessing.features:  # else the evaluation's own error says what is wrong
            dataset = _comparable(run, dataset)
    which = split or ("test" if own or data is None else "all")
    return dataset.whole() if which == "all" else dataset, which


def _comparable(run: Run, dataset: Dataset) -> Dataset:
    """Return the data set with its labels numbered as the run's classes; the same name means the same class."""
    import torch

    from sumtoone.data import Split

    places = {name: place for place, name in enumerate(run.classes)}
    unknown = [name for name in dataset.classes if name not in places]
    if unknown:
        raise DataError("evaluate-classes", given=listed(unknown), known=listed(run.classes))
    kinds = text("cli.evaluate.floats"), text("cli.evaluate.bytes")
    trained, given = run.preprocessing.divisor != 1, dataset.train.inputs.dtype == torch.uint8
    if trained != given:
        raise DataError("evaluate-scale", expected=kinds[trained], given=kinds[given])
    numbers = torch.tensor([places[name] for name in dataset.classes])
    parts = {part: getattr(dataset, part) for part in ("train", "validation", "test")}
    parts = {part: Split(rows.inputs, numbers[rows.labels], rows.columns) for part, rows in parts.items()}
    return replace(dataset, classes=run.classes, **parts)


def _say(voice: Voice, report: Report) -> None:
    from sumtoone.cli.terminal import commonest_confusions, confusion_table

    counts = [] if report.confusion is None else report.confusion.tolist()
    table = confusion_table(counts, report.classes, voice.width) if counts else []
    heading = text("cli.evaluate.confusion" if table else "cli.evaluate.confusions")
    bins = text("cli.evaluate.bins", bins=len(report.reliability.counts))
    voice.say("\n".join([str(report), "", heading, *(table or commonest_confusions(report.confusions)), "", bins]))


def _draw(voice: Voice, run: Run, report: Report, folder: Path) -> None:
    from sumtoone import plots

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("plot-unwritable", given=f"{folder}: {error.strerror or error}") from None
    pictures = {
        "confusion.png": plots.confusion_matrix(report),
        "reliability.png": plots.reliability_diagram(report),
        "curves.png": plots.training_curves(run.history),
    }
    for name, figure in pictures.items():
        voice.say(text("cli.evaluate.picture", path=plots.save(figure, folder / name)))
