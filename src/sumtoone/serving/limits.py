"""What a server lets in: how much, how long, from where, and for whom."""

from __future__ import annotations

import hmac
import ipaddress
import re
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sumtoone.errors import DataError, UnavailableError, UsageError

Receive = Callable[[], Awaitable[Any]]
HeaderMap = Mapping[bytes, bytes]

# Of all bodies that are being received or computed with, in bytes.
MOST_HELD = 2**28
# Whoever knows the token may ask; these may be asked without: what the page is made of, and whether the server lives.
OPEN_PATHS = ("/", "/v2/health/live", "/v2/health/ready")
OPEN_FOLDER = "/static/"
_HARMLESS = ("GET", "HEAD", "OPTIONS")
_LOCAL_NAMES = ("localhost", "ip6-localhost")
# What browsers leave out of an origin.
_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True)
class Limits:
    """The limits of a server; each is an option of ``sumtoone serve``, which has the defaults.

    Parameters
    ----------
    body
        The bytes of a request's body, counted as they come.
    pixels
        The pixels of an image, known before it is decoded.
    queue
        The requests that may wait to be computed.
    deadline
        The seconds after which a request is dropped, if its computation has not begun.
    read_timeout
        The seconds in which a request must have come, from its first byte to its last.
    grace
        The seconds after SIGTERM in which everything accepted must be finished.
    connections
        The connections that may be open at once.
    """

    body: int
    pixels: int
    queue: int
    deadline: float
    read_timeout: float
    grace: float
    connections: int


class Gone(Exception):  # noqa: N818 - nobody is there to be told of an error
    """Whoever asked has left."""


class Bodies:
    """Receives the bodies of requests, each and all together within their limits."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    async def read(self, headers: HeaderMap, receive: Receive) -> bytes:
        """Return a request's body; the caller gives it back to :meth:`release` when it is done with.

        Raises
        ------
        DataError
            ``serve-body`` at the first byte above the limit, or at a ``Content-Length`` above it.
        UnavailableError
            ``serve-full`` if the bodies of all requests together are too large.
        Gone
            If the connection ends first.
        """
        announced = headers.get(b"content-length")
        if announced is not None and int(announced) > self._most:
            raise DataError("serve-body", limit=self._most)
        message = await receive()
        if not message.get("more_body", False) and message["type"] == "http.request":
            # As nearly all requests come: in one piece.
            body: bytes = message["body"]
            self._hold(len(body), len(body))
            return body
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                if message["type"] != "http.request":
                    raise Gone
                part = message["body"]
                self._hold(len(part), size + len(part))
                parts.append(part)
                size += len(part)
                if not message["more_body"]:
                    return b"".join(parts)
                message = await receive()
        except BaseException:
            self.release(size)
            raise

    def release(self, size: int) -> None:
        """Count so many bytes as done with."""
        self.held -= size

    def _hold(self, came: int, size: int) -> None:
        if size > self._most:
            raise DataError("serve-body", limit=self._most)
        if self.held + came > MOST_HELD:
            raise UnavailableError("serve-full")
        self.held += came


class Guard:
    """Says whether a request may be answered at all.

    Parameters
    ----------
    hosts
        Names of this server besides addresses and ``localhost``; ``*`` lets every name in.
    origins
        Origins of other sites whose pages may ask, such as ``https://example.org``.
    token
        What a request must know; None where everybody may ask.

    Examples
    --------
    >>> Guard().check("POST", "/predict", {b"host": b"evil.example"})
    Traceback (most recent call last):
        ...
    sumtoone.errors.UsageError: This server is not known by that name [serve-host]
      expected: an address, localhost, or a name from --allow-host
      got: evil.example
      try: start the server with --allow-host evil.example
    """

    def __init__(self, hosts: tuple[str, ...] = (), origins: tuple[str, ...] = (), token: str | None = None) -> None:
        self._hosts = {*_LOCAL_NAMES, *map(_allowed, hosts)}
        self.origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._known: set[bytes] = set()
        self._token = None if token is None else b"Bearer " + token.encode()
        self.cookie = None if token is None else page_cookie(token)

    def check(self, method: str, path: str, headers: HeaderMap) -> None:
        """Refuse a name that is not ours, a request from another site's page, and whoever lacks the token.

        Raises
        ------
        UsageError
            ``serve-host``, ``serve-origin`` or ``serve-token``.
        """
        host = headers.get(b"host", b"")
        if host not in self._known:
            self._check_host(host)
        if method not in _HARMLESS:
            self._check_site(host, headers)
        if self._token is not None and method != "OPTIONS" and path not in OPEN_PATHS:
            if path.startswith(OPEN_FOLDER):
                return
            if not self._knows_token(headers):
                raise UsageError("serve-token")

    def knows_origin(self, headers: HeaderMap) -> bool:
        """Whether a request comes from a page of one of :attr:`origins`."""
        return headers.get(b"origin", b"").decode("latin-1").lower() in self.origins

    def is_token(self, given: str) -> bool:
        """Whether this is the token, compared in constant time."""
        return self._token is not None and hmac.compare_digest(b"Bearer " + given.encode(), self._token)

    def _knows_token(self, headers: HeaderMap) -> bool:
        assert self._token is not None
        assert self.cookie is not None
        name, _, key = self.cookie.encode().partition(b"=")
        given = headers.get(b"authorization")
        if given is not None:
            return hmac.compare_digest(given[:7].title() + given[7:], self._token)
        cookies = (part.strip().partition(b"=") for part in headers.get(b"cookie", b"").split(b";"))
        return any(held == name and hmac.compare_digest(value, key) for held, _, value in cookies)

    def _check_host(self, host: bytes) -> None:
        name = host_name(host.decode("latin-1"))
        if name is None or not ("*" in self._hosts or name in self._hosts or is_address(name)):
            raise UsageError("serve-host", given=name or host.decode("latin-1")[:80] or "-")
        # What somebody may send in endless variety is not remembered.
        if len(self._known) < 64:
            self._known.add(host)

    def _check_site(self, host: bytes, headers: HeaderMap) -> None:
        """A page of another site may send a form or a ``text/plain`` body here without asking anybody."""
        if self.knows_origin(headers):
            return
        given = headers.get(b"origin")
        origin = (given or b"").decode("latin-1").lower()
        if given is not None and origin.partition("://")[2] != host.decode("latin-1").lower():
            raise UsageError("serve-origin", given=origin[:80] or "-")
        if given is None and headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            raise UsageError("serve-origin", given=headers[b"sec-fetch-site"].decode("latin-1")[:80])


def page_cookie(token: str) -> str:
    """Return ``name=value`` by which the page shows that it was opened with the token, and which does not tell it.

    Cookies know hosts but no ports: servers side by side have names of their own.
    """
    key = hmac.new(token.encode(), b"page", sha256).hexdigest()
    return f"sumtoone-{key[:8]}={key[8:]}"


def host_name(host: str) -> str | None:
    """Return the name in a ``Host`` header, without its port; None where it is none.

    >>> host_name("Example.org:8000"), host_name("[::1]:80"), host_name("a b"), host_name("")
    ('example.org', '::1', None, None)
    """
    if host.startswith("["):
        name, closed, port = host[1:].partition("]")
        if not closed or not is_address(name):
            return None
        port = port.removeprefix(":") if port.startswith(":") else ("x" if port else "")
    else:
        name, _, port = host.partition(":")
    if not name or (port and not (port.isascii() and port.isdigit())):
        return None
    if not name.isascii() or any(not (letter.isalnum() or letter in "-._:") for letter in name):
        return None
    return name.lower().rstrip(".")


def origin(given: str) -> str | None:
    """Return an origin as browsers send it; None where this is none.

    >>> origin("HTTPS://Example.org:443/"), origin("http://[::1]:80"), origin("example.org"), origin("https://a/b")
    ('https://example.org', 'http://[::1]', None, None)
    """
    scheme, found, host = given.lower().removesuffix("/").partition("://")
    if not found or scheme not in _PORTS or host_name(host) is None or host.endswith((":", ".")):
        return None
    return f"{scheme}://{host.removesuffix(_PORTS[scheme])}"


def _allowed(host: str) -> str:
    """Return a name as :meth:`Guard.check` compares it: an address or ``*`` as it is, of others not the port."""
    name = host if host == "*" or is_address(host) else host_name(host)
    if name is None:
        raise UsageError("serve-allow-host", given=host[:80])
    return name


def is_address(name: str) -> bool:
    """Whether a name is an IP address: what no other site's name can turn into.

    >>> is_address("10.0.0.7"), is_address("::1"), is_address("evil.example")
    (True, True, False)
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    return host in _LOCAL_NAMES or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def url_name(name: str) -> str:
    """Return a name in ASCII as it may stand in an address; ``model`` where nothing of it may.

    Clients do not agree on how other letters are written there.

    >>> url_name("my runs/première ★")
    'my-runs-premiere'
    """
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).strip("-.") or "model"
