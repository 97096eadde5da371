"""What every verb shares: its three options, the voice it speaks with, and help in two languages."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from sumtoone.errors import SumtooneError, UsageError
from sumtoone.language import LANGUAGES, entries, language, speak, text
from sumtoone.specification import did_you_mean

if TYPE_CHECKING:
    from rich.console import Console
    from torch import nn

    from sumtoone.runs import Run

# --- options. Help texts are keys of the language files; the classes below look them up when help is shown.


def _choose_language(name: str | None) -> str | None:
    if name is not None and name not in LANGUAGES:
        raise UsageError("language-unknown", given=name, hint=did_you_mean(name, LANGUAGES))
    if name is not None:
        speak(name)
    return name


AsJson = Annotated[bool, typer.Option("--json", help="cli.common.json")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="cli.common.quiet")]
Lang = Annotated[
    str | None,
    typer.Option("--lang", metavar="en|ko", help="cli.common.lang", callback=_choose_language, is_eager=True),
]

NetworkFile = Annotated[str | None, typer.Option("--network", metavar="FILE.py:NAME", help="cli.common.network")]


# --- the voice


@dataclass(frozen=True)
class Voice:
    """Where a verb's words and documents go.

    Words go to standard output, or to standard error beside ``--json``; ``--quiet`` drops them.
    Documents go to standard output, one JSON document a line, and only with ``--json``.
    """

    json: bool
    quiet: bool

    def say(self, words: str) -> None:
        """Print plain words, as they are."""
        if not self.quiet:
            print(words, file=sys.stderr if self.json else sys.stdout, flush=True)

    def emit(self, document: Mapping[str, Any]) -> None:
        """Print one JSON document on one line; NaN and infinities become null."""
        if self.json:
            print(_json_line(document), flush=True)

    def console(self) -> Console:
        """Return a rich console on the stream that words go to."""
        from rich.console import Console

        return Console(stderr=self.json, quiet=self.quiet, highlight=False)


def opened(run: str, network: str | None) -> Run:
    """Return the run in a folder, with the module from ``FILE.py:NAME`` where one is named."""
    from sumtoone.runs import open_run

    return open_run(run, network=module_in(network))


def module_in(network: str | None, seed: int = 0) -> nn.Module | None:
    """Return the module that ``FILE.py:NAME`` names; None where nothing is named."""
    if network is None:
        return None
    from sumtoone.adoption.files import module_from_file

    return module_from_file(network, seed)


def _json_line(document: Mapping[str, Any]) -> str:
    """Return one line of JSON, in ASCII where the output has no such letters: halves of letters, Hangul in Latin-1."""
    plain = _finite(document)
    line = json.dumps(plain, ensure_ascii=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(plain)
    return line


@contextmanager
def every_letter() -> Iterator[None]:
    """Make the outputs show letters that they cannot carry as escapes, inside the block, rather than fail on them."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            stream.reconfigure(errors=errors)


def warn(words: str) -> None:
    """Print words on standard error, whatever the options: what a person must not miss."""
    print(words, file=sys.stderr, flush=True)


def error_document(error: SumtooneError) -> dict[str, str]:
    """Return an error as what ``--json`` prints of it."""
    parts = {"code": error.code, "message": error.message, "expected": error.expected, "got": error.got}
    return {**parts, "try": error.try_}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


# --- help in the language in force


def _translate(key: str | None) -> str | None:
    return entries(language()).get(key, key) if key else key


class _HelpInLanguage:
    """Looks keys up, and writes the headings, of a command's help."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        pieces = self.collect_usage_pieces(ctx)  # type: ignore[attr-defined]
        formatter.write_usage(ctx.command_path, " ".join(pieces), prefix=text("cli.common.usage") + " ")

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(_translate(self.help) or "")  # type: ignore[attr-defined]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            if parameter.name == "help":
                parameter.help = "cli.common.help"
            record = parameter.get_help_record(ctx)
            if record is not None:
                words = (_translate(parameter.help) or "") + _default_note(parameter)
                (arguments if parameter.param_type_name == "argument" else options).append((record[0], words))
        for heading, records in (("arguments", arguments), ("options", options)):
            if records:
                with formatter.section(text(f"cli.common.{heading}")):
                    formatter.write_dl(records)


def _default_note(parameter: Any) -> str:
    default = parameter.default
    if getattr(parameter, "is_flag", False) or default in (None, "", ()) or callable(default):
        return ""
    return f" [{text('cli.common.default')}: {default}]"


class VerbCommand(_HelpInLanguage, TyperCommand):
    """A verb whose help is in the language in force."""


class VerbGroup(_HelpInLanguage, TyperGroup):
    """A group of verbs whose help is in the language in force."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then a line for every verb."""
        super().format_options(ctx, formatter)
        verbs = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, (_translate(verb.help) or "").partition("\n")[0]) for name, verb in verbs if verb is not None]
        with formatter.section(text("cli.common.verbs")):
            formatter.write_dl(rows)
