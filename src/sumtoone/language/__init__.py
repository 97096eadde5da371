"""Every text a person reads, looked up by key in English or Korean.

The texts live in ``en.toml`` and ``ko.toml`` beside this file, under the same keys with the same
``{fields}``. Korean texts mark a particle that depends on the word before it as ``(은/는)``,
``(이/가)``, ``(을/를)``, ``(과/와)``, ``(으로/로)`` or ``(이라고/라고)``; the lookup keeps the right one.

Whatever a field holds, a text is safe to print: each field is made :func:`~sumtoone.language.display.printable`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files

from sumtoone.language.display import LONGEST_FIELD, Filling
from sumtoone.language.particles import with_particles

LANGUAGES = ("en", "ko")
# A list of names in a summary may be longer than a field of an error; 24 lines of 80 letters are a screen.
_LONGEST_LIST = 1_920

_chosen: ContextVar[str | None] = ContextVar("sumtoone_language", default=None)


def language() -> str:
    """Return the language in force: ``"en"`` or ``"ko"``.

    What :func:`speaking` or :func:`speak` chose, else ``SUMTOONE_LANG``, else the locale
    (``LC_ALL``, ``LC_MESSAGES``, ``LANG``, the first that is set), else English.
    """
    chosen = _chosen.get() or os.environ.get("SUMTOONE_LANG", "")
    if chosen in LANGUAGES:
        return chosen
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return "ko" if re.match(r"ko\b|ko_|korean", locale, re.IGNORECASE) else "en"


def speak(name: str | None) -> None:
    """Choose the language of every text from here on in this context; ``None`` returns to the locale's."""
    _chosen.set(name)


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Choose the language inside a ``with`` block.

    >>> with speaking("ko"):
    ...     text("error.got")
    '받은 것'
    """
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def text(key: str, /, **fields: object) -> str:
    """Return the text under a dotted key in the language in force, with its fields filled in.

    Raises
    ------
    KeyError
        If there is no such key or a field of it is missing: a defect of the caller, not of the user.
    """
    return _filled(key, fields, _LONGEST_LIST)


def error_text(code: str, part: str, fields: Mapping[str, object]) -> str:
    """Return one of the four texts of an error, its own or the one of ``[error.default]``, short whatever it holds."""
    own = f"error.{code}.{part}"
    return _filled(own if own in entries(language()) else f"error.default.{part}", fields, LONGEST_FIELD)


def _filled(key: str, fields: Mapping[str, object], longest: int) -> str:
    spoken = language()
    filled = Filling(longest).fill(entries(spoken)[key], fields)
    return with_particles(filled) if spoken == "ko" else filled


@cache
def entries(name: str) -> dict[str, str]:
    """Return all texts of one language as a flat mapping from dotted key to template."""
    with (files(__package__) / f"{name}.toml").open("rb") as file:
        return dict(_flatten(tomllib.load(file), ""))


def _flatten(table: dict[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, str(value).strip()
