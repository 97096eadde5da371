"""What every verb shares: its three options, the voice it speaks with, and help in two languages."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from sumtoone.errors import SeveralErrors, SumtooneError, UsageError
from sumtoone.language import LANGUAGES, entries, language, speak, text
from sumtoone.language.lines import broken, cells
from sumtoone.specification import not_among
from sumtoone.storage import json_line

if TYPE_CHECKING:
    from rich.console import Console
    from torch import nn

    from sumtoone.runs import Run

# --- options. Help texts are keys of the language files; the classes below look them up when help is shown.


def _choose_language(name: str | None) -> str | None:
    if name is not None and name not in LANGUAGES:
        raise not_among("--lang", name, LANGUAGES)
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

_NARROWEST = 24
_OPTION_CODES = ("choice", "number-range", "training-class-weight", "training-count", "split-needed")


@dataclass(frozen=True)
class Voice:
    """Where a verb's words and documents go.

    Words go to standard output, or to standard error beside ``--json``; ``--quiet`` drops them, and leaves the results.
    Documents go to standard output, one JSON document a line, and only with ``--json``.
    """

    json: bool
    quiet: bool

    @property
    def stream(self) -> TextIO:
        """Where words go."""
        return sys.stderr if self.json else sys.stdout

    @property
    def width(self) -> int:
        """The cells of a line of the terminal, or 80."""
        return shutil.get_terminal_size().columns

    @property
    def has_blocks(self) -> bool:
        """Whether the output has letters such as block elements and Braille."""
        return "utf" in (self.stream.encoding or "").lower()

    def begin(self, words: str) -> None:
        """Say what is being done before what takes long is loaded, where somebody sits at a terminal."""
        if self.stream.isatty():
            self.say(words)

    def say(self, words: str, style: str = "") -> None:
        """Print plain words; in a terminal, lines that are too long for it break between words.

        ``style`` is the number of an ANSI style, such as ``"1"`` for bold, for terminals that have colours.
        """
        if self.quiet:
            return
        words = wrapped(words, self.stream)
        if style and self._has_colours():
            words = f"\x1b[{style}m{words}\x1b[0m"
        print(words, file=self.stream, flush=True)

    def _has_colours(self) -> bool:
        if os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or (self.stream.isatty() and os.environ.get("TERM") != "dumb")

    def result(self, result: str) -> None:
        """Print what was asked for in its shortest form, where ``--quiet`` keeps all other words back."""
        if self.quiet and not self.json:
            print(result, flush=True)

    def emit(self, document: Mapping[str, Any]) -> None:
        """Print one JSON document on one line; NaN and infinities become null."""
        if self.json:
            print(json_line(document, sys.stdout.encoding or "utf-8"), flush=True)

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
    print(wrapped(words, sys.stderr), file=sys.stderr, flush=True)


def wrapped(words: str, stream: Any) -> str:
    """Return words in lines that fit the terminal that a stream is; as they are where it is none."""
    if not stream.isatty():
        return words
    width = max(shutil.get_terminal_size().columns, _NARROWEST)
    return "\n".join(broken(line, width) for line in words.split("\n"))


def on_command_line(error: SumtooneError) -> SumtooneError:
    """Return an error about options of training as it is said here: ``--lr``, not ``lr``."""
    if isinstance(error, SeveralErrors):
        problems = tuple(map(on_command_line, error.problems))
        return SeveralErrors(error.code, **{**error.fields, "problems": problems})
    name = str(error.fields.get("name"))
    # Not what is an option already, nor a variable of the environment.
    if error.code in _OPTION_CODES and name.isidentifier() and name.islower():
        return type(error)(error.code, **{**error.fields, "name": option(name)})
    return error


def option(name: str) -> str:
    """Return a keyword of Python's as the option of the command line."""
    return "--" + name.replace("_", "-")


def check_label(label: str | None, data: str) -> None:
    """Refuse ``--label`` for data in which no column is named."""
    from sumtoone.data import named, tables

    if label is not None and (data in named.names() or not tables.is_table(Path(data))):
        raise UsageError("label-useless", data=data[:60], label=label[:60])


# --- help in the language in force


def _translate(key: str | None) -> str | None:
    return entries(language()).get(key, key) if key else key


# What the parser writes in a help where we give no name.
_PLACEHOLDERS = {
    "[OPTIONS]": "options",
    "COMMAND": "command",
    "[ARGS]...": "rest",
    "<int range>": "whole",
    "<int>": "whole",
    "<float range>": "number",
    "<float>": "number",
    "<str>": "string",
}


def _placed(words: str) -> str:
    for placeholder, key in _PLACEHOLDERS.items():
        words = words.replace(placeholder, text(f"cli.placeholder.{key}"))
    return re.sub(r" <list\[\w+\]>", "", words)  # an argument's dots say it already


class _HelpInLanguage:
    """Looks keys up, and writes the headings, of a command's help."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option ``-h``, ``--help``, which prints as everything here does: in the output's own encoding."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.opts.sort(key=len)
            option.callback = _show_help
        return option

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        pieces = self.collect_usage_pieces(ctx)  # type: ignore[attr-defined]
        formatter.write_usage(ctx.command_path, _placed(" ".join(pieces)), prefix=text("cli.common.usage") + " ")

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        formatter.write_paragraph()
        words = broken(_translate(self.help) or "", formatter.width - 2)  # type: ignore[attr-defined]
        formatter.write("".join(f"  {line.strip()}\n" for line in words.split("\n")))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            if parameter.name == "help":
                parameter.help = "cli.common.help"
            record = parameter.get_help_record(ctx)
            if record is not None:
                words = (_translate(parameter.help) or "") + _default_note(parameter)
                (arguments if parameter.param_type_name == "argument" else options).append((_placed(record[0]), words))
        for heading, records in (("arguments", arguments), ("options", options)):
            if records:
                with formatter.section(text(f"cli.common.{heading}")):
                    formatter.write(_in_columns(records, formatter.width))


def _in_columns(records: Sequence[tuple[str, str]], width: int) -> str:
    """Return names and words as two columns that fit a width in cells: Hangul takes two a letter."""
    column = min(max(cells(name) for name, _ in records) + 4, width - _NARROWEST)
    lines = []
    for name, words in records:
        head = f"  {name}"
        for line in broken(words, width - column).split("\n"):
            if cells(head) > column - 2:
                lines.append(head)
                head = ""
            lines.append(head + " " * (column - cells(head)) + line.strip())
            head = ""
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _show_help(ctx: Any, parameter: Any, wanted: bool) -> None:
    if wanted:
        print(ctx.get_help())
        ctx.exit()


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
            formatter.write(_in_columns(rows, formatter.width))
