"""``sumtoone train``: words into values, then ``fit``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sumtoone.cli import training
from sumtoone.cli.calibrate import keep
from sumtoone.cli.common import AsJson, Lang, Quiet, Voice, check_label, module_in, option, warn
from sumtoone.cli.outcome import Outcome, odd_columns, told
from sumtoone.errors import DtypeError, ShapeError, UsageError
from sumtoone.intervals import with_interval
from sumtoone.language import text
from sumtoone.options import TrainingOptions
from sumtoone.specification import Specification, names_file

if TYPE_CHECKING:
    from torch import nn

    from sumtoone.data import Dataset
    from sumtoone.network import Network
    from sumtoone.runs import Run

# Why a module is no dense network, though a run of its own it can be.
_TRAINED_AS_THEY_ARE = {
    f"adopt-{reason}"
    for reason in (
        *("computed", "custom", "differs", "dropout", "dtype", "lazy", "mixed", "no-layers", "operation"),
        *("scaling", "shared", "skip", "values"),
    )
}


def train(
    data: training.Data = None,
    network: Annotated[str | None, typer.Option(metavar="SIZES|FILE.py:NAME", help="cli.train.network")] = None,
    activation: Annotated[str | None, typer.Option(metavar="NAME", help="cli.train.activation")] = None,
    dropout: training.Dropout = None,
    epochs: training.Epochs = None,
    batch_size: Annotated[int | None, typer.Option(help="cli.train.batch-size")] = None,
    optimizer: Annotated[str | None, typer.Option(metavar="adamw|adam|sgd|muon", help="cli.train.optimizer")] = None,
    lr: Annotated[float | None, typer.Option(help="cli.train.lr")] = None,
    momentum: training.Momentum = None,
    nesterov: Annotated[bool | None, typer.Option("--nesterov", help="cli.train.nesterov")] = None,
    weight_decay: training.WeightDecay = None,
    label_smoothing: training.LabelSmoothing = None,
    schedule: training.Schedule = None,
    deformation: training.Deformation = None,
    noise: training.Noise = None,
    averaging: training.Averaging = None,
    class_weight: training.ClassWeight = None,
    early_stopping: Annotated[int | None, typer.Option(metavar="EPOCHS", help="cli.train.early-stopping")] = None,
    seed: Annotated[int | None, typer.Option(help="cli.train.seed")] = None,
    snapshots: Annotated[bool | None, typer.Option("--snapshots", help="cli.train.snapshots")] = None,
    engine: training.Engine = None,
    precision: training.Precision = None,
    threads: Annotated[int | None, typer.Option(help="cli.train.threads")] = None,
    device: training.Device = None,
    label: training.Label = None,
    weight: training.Weight = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="cli.train.out")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="cli.train.resume")] = False,
    test: Annotated[bool, typer.Option("--test", help="cli.train.test")] = False,
    plots: Annotated[bool, typer.Option("--plots", help="cli.train.plots")] = False,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="cli.train.calibrate")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> int:
    """Train a network on a data set and write the run."""
    asked = locals()
    named = {field.name: asked[field.name] for field in fields(TrainingOptions)}
    chosen = {name: value for name, value in named.items() if value is not None}
    if class_weight is not None:
        chosen["class_weight"] = training.weights_of_classes(class_weight)
    voice = Voice(as_json, quiet)
    task = _Task(data, label, weight, network, activation, dropout, chosen, test or plots, calibrate)
    run, folder = _resume(voice, out, task) if resume else _start(voice, out, task)
    outcome = Outcome.of(run)
    voice.say("\n".join(outcome.words))
    try:
        run, calibration = _calibrated(voice, run, folder) if calibrate else (run, None)
        report = _judge(voice, run, folder, plots) if test or plots else None
        done = {"test": report if test else None, "calibration": calibration}
        voice.emit({"event": "done", "out": str(folder), **done, **outcome.to_json()})
    finally:
        # Whatever became of the judgement, the run is there.
        voice.say(text("cli.train.done", out=folder))
        voice.result(str(folder))
    return 0


@dataclass(frozen=True)
class _Task:
    """What the words of a command ask for; None for what they do not name."""

    data: str | None
    label: str | None
    weight: str | None
    network: str | None
    activation: str | None
    dropout: float | None
    chosen: dict[str, Any]
    judged: bool
    calibrated: bool

    def again(self, network: nn.Module | None) -> list[str]:
        """Return the words that a command to go on with training ``network`` needs beside its folder."""
        from sumtoone.network import Network

        # Of a dense network the run's folder has the sizes, whatever file it was read from.
        own = self.network is not None and network is not None and not isinstance(network, Network)
        return [*(["--network", str(self.network)] if own else []), *(["--calibrate"] if self.calibrated else [])]

    def check_options(self) -> None:
        """Refuse options of sizes beside a file, which says itself what its network is."""
        if self.network is not None and names_file(self.network) and (self.activation, self.dropout) != (None, None):
            raise UsageError("adopt-options", given=_named(self, "activation", "dropout"), network=self.network)


def _start(voice: Voice, out: Path | None, task: _Task) -> tuple[Run, Path]:
    options, sizes, data = TrainingOptions.of(**task.chosen), task.network, task.data or "digits"
    activation, dropout = task.activation or "relu", task.dropout or 0.0
    in_file = sizes is not None and names_file(sizes)
    if sizes is not None and not in_file:
        Specification.parse(sizes, activation, dropout)
    task.check_options()
    voice.begin(text("cli.train.begin"))
    from sumtoone.data import load
    from sumtoone.network import Network
    from sumtoone.training import fit

    check_label(task.label, data)
    dataset = load(data, label=task.label or "label", weight=task.weight)
    if task.judged:
        dataset.need("test", "--test, --plots")
    if task.calibrated:
        dataset.need("validation", "--calibrate")
    described = sizes or f"{dataset.features}-128-64-{len(dataset.classes)}"
    if in_file:
        network = _from_file(voice, described, dataset, options)
        described, activation = _called(network)
    else:
        network = Network(described, activation, dropout, seed=options.seed)
    rows = f"{len(dataset.train):,}"
    begun = text("cli.train.start", network=described, activation=activation, data=dataset.name, rows=rows)
    if options.early_stopping is not None and options.schedule == "one-cycle":
        begun += "\n" + text("cli.train.one-cycle")
    begun = "\n".join([begun, *odd_columns(dataset)])
    with (
        nullcontext(out) if out is not None else _default_folder(dataset) as folder,
        told(folder, out, task.again(network)),
    ):
        run = fit(network, dataset, options, out=folder, progress=not voice.quiet, on_event=_listener(voice, begun))
    return run, folder


def _named(task: _Task, *names: str) -> str:
    """Return the options of these names that the command named, as it did."""
    given = {name: getattr(task, name) for name in names}
    return " ".join(f"{option(name)} {value}" for name, value in given.items() if value is not None)


def _from_file(voice: Voice, given: str, dataset: Dataset, options: TrainingOptions) -> nn.Module:
    """Return the network that the person's own file holds, or the module itself where it is no dense network."""
    from sumtoone.adoption.files import module_from_file

    module = module_from_file(given, options.seed)
    try:
        return _adopted(voice, given, module, dataset, options)
    except (UsageError, ShapeError, DtypeError) as error:
        if error.code not in _TRAINED_AS_THEY_ARE:
            raise
        voice.say(text("adoption.as-it-is", name=given.rpartition(":")[2], why=error.message, got=error.got))
        return module


def _adopted(voice: Voice, given: str, module: nn.Module, dataset: Dataset, options: TrainingOptions) -> Network:
    """Return the network that a module is; say which."""
    import torch

    from sumtoone.adoption import adopt
    from sumtoone.network import Network

    # As many rows as a batch has: a module may count on them.
    adopted = adopt(module, torch.zeros(options.batch_size, dataset.features))
    network = Network.from_adopted(adopted)
    for note in adopted.notes:
        warn(text(note))
    fields = {"name": given.rpartition(":")[2], "network": str(network.specification)}
    ending = "" if adopted.ending == "none" else text("adoption.softmax", name=adopted.ending)
    voice.say(text("adoption.found", activation=network.specification.activation, ending=ending, **fields))
    return network


def _called(network: nn.Module) -> tuple[str, str]:
    """Return what the first line calls a network, and what it says in brackets."""
    from sumtoone.network import Network

    if isinstance(network, Network):
        return str(network.specification), network.specification.activation
    parameters = sum(parameter.numel() for parameter in network.parameters() if not hasattr(parameter, "materialize"))
    return type(network).__name__, text("cli.train.parameters", count=f"{parameters:,}")


def _resume(voice: Voice, out: Path | None, task: _Task) -> tuple[Run, Path]:
    if out is None:
        raise UsageError("resume-out")
    task.check_options()
    voice.begin(text("cli.train.begin"))
    from sumtoone.training import resume

    _check_kept(out, task)
    module = module_in(task.network) if task.network is not None and ".py" in task.network else None
    with told(out, None, task.again(module)):
        begun = text("cli.train.resume-start", out=out)
        return resume(out, network=module, progress=not voice.quiet, on_event=_listener(voice, begun)), out


def _check_kept(out: Path, task: _Task) -> None:
    """Refuse options that would do nothing: a run goes on with its own."""
    from sumtoone.data import named
    from sumtoone.training.resuming import kept_task

    kept = kept_task(out)
    if kept is None:
        return
    if task.calibrated:
        from sumtoone.data import load

        source = {name: kept[name] for name in ("label", "weight")}
        load(kept["data"], **source).need("validation", "--calibrate")
    given = {**task.chosen, "data": task.data, "label": task.label, "weight": task.weight}
    given |= {"activation": task.activation, "dropout": task.dropout, "network": task.network}
    if task.data is not None and task.data not in named.names():
        given["data"] = str(Path(task.data).expanduser().absolute())
    for name, value in given.items():
        if value is not None and name in kept and kept[name] != value:
            shown = f"DATA {value}" if name == "data" else f"{option(name)} {value}"
            raise UsageError("resume-options", given=shown, kept=kept[name])


def _default_folder(dataset: Dataset) -> AbstractContextManager[Path]:
    """Make ``runs/<data>-<date>-<time>``, with a number behind it where that is taken."""
    from datetime import datetime

    from sumtoone.run_folder import unique_folder

    return unique_folder(Path("runs"), f"{Path(dataset.name).stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")


def _listener(voice: Voice, begun: str) -> Any:
    """Return what hears of the training: says that it has begun, when it has, and prints a document for each epoch."""
    said: list[str] = []

    def hear(event: Mapping[str, Any]) -> None:
        if not said:
            voice.say(begun)
            said.append(begun)
        if event["event"] == "epoch":
            voice.emit(event)

    return hear


def _calibrated(voice: Voice, run: Run, folder: Path) -> tuple[Run, dict[str, Any]]:
    """Calibrate the run on its validation rows, and keep what was found in its folder."""
    from sumtoone.data import load
    from sumtoone.run_folder import held

    with held(folder, wait=True):
        return keep(voice, run, load(run.data, label=run.label, weight=run.weight).validation, folder)


def _judge(voice: Voice, run: Run, folder: Path, plots: bool) -> dict[str, Any]:
    """Evaluate on the test split, once; say the accuracy, keep the numbers with the run, draw the pictures."""
    from sumtoone.data import load
    from sumtoone.evaluation import MOST_CLASSES, evaluate

    report = evaluate(run, load(run.data, label=run.label, weight=run.weight).test)
    document: dict[str, Any] = report.to_json()
    run.with_metrics(folder, {"test": report.to_json(most=MOST_CLASSES)})
    accuracy = with_interval(report.right, report.rows)
    said = text("cli.train.test-accuracy", accuracy=accuracy, rows=f"{report.rows:,}")
    voice.say(said)
    voice.result(said)
    if not report.beats_chance:
        share = f"{report.majority:.2%}"
        voice.say(text("cli.train.chance", name=report.commonest.name, share=share, rows=f"{report.rows:,}"))
    if plots:
        from sumtoone import plots as drawing

        drawing.save(drawing.training_curves(run.history), folder / "curves.png")
        drawing.save(drawing.confusion_matrix(report), folder / "confusion.png")
        voice.say(text("cli.train.pictures", curves=folder / "curves.png", confusion=folder / "confusion.png"))
    return document
