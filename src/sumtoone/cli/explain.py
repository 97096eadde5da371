"""``sumtoone explain``: an expression and shapes in, an explanation out; or an error; or a quiz."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from sumtoone.cli.common import AsJson, Lang, Quiet, Voice
from sumtoone.cli.decoding import decoded
from sumtoone.errors import UsageError
from sumtoone.language.display import printable

LARGEST_DIGITS = 9
# What each way to ask takes beside the options of every verb.
_TOGETHER = {
    "EXPRESSION": ("EXPRESSION", "--shape"),
    "--error": ("--error",),
    "--quiz": ("EXPRESSION", "--quiz", "--seed"),
}
# More than is explained at once; what lies behind it is not read.
LARGEST_FILE = 100_000


def explain(
    expression: Annotated[str | None, typer.Argument(metavar="EXPRESSION", help="cli.explain.expression")] = None,
    shape: Annotated[list[str] | None, typer.Option(metavar="NAME=SIZES", help="cli.explain.shape")] = None,
    error: Annotated[str | None, typer.Option(metavar="FILE", help="cli.explain.error")] = None,
    quiz: Annotated[bool, typer.Option("--quiz", help="cli.explain.quiz")] = False,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="cli.explain.seed")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> None:
    """Explain how shapes broadcast in an expression; exit with 1 where PyTorch would raise."""
    voice = Voice(as_json, quiet)
    given = {"EXPRESSION": expression, "--shape": shape, "--error": error, "--quiz": quiz or None, "--seed": seed}
    mode = "--error" if error is not None else "--quiz" if quiz else "EXPRESSION"
    beside = [name for name, value in given.items() if value not in (None, []) and name not in _TOGETHER[mode]]
    if beside:
        raise UsageError("explain-together", given=" ".join([mode, *beside]), option=mode)
    if error is not None:
        from sumtoone.cli.mistake import explain_error

        raise typer.Exit(explain_error(error, voice))
    if quiz:
        from sumtoone.cli.quiz import quiz as ask

        ask(expression, seed, voice)
        return
    if expression is None:
        raise UsageError("argument-missing", name="EXPRESSION", command="sumtoone explain")
    _explain_shapes(expression, shape or [], voice)


def _explain_shapes(expression: str, given_shapes: list[str], voice: Voice) -> None:
    from sumtoone.shapes import explain as explained

    lines = _lines(expression)
    shapes: dict[str, tuple[int, ...]] = {}
    for given in given_shapes:
        name, sizes = _read_shape(given)
        if name in shapes:
            raise UsageError("explain-shape-twice", name=printable(name, 60))
        shapes[name] = sizes
    explanation = explained(lines, **shapes)
    voice.emit(explanation.to_json())
    voice.say(explanation.text)
    voice.result(str(explanation.shape or explanation.error))
    if explanation.shape is None:
        raise typer.Exit(1)


def as_meant(words: list[str]) -> list[str]:
    """Return the words with an expression that begins with a minus behind ``--``, so that it is no option.

    >>> as_meant(["explain", "-torch.log(p)", "--shape", "p=64"])
    ['explain', '--shape', 'p=64', '--', '-torch.log(p)']
    """
    if words[:1] != ["explain"] or "--" in words:
        return words
    minus = [word for word in words if re.match(r"-[^-]", word) and word not in ("-h", "-q")]
    return [word for word in words if word not in minus] + (["--", *minus] if minus else [])


def _lines(given: str) -> str:
    """Return an expression, or the lines of the file that it names."""
    if not given.endswith((".py", ".txt")):
        return given
    try:
        with Path(given).open("rb") as file:
            content = file.read(LARGEST_FILE)
        # Where the limit cuts a letter, what is refused is the length.
        return decoded(content, "strict" if len(content) < LARGEST_FILE else "replace")
    except (OSError, ValueError):
        raise UsageError("explain-file", path=printable(given, 60)) from None


def _read_shape(given: str) -> tuple[str, tuple[int, ...]]:
    """Read ``a=64,10``; brackets around the sizes may stand, and no sizes are a tensor without axes."""
    name, equals, written = (part.strip() for part in given.partition("="))
    inner = re.fullmatch(r"\((.*)\)|\[(.*)\]|([^()\[\]]*)", written, re.DOTALL)
    sizes = next((group for group in inner.groups() if group is not None), "") if inner else "?"
    parts = [part.strip() for part in sizes.strip().removesuffix(",").split(",")] if sizes.strip() else []
    whole = all(part.isascii() and part.isdigit() and len(part) <= LARGEST_DIGITS for part in parts)
    if not equals or not name.isidentifier() or not whole:
        raise UsageError("explain-shape-text", given=printable(given, 60))
    return name, tuple(map(int, parts))
