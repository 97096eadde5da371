"""``sumtoone explain --error``: a traceback from a file or a pipe, explained."""

from __future__ import annotations

import sys
from pathlib import Path

from sumtoone.cli.common import Voice, warn
from sumtoone.errors import DataError
from sumtoone.language import text
from sumtoone.language.display import printable
from sumtoone.shapes.failures import explain_error as explained
from sumtoone.shapes.failures.tracebacks import LONGEST

_MOST_BYTES = 1 << 24


def explain_error(path: str, voice: Voice) -> int:
    """Explain the last error in a file, or on standard input for ``-``; return 1 where its message is not known."""
    found = explained(_traceback(path))
    voice.emit(found.to_json())
    voice.say(found.text)
    voice.result(found.what or f"{found.kind}: {found.message}")
    return int(found.code is None)


def _traceback(path: str) -> str:
    """Return the end of a text that was written by a terminal, an editor or PowerShell."""
    try:
        if path == "-":
            if sys.stdin is not None and sys.stdin.isatty():
                warn(text("cli.explain.paste"))
            raw = b"" if sys.stdin is None else sys.stdin.buffer.read(_MOST_BYTES)
        else:
            with Path(path).expanduser().open("rb") as file:
                raw = file.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError, ValueError, RuntimeError):
        raise DataError("data-missing-path", given=printable(path)) from None
    except IsADirectoryError:
        raise DataError("data-path-kind", wanted=text("data.kind.file"), given=printable(path)) from None
    except OSError:
        raise DataError("data-permission", given=printable(path)) from None
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    return raw.decode(encoding, errors="replace")[-LONGEST:]
