"""What pages of other sites may ask and read, where --allow-origin lets them: CORS, as browsers have it."""

from __future__ import annotations

from sumtoone.serving.answers import Answer, Headers
from sumtoone.serving.inference_protocol import HEADER_LENGTH
from sumtoone.serving.limits import Guard, HeaderMap

# Of a header that two origins do not share, caches must know.
_VARY = (b"vary", b"Origin")
_PREFLIGHT: Headers = (
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, " + HEADER_LENGTH),
    (b"access-control-max-age", b"600"),
)


def preflight(guard: Guard, method: str, headers: HeaderMap) -> Answer | None:
    """Return the answer to a browser that asks what a page of another site may send; None where none asks, or may."""
    if method != "OPTIONS" or b"access-control-request-method" not in headers or not guard.knows_origin(headers):
        return None
    return Answer(b"", headers=_PREFLIGHT)


def readable(guard: Guard, headers: HeaderMap) -> Headers:
    """Return the headers by which a page of another site may read an answer to a request of these headers."""
    if not guard.origins:
        return ()
    if not guard.knows_origin(headers):
        return (_VARY,)
    exposed = (b"access-control-expose-headers", HEADER_LENGTH + b", Retry-After")
    return (_VARY, (b"access-control-allow-origin", headers[b"origin"]), exposed)
