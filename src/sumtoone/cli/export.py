"""``sumtoone export``: a run in, a file out that answers alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sumtoone.cli.common import AsJson, Lang, Quiet, Voice, opened
from sumtoone.errors import RunError
from sumtoone.language import text
from sumtoone.language.display import printable
from sumtoone.specification import not_among

if TYPE_CHECKING:
    from sumtoone.runs import Run

# What stands behind the run's name where no path is given.
_ENDINGS = {"onnx": ".onnx", "triton": "-triton", "html": ".html", "pytorch": "-pytorch"}
_STYLES = ("class", "functional")
_LONGEST_NAME = 60


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="cli.export.run")],
    format_: Annotated[str, typer.Option("--format", metavar="|".join(_ENDINGS), help="cli.export.format")],
    out: Annotated[Path | None, typer.Option(metavar="PATH", help="cli.export.out")] = None,
    style: Annotated[str | None, typer.Option(metavar="|".join(_STYLES), help="cli.export.style")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> None:
    """Write a run as a file that needs no sumtoone, and say how closely it answers alike."""
    if format_ not in _ENDINGS:
        raise not_among("--format", format_, tuple(_ENDINGS))
    voice = Voice(as_json, quiet)
    voice.begin(text("cli.export.begin", run=run))
    from sumtoone import exporting

    exported = _opened(run)
    path = default_path(exported.name, format_) if out is None else out
    written = exporting.write(exported, path, format_, style=style)
    voice.emit(
        {"written": str(written.path), "format": format_, "bytes": written.bytes, "difference": written.difference}
    )
    voice.result(printable(written.path))
    voice.say(text("cli.export.written", path=written.path, size=f"{written.bytes:,}"))
    if written.difference is not None:
        from sumtoone.exporting.agreement import ROWS

        voice.say(text("cli.export.checked", rows=ROWS, difference=f"{written.difference:.1g}"))


def default_path(name: str, format_: str) -> Path:
    """Return where a run of this name goes in the working folder: its letters, digits, dots and dashes.

    >>> str(default_path("../small: 한글", "onnx")), str(default_path("..", "triton"))
    ('small-한글.onnx', 'run-triton')
    """
    kept = re.sub(r"[^\w.-]+", "-", name).strip(".-_")[:_LONGEST_NAME]
    return Path((kept or "run") + _ENDINGS[format_])


def _opened(path: str) -> Run:
    """Return the run in a folder; what no export takes is refused without asking for its module."""
    try:
        return opened(path, None)
    except RunError as error:
        if error.code != "run-module":
            raise
        from sumtoone.exporting import refusal

        raise refusal(str(error.fields["kind"])) from None
