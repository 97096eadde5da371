"""``sumtoone runs``: what a folder of runs holds, without opening one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sumtoone.cli.common import AsJson, Lang, Quiet, Voice
from sumtoone.intervals import with_interval
from sumtoone.language import text
from sumtoone.language.display import printable
from sumtoone.language.lines import aligned, cut

if TYPE_CHECKING:
    from sumtoone.comparing.listing import Listed

_LONGEST = 40


def runs(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="cli.runs.folder")] = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> None:
    """List the runs in a folder."""
    voice = Voice(as_json, quiet)
    from sumtoone.comparing.listing import list_runs

    found = list_runs(folder)
    voice.emit({"folder": str(folder), "runs": [run.to_json() for run in found]})
    for run in found:
        voice.result(str(run.path))
    if not found:
        voice.say(text("cli.runs.none", folder=folder))
        return
    names = ("run", "state", "network", "optimizer", "lr", "batch", "data", "seed", "epochs", "accuracy", "seconds")
    head = tuple(text(f"cli.runs.head-{name}") for name in names)
    voice.say("\n".join(aligned([head, *(_cells(run, folder) for run in found)])))
    for run in found:
        if run.why is not None:
            voice.say(text("cli.runs.why", path=run.path, why=run.why))


def _cells(run: Listed, folder: Path) -> tuple[str, ...]:
    inside = run.path.relative_to(folder)
    name = str(inside) if inside.parts else run.path.resolve().name
    network = f"{run.network} ({run.activation})" if run.activation else run.network
    accuracy = "–" if run.accuracy is None else f"{run.accuracy:.2%}"
    if run.right is not None and run.rows:
        accuracy = with_interval(run.right, run.rows)
    lr = None if run.lr is None else f"{run.lr:g}"
    epochs = run.epochs if run.of in (None, run.epochs) else f"{'–' if run.epochs is None else run.epochs}/{run.of}"
    return (
        cut(printable(name), _LONGEST),
        text(f"cli.runs.{run.state}"),
        *(_shown(each) for each in (network, run.optimizer, lr, run.batch_size, run.data, run.seed, epochs)),
        accuracy,
        "–" if run.seconds is None else f"{run.seconds:.1f}",
    )


def _shown(value: object) -> str:
    return "–" if value is None else cut(printable(value), _LONGEST)
