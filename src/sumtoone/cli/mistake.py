"""``sumtoone explain --error``: a traceback from a file or a pipe, explained."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from sumtoone.cli.common import Voice, warn
from sumtoone.cli.decoding import decoded
from sumtoone.errors import DataError
from sumtoone.language import text
from sumtoone.language.display import printable
from sumtoone.shapes.failures import explain_error as explained
from sumtoone.shapes.failures.tracebacks import LONGEST

# No letter takes more than four bytes.
_PIECE = 4 * LONGEST


def explain_error(path: str, voice: Voice) -> int:
    """Explain the last error in a file, or on standard input for ``-``; return 1 where its message is not known."""
    found = explained(_traceback(path))
    voice.emit(found.to_json())
    voice.say(found.text)
    voice.result(found.what or f"{found.kind}: {found.message}")
    return int(found.code is None)


def _traceback(path: str) -> str:
    """Return the end of a text, where the last error stands."""
    try:
        if path == "-":
            if sys.stdin is not None and sys.stdin.isatty():
                warn(text("cli.explain.paste"))
            raw = b"" if sys.stdin is None else _ends(sys.stdin.buffer)
        else:
            with Path(path).expanduser().open("rb") as file:
                raw = _ends(file)
    except (FileNotFoundError, NotADirectoryError, ValueError, RuntimeError):
        raise DataError("data-missing-path", given=printable(path)) from None
    except IsADirectoryError:
        raise DataError("data-path-kind", wanted=text("data.kind.file"), given=printable(path)) from None
    except OSError:
        raise DataError("data-permission", given=printable(path)) from None
    return decoded(raw, errors="replace")[-LONGEST:]


def _ends(file: BinaryIO) -> bytes:
    """Return the first two bytes, which tell the encoding, and the last few MiB, where no letter of UTF-16 is cut."""
    before, last = b"", file.read(_PIECE)
    mark = last[:2]
    # A piece that is not whole was the last; a terminal would wait for a second Ctrl-D.
    while len(last) == _PIECE and (more := file.read(_PIECE)):
        before, last = last, more
    content = before + last
    return content if content.startswith(mark) else mark + content
