"""What a terminal, an editor or PowerShell wrote, as text."""

from __future__ import annotations

import codecs

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decoded(content: bytes, errors: str = "strict") -> str:
    """Return the text of a file: UTF-16 where its mark says so, else UTF-8.

    Raises
    ------
    UnicodeDecodeError
        If it is neither, and ``errors`` is ``"strict"``.

    Examples
    --------
    >>> decoded("모양".encode()), decoded("모양".encode("utf-16"))
    ('모양', '모양')
    """
    return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig", errors)
