"""``sumtoone serve``: the drawing page and the HTTP interfaces of a run."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from sumtoone.cli.common import AsJson, Lang, NetworkFile, Quiet, Voice, opened, warn
from sumtoone.errors import UnavailableError, UsageError
from sumtoone.language import text

# What the extra installs, by the names under which it is imported.
EXTRA = ("httptools", "orjson", "prometheus_client", "python_multipart", "starlette", "uvicorn")
SHORTEST_TOKEN = 16


def _option(name: str, key: str, low: float, high: float, metavar: str) -> Any:
    return typer.Option(f"--{name}", metavar=metavar, min=low, max=high, help=f"cli.serve.{key}")


def serve(
    run: Annotated[str, typer.Argument(metavar="RUN", help="cli.serve.run")],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="cli.serve.host")] = "127.0.0.1",
    port: Annotated[int, _option("port", "port", 0, 65_535, "NUMBER")] = 8000,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="cli.serve.name")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="cli.serve.open")] = False,
    token: Annotated[str | None, typer.Option(metavar="TEXT", help="cli.serve.token")] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="cli.serve.no-token")] = False,
    allow_host: Annotated[list[str] | None, typer.Option(metavar="NAME", help="cli.serve.allow-host")] = None,
    allow_origin: Annotated[list[str] | None, typer.Option(metavar="ORIGIN", help="cli.serve.allow-origin")] = None,
    max_body: Annotated[int, _option("max-body", "max-body", 1024, 2**28, "BYTES")] = 8 * 2**20,
    max_rows: Annotated[int, _option("max-rows", "max-rows", 1, 100_000, "ROWS")] = 4096,
    max_pixels: Annotated[int, _option("max-pixels", "max-pixels", 1, 64_000_000, "PIXELS")] = 24_000_000,
    max_connections: Annotated[int, _option("max-connections", "max-connections", 1, 100_000, "NUMBER")] = 4096,
    queue: Annotated[int, _option("queue", "queue", 1, 100_000, "REQUESTS")] = 4096,
    deadline: Annotated[float, _option("deadline", "deadline", 0.001, 600, "SECONDS")] = 5.0,
    read_timeout: Annotated[float, _option("read-timeout", "read-timeout", 0.1, 600, "SECONDS")] = 20.0,
    grace: Annotated[float, _option("grace", "grace", 0.1, 600, "SECONDS")] = 20.0,
    network: NetworkFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> int:
    """Serve a run until SIGTERM, which ends it with 0, or Ctrl-C."""
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise UnavailableError("serve-extra", missing=", ".join(missing))
    known = _token(host, token, no_token)
    origins = tuple(map(_origin, allow_origin or ()))
    _check_name(name)
    voice = Voice(as_json, quiet)
    voice.begin(text("cli.serve.begin", run=run))
    _load()
    from sumtoone import run_folder
    from sumtoone.serving.limits import Guard, Limits
    from sumtoone.serving.model import Model
    from sumtoone.serving.server import listening, serve_model

    # Before what takes long: a port that is taken is told at once.
    with listening(host, port) as listener:
        digests = run_folder.digests(Path(run))
        model = Model(opened(run, network), Path(run), max_rows, name, digests)
        limits = Limits(max_body, max_pixels, queue, deadline, read_timeout, grace, connections=max_connections)
        guard = Guard((host, *(allow_host or ())), origins, known)
        here, elsewhere = _addresses(host)
        url, from_elsewhere = (_url(address, listener.getsockname()[1], known) for address in (here, elsewhere))

        def ready() -> None:
            voice.emit({"event": "ready", "url": url, "model": model.name, "pid": os.getpid()})
            voice.say(text("cli.serve.ready", url=url))
            if elsewhere != here:
                voice.say(text("cli.serve.elsewhere", url=from_elsewhere))
            voice.result(url)
            if open_page:
                _show(url)

        ended_by = serve_model(model, listener, limits, guard, ready)
    return 130 if ended_by == signal.SIGINT else 0


def _load() -> None:
    """Import what serves. All of it stays: to look for garbage meanwhile would take a tenth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        import sumtoone.serving.server  # noqa: F401
    finally:
        if collecting:
            gc.enable()


def _token(host: str, token: str | None, no_token: bool) -> str | None:
    """Return what requests must know; None where everybody who reaches the server may ask."""
    from sumtoone.serving.limits import is_loopback

    if token is not None and no_token:
        raise UsageError("serve-token-both")
    given = token if token is not None else os.environ.get("SUMTOONE_TOKEN") or None
    if no_token:
        return None
    if given is None:
        if not is_loopback(host):
            raise UsageError("serve-token-needed", host=host, token=secrets.token_urlsafe(24))
        return None
    if len(given) < SHORTEST_TOKEN or not given.isascii() or not all(c.isalnum() or c in "-._~" for c in given):
        raise UsageError("serve-token-weak", count=len(given), least=SHORTEST_TOKEN, token=secrets.token_urlsafe(24))
    return given


def _check_name(name: str | None) -> None:
    from sumtoone.serving.limits import url_name

    if name is not None and url_name(name) != name:
        raise UsageError("serve-name", given=name[:80])


def _origin(given: str) -> str:
    from sumtoone.serving.limits import origin

    found = origin(given)
    if found is None:
        raise UsageError("serve-allow-origin", given=given[:80])
    return found


def _addresses(host: str) -> tuple[str, str]:
    """Return where a browser on this machine finds a server, and where one on another machine does."""
    wildcards = {"0.0.0.0": ("127.0.0.1", socket.AF_INET), "::": ("::1", socket.AF_INET6)}  # noqa: S104 - compared
    if host not in wildcards:
        return host, host
    here, family = wildcards[host]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as to_anywhere:
            # An address of the documentation's: nothing is sent, the system only says from where it would be.
            to_anywhere.connect(("192.0.2.1" if family == socket.AF_INET else "2001:db8::1", 9))
            return here, to_anywhere.getsockname()[0]
    except OSError:
        return here, text("cli.serve.address")


def _url(host: str, port: int, token: str | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + ("" if token is None else f"?token={token}")


def _show(url: str) -> None:
    import threading
    import webbrowser

    # In the language of this thread.
    words = text("cli.serve.no-browser", url=url)

    def show() -> None:
        if not webbrowser.open(url):
            warn(words)

    # A browser of the terminal would take the loop's time.
    threading.Thread(target=show, daemon=True).start()
