"""The files of the page, and its texts in both languages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from sumtoone.language import LANGUAGES, entries

_PREFIX = "page."
_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
JSON = "application/json"


@dataclass(frozen=True)
class Content:
    """Bytes and what they are, as the header ``Content-Type`` says it."""

    body: bytes
    media_type: str


def asset(name: str) -> Content | None:
    """Return a file of the page by its name, or its ``texts.json``; None where there is no such file.

    The names are those of the files that are there: nothing is looked up by a path.

    >>> asset("index.html").media_type
    'text/html; charset=utf-8'
    >>> asset("../documents.py") is None
    True
    """
    return assets().get(name)


@cache
def assets() -> Mapping[str, Content]:
    """Return every file of the page by its name."""
    found = {
        path.name: Content(path.read_bytes(), _MEDIA_TYPES[path.name.rpartition(".")[2]])
        for path in sorted((files(__package__) / "static").iterdir(), key=lambda path: path.name)
    }
    found["texts.json"] = Content(_texts(), JSON)
    return found


def _texts() -> bytes:
    """Return what the page says, as ``{language: {key: text}}``."""
    texts = {
        language: {
            key.removeprefix(_PREFIX): words for key, words in entries(language).items() if key.startswith(_PREFIX)
        }
        for language in LANGUAGES
    }
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
