"""What goes back over HTTP: an answer, and an error of ours as one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from sumtoone.errors import SumtooneError, UnavailableError, UsageError
from sumtoone.language import language, text

Headers = tuple[tuple[bytes, bytes], ...]

# What the errors of a server mean over HTTP; every other error of ours is a request that cannot be right.
STATUS = {
    "serve-token": 401,
    "serve-origin": 403,
    "serve-path": 404,
    "serve-model": 404,
    "serve-method": 405,
    "serve-slow": 408,
    "serve-run-changed": 409,
    "serve-body": 413,
    "serve-rows": 413,
    "serve-image-pixels": 413,
    "image-pixels": 413,
    "serve-media-type": 415,
    "serve-encoding": 415,
    "serve-host": 421,
    "serve-head": 431,
    "serve-defect": 500,
    "serve-full": 503,
    "serve-late": 504,
}
# With these comes when to try again, in seconds.
RETRY_AFTER = b"1"
_NOSNIFF = (b"x-content-type-options", b"nosniff")
JSON: Headers = ((b"content-type", b"application/json"), _NOSNIFF)
BINARY: Headers = ((b"content-type", b"application/octet-stream"), _NOSNIFF)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response: its status, its bytes and its headers but for the length."""

    body: bytes
    status: int = 200
    headers: Headers = JSON


def json_answer(document: Any, status: int = 200) -> Answer:
    """Return a document as an answer."""
    return Answer(orjson.dumps(document), status)


def refused(error: SumtooneError, headers: Headers = ()) -> Answer:
    """Return an error of ours as an answer.

    >>> from sumtoone.errors import UsageError
    >>> refused(UsageError("serve-path")).status
    404
    """
    if not error.fields and not headers:
        return _without_fields(error.code, isinstance(error, UnavailableError), language())
    return _refused(error, headers)


@cache
def _without_fields(code: str, unavailable: bool, spoken: str) -> Answer:
    """A server that is full says so thousands of times a second, and looks the words up once in each language."""
    return _refused(UnavailableError(code) if unavailable else UsageError(code), ())


def _refused(error: SumtooneError, headers: Headers) -> Answer:
    status = STATUS.get(error.code, 503 if isinstance(error, UnavailableError) else 400)
    if status == 503:
        headers = (*headers, (b"retry-after", RETRY_AFTER))
    if status == 401:
        headers = (*headers, (b"www-authenticate", b"Bearer"))
    return Answer(orjson.dumps(error_document(error)), status, (*JSON, *headers))


def error_document(error: SumtooneError) -> dict[str, str]:
    """Return an error as programs read it: ``error`` is a sentence, ``code`` never changes its meaning."""
    words = error.to_json()
    parts = f"{text('error.expected')}: {words['expected']}; {text('error.got')}: {words['got']}"
    sentence = f"{words['message']} ({parts})"
    return {"error": sentence, "code": words["code"], **{name: words[name] for name in ("expected", "got", "try")}}
