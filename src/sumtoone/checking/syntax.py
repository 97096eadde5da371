"""A learner's text as Python: its encoding, its tree, or where and why it is none."""

from __future__ import annotations

import ast
import re
import threading
import tokenize
import warnings
from dataclasses import dataclass
from io import BytesIO

# A file that names one of the others (punycode, escapes, compressors) could keep a decoder busy for hours.
_ENCODINGS = re.compile(
    r"utf.?8(.sig)?|(us.?)?ascii|latin.?\d*|iso.?8859.*|(cp|windows.?)\d+|euc.*|big5.*|gb.*|(shift.?|s)jis.*|koi8.*|"
    r"mac.?(roman|latin2|cyrillic|greek|turkish)|uhc|ms949|ks.?c.*|johab|tis.?620",
    re.IGNORECASE,
)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_lock = threading.Lock()


@dataclass(frozen=True)
class Cell:
    """A piece of code: the number of its code cell in the notebook (None for a file), and its text.

    ``first_line`` is where its text begins in the source of the whole submission.
    """

    number: int | None
    source: str
    first_line: int = 1

    @property
    def lines(self) -> list[str]:
        """The lines as Python counts them: a form feed ends none."""
        return self.source.split("\n")


def decoded(content: bytes) -> str:
    """Return the text of a file as Python reads it (PEP 263), its lines ended by a line feed alone.

    Raises
    ------
    SyntaxError
        If the encoding is unknown, or does not know some bytes; ``lineno`` is their line.
    """
    if content.startswith(_UTF_16):
        # Python would refuse what PowerShell's ">" and Notepad write; the exercise may be right all the same.
        encoding = "utf-16"
    else:
        encoding, _ = tokenize.detect_encoding(BytesIO(content).readline)
    if encoding != "utf-16" and not _ENCODINGS.fullmatch(encoding):
        raise SyntaxError(f"unknown encoding: {encoding}", ("", 1, 1, ""))
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SyntaxError(f"'{encoding}' cannot decode byte 0x{content[error.start]:02x}", ("", line, 1, "")) from None
    except LookupError:
        raise SyntaxError(f"unknown encoding: {encoding}", ("", 1, 1, "")) from None
    return unified(text.removeprefix("\ufeff"))


def unified(text: str) -> str:
    """Return a text with line feeds alone, and without halves of letters, which no encoding carries."""
    return text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", errors="replace").decode()


def parsed(source: str) -> ast.Module:
    """Return the tree of a source that Python can compile; nothing of it runs.

    Raises
    ------
    SyntaxError
        If it cannot be compiled, for whatever reason.
    """
    try:
        # The filters of warnings are the whole process's; an escape such as "\d" is worth none here.
        with _lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # No more than a tree here: the code of nested ``finally`` blocks doubles with each; a child has limits.
            tree = compile(source, "submission", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError:
        raise
    except (RecursionError, MemoryError):
        raise SyntaxError("too deeply nested", ("", 1, 1, "")) from None
    except (ValueError, OverflowError) as error:
        raise SyntaxError(str(error) or type(error).__name__, ("", 1, 1, "")) from None
    assert isinstance(tree, ast.Module)
    return tree


def attempt(source: str) -> ast.Module | None:
    """Return the tree of a source, None if it is no Python."""
    try:
        return parsed(source)
    except SyntaxError:
        return None
