"""``sumtoone calibrate``: a run and its own validation rows in, a temperature out, kept with the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sumtoone.cli.common import AsJson, Lang, NetworkFile, Quiet, Voice, check_label, opened
from sumtoone.errors import RunError
from sumtoone.language import text
from sumtoone.language.lines import aligned

if TYPE_CHECKING:
    from sumtoone.data import Split
    from sumtoone.evaluation import Report
    from sumtoone.runs import Run

_SCORES = ("nll", "ece", "ece_equal_mass")


def calibrate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="cli.calibrate.run")],
    data: Annotated[str | None, typer.Argument(metavar="DATA", help="cli.calibrate.data")] = None,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="cli.evaluate.label")] = None,
    network: NetworkFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> None:
    """Fit a run's temperature on its own validation rows, and keep it in the run's folder."""
    voice = Voice(as_json, quiet)
    voice.begin(text("cli.calibrate.begin", run=run))
    from sumtoone.run_folder import check_finished, held

    folder = Path(run)
    check_finished(folder)
    # From what is read to what is written, so that nobody else writes in between.
    with held(folder):
        given = opened(run, network)
        _, document = keep(voice, given, _own_rows(given, run, data, label), folder)
    voice.emit({"run": run, **document})


def _own_rows(run: Run, path: str, data: str | None, label: str | None) -> Split:
    """Return the validation rows of the data that the run was trained on, and of no other."""
    from sumtoone.data import load

    source, name = run.data if data is None else data, run.label if label is None else label
    check_label(None if name == run.label else name, source)
    dataset = load(source, label=name, weight=run.weight)
    if dataset.features == run.preprocessing.features:
        dataset = dataset.in_order(run.columns)
    if dataset.fingerprint != run.fingerprint:
        raise RunError("calibrate-data", path=path, source=source)
    dataset.need("validation", "sumtoone calibrate")
    return dataset.validation


def keep(voice: Voice, run: Run, split: Split, folder: Path) -> tuple[Run, dict[str, Any]]:
    """Calibrate a run on a split, write what was found into its folder, whose lock is held, and say it.

    Return the calibrated run, and what ``--json`` prints.
    """
    from sumtoone.calibration import calibrate as fitted
    from sumtoone.evaluation import evaluate
    from sumtoone.run_format import write_calibration

    calibrated = fitted(run, split)
    found = calibrated.calibration
    assert found is not None, "it was fitted"
    before, after = evaluate(replace(run, calibration=None), split), evaluate(calibrated, split)
    write_calibration(folder, found)
    fields = {"temperature": f"{found.temperature:.4f}", "rows": f"{found.rows:,}"}
    voice.say(text("cli.calibrate.found" if found.found else "cli.calibrate.none", **fields))
    voice.say("\n".join(_table(before, after)))
    voice.result(f"{text('cli.calibrate.temperature')}  {found.temperature:.4f}")
    document = {"temperature": found.temperature, "found": found.found, "rows": found.rows}
    return calibrated, {**document, "before": _scores(before), "after": _scores(after)}


def _table(before: Report, after: Report) -> list[str]:
    head = ("", text("cli.calibrate.before"), text("cli.calibrate.after"))
    rows = [(text(f"evaluation.{name}"), _shown(before, name), _shown(after, name)) for name in _SCORES]
    return [*(line.rstrip() for line in aligned([head, *rows])), text("evaluation.intervals")]


def _shown(report: Report, name: str) -> str:
    low, high = report.intervals[name]
    return f"{getattr(report, name):.4f} [{low:.4f}, {high:.4f}]"


def _scores(report: Report) -> dict[str, Any]:
    scores = {name: getattr(report, name) for name in _SCORES}
    return {**scores, "intervals": {name: list(report.intervals[name]) for name in _SCORES}}
