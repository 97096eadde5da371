"""The command line: words in, exit codes out.

One file per verb. The verbs import torch and the rest of the package inside their functions, so
that ``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from sumtoone.cli import calibrate, check, compare, data, evaluate, explain, export, predict, runs, serve, train
from sumtoone.cli.common import Lang, VerbCommand, VerbGroup, Voice, every_letter, on_command_line, warn
from sumtoone.errors import SumtooneError, UsageError
from sumtoone.language import LANGUAGES, speak, text
from sumtoone.language.display import printable
from sumtoone.memory import is_lack_of_memory, lacking
from sumtoone.specification import did_you_mean
from sumtoone.version import __version__

# A screen: 24 lines of 80 letters.
LONGEST_WARNING = 1_920

_SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["--help", "-h"]},
}

app = typer.Typer(cls=VerbGroup, help="cli.help", **_SETTINGS)
app.command("train", cls=VerbCommand, help="cli.train.help")(train.train)
app.command("evaluate", cls=VerbCommand, help="cli.evaluate.help")(evaluate.evaluate)
app.command("calibrate", cls=VerbCommand, help="cli.calibrate.help")(calibrate.calibrate)
app.command("predict", cls=VerbCommand, help="cli.predict.help")(predict.predict)
app.command("compare", cls=VerbCommand, help="cli.compare.help")(compare.compare)
app.command("runs", cls=VerbCommand, help="cli.runs.help")(runs.runs)
app.command("export", cls=VerbCommand, help="cli.export.help")(export.export)
app.command("serve", cls=VerbCommand, help="cli.serve.help")(serve.serve)
app.command("check", cls=VerbCommand, help="cli.check.help")(check.check)
app.command("explain", cls=VerbCommand, help="cli.explain.help")(explain.explain)

_data = typer.Typer(cls=VerbGroup, help="cli.data.help", **_SETTINGS)
_data.command("list", cls=VerbCommand, help="cli.data.list.help")(data.list_)
_data.command("fetch", cls=VerbCommand, help="cli.data.fetch.help")(data.fetch)
_data.command("show", cls=VerbCommand, help="cli.data.show.help")(data.show)
app.add_typer(_data, name="data")


def _show_version(context: typer.Context, wanted: bool) -> None:
    if not wanted:
        return
    print(f"sumtoone {__version__}")
    if context.params.get("verbose"):
        from sumtoone.native import status

        found = status()
        print(text(found.why, path=found.path, sets=", ".join(found.instruction_sets), missing=found.missing))
    raise typer.Exit


@app.callback()
def _root(
    verbose: Annotated[bool, typer.Option("--verbose", help="cli.verbose", is_eager=True)] = False,
    version: Annotated[bool, typer.Option("--version", "-V", help="cli.version", callback=_show_version)] = False,
    lang: Lang = None,
) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 done, 1 what was checked failed, 2 wrong usage, 3 bad or missing input, 4 the environment lacks
    something, 130 interrupted.
    """
    words = _as_meant(list(sys.argv[1:] if arguments is None else arguments))
    speak(_language_in(words))
    with every_letter():
        return _run(words)


def _as_meant(words: list[str]) -> list[str]:
    """Return the words with ``help`` and ``version``, as other tools have them, as the options that they are here."""
    match words:
        case ["help", *verb]:
            return [*verb, "--help"]
        case ["version"]:
            return ["--version"]
        case _:
            return explain.as_meant(words)


def _run(words: list[str]) -> int:
    try:
        with warnings.catch_warnings():
            # What the library warns of is said as words, without the line of source it came from.
            warnings.showwarning = lambda message, *_: warn(printable(message, LONGEST_WARNING))
            result = typer.main.get_command(app).main(words, prog_name="sumtoone", standalone_mode=False)
        sys.stdout.flush()
    except SumtooneError as error:
        return _report(error, as_json="--json" in words)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            warn(error.format_message())
            return UsageError.exit_code
        return _report(_usage_error(error, words), as_json="--json" in words)
    except (KeyboardInterrupt, typer.Abort):
        result = 130
    except (BrokenPipeError, SystemExit):
        # The reader of our output left, as `| head` does; the parser turns that into an exit of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if is_lack_of_memory(error):
            return _report(lacking(error), as_json="--json" in words)
        return _report_defect(error)
    if result == 130:  # the parser, too, turns Ctrl-C into this
        warn(text("cli.interrupted"))
    return result if isinstance(result, int) else 0


def _language_in(words: Sequence[str]) -> str | None:
    """Return what ``--lang`` asks for before anything is parsed, so that even usage errors are in it."""
    for place, word in enumerate(words):
        name = word.removeprefix("--lang=") if word.startswith("--lang=") else None
        if word == "--lang" and place + 1 < len(words):
            name = words[place + 1]
        if name in LANGUAGES:
            return name
    return None


def _report(error: SumtooneError, *, as_json: bool) -> int:
    error = on_command_line(error)
    if as_json:
        Voice(json=True, quiet=True).emit({"error": error.to_json()})
    warn(f"sumtoone: {error}")
    return error.exit_code


def _report_defect(error: Exception) -> int:
    """Say that sumtoone itself failed; the traceback is for those who ask for it."""
    if os.environ.get("SUMTOONE_TRACEBACK"):
        raise error
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"
    warn(text("cli.defect", kind=type(error).__name__, what=str(error), where=where))
    return 70


def _usage_error(error: typer.TyperException, words: Sequence[str]) -> UsageError:
    """Return our error for what the parser refused; its classes are not public, so they are told apart by name."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else _verb_in(words)
    parameter = getattr(error, "param", None)
    message = error.format_message()
    match type(error).__name__:
        case "NoSuchOption":
            option = str(getattr(error, "option_name", ""))
            known = [name for item in (context.command.params if context else []) for name in item.opts]
            return UsageError("word-unknown", given=option, command=command, hint=did_you_mean(option, known))
        case "MissingParameter" if parameter is not None:
            return UsageError("argument-missing", name=_shown(parameter), command=command)
        case "BadParameter" if parameter is not None:
            given = next((word for before, word in pairwise(words) if before in parameter.opts), None)
            wanted = _wanted(parameter, command)
            fields = {"given": given or message, "wanted": wanted, "command": command}
            return UsageError("argument-value", name=_shown(parameter), **fields)
        case "BadOptionUsage":
            return UsageError("argument-missing", name=getattr(error, "option_name", ""), command=command)
        case _ if context is not None and (unknown := re.match("No such command '(.+?)'", message)):
            hint = did_you_mean(unknown[1], context.command.list_commands(context))
            return UsageError("word-unknown", given=unknown[1], command=command, hint=hint)
        case _ if extra := re.match(r"Got unexpected extra argument\S* \((.+)\)", message):
            return UsageError("argument-extra", given=extra[1], command=command)
        case _:
            return UsageError("usage", given=message, command=command)


def _verb_in(words: Sequence[str]) -> str:
    """Return the command that words begin with, for errors that do not know theirs."""
    verbs = [command.name for command in app.registered_commands] + ["data"]
    verb = next((word for word in words if word in verbs), None)
    inner = [word for word in words if word in ("list", "fetch", "show")][:1] if verb == "data" else []
    return " ".join(["sumtoone", *([verb] if verb else []), *inner])


def _wanted(parameter: Any, command: str) -> str:
    """Return what values an option takes, in words."""
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if low is not None and high is not None:
        return text("cli.wanted.between", low=f"{low:,}", high=f"{high:,}")
    kind = str(getattr(getattr(parameter, "type_descriptor", None), "annotation", ""))
    known = {"int": "cli.wanted.whole", "float": "cli.wanted.number"}
    found = next((key for name, key in known.items() if re.search(rf"\b{name}\b", kind)), "cli.wanted.as-help")
    return text(found, command=command)


def _shown(parameter: Any) -> str:
    """Return a parameter as it stands in the help: ``--epochs`` or ``RUN``."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).strip("[]")
    return "/".join(parameter.opts)
