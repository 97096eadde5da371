"""Runs to show, and a small server of the page with the policy that it is served with."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sumtoone import page
from sumtoone.errors import SumtooneError
from sumtoone.serving.answers import refused
from sumtoone.serving.model import Model
from sumtoone.serving.predicting import answer, json_rows

if TYPE_CHECKING:
    import torch
    from playwright.sync_api import Page

    from sumtoone import Run

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@contextmanager
def served(run: Run, folder: Path | None = None, prefix: str = "/", most_rows: int = 4096) -> Iterator[str]:
    """Serve the page of a run, and ``POST predict`` of a few rows at a time, under a path; give its address."""
    model = Model(run, most_rows=most_rows)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0].removeprefix(prefix)
            if path.startswith("page/"):
                content = page.document(run, folder, path.removeprefix("page/"))
            else:
                content = page.asset(path.removeprefix("static/") or "index.html")
            if content is None:
                return self.answer(404, b"{}", "application/json")
            return self.answer(200, content.body, content.media_type)

        def do_POST(self) -> None:
            try:
                rows, several = json_rows(self.rfile.read(int(self.headers["Content-Length"])), model)
                answered = answer(model, model.probabilities(rows.copy()), several)
            except SumtooneError as error:
                answered = refused(error)
            return self.answer(answered.status, answered.body, "application/json")

        def answer(self, code: int, body: bytes, media_type: str) -> None:
            self.send_response(code)
            for name, value in (("Content-Type", media_type), ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{prefix}"
        finally:
            server.shutdown()
            thread.join()


class Watch:
    """What a page asked for and complained about; ``errors`` holds its policy's refusals too."""

    def __init__(self, browser_page: Page) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        browser_page.on("request", lambda request: self.requests.append(request.url))
        browser_page.on("pageerror", lambda error: self.errors.append(str(error)))
        browser_page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)


def stopped_early(folder: Path) -> Run:
    """Train a run on labels that have nothing to do with their rows: what it learns soon helps no other row."""
    import numpy as np

    import sumtoone as s1

    generator = np.random.default_rng(0)
    rows, labels = generator.normal(size=(300, 20)).astype(np.float32), generator.integers(3, size=300)
    data = s1.Dataset.from_arrays(rows, labels)
    network = s1.Network("20-32-3", seed=0)
    return s1.fit(network, data, epochs=30, lr=0.02, schedule="constant", early_stopping=2, snapshots=True, out=folder)


def ready(browser_page: Page, address: str) -> Watch:
    """Open a page and wait until it has a run to show."""
    watch = Watch(browser_page)
    browser_page.goto(address)
    browser_page.evaluate("() => window.sumtoone.ready")
    return watch


def predicted(browser_page: Page, rows: torch.Tensor) -> list[dict[str, Any]]:
    """What the page's own interface says of rows of pixels (N, D)."""
    script = """async ([pixels, width]) => {
        const all = Uint8Array.from(atob(pixels), letter => letter.charCodeAt(0));
        const rows = Array.from({length: all.length / width}, (_, n) => all.slice(n * width, (n + 1) * width));
        return Promise.all(rows.map(row => sumtoone.predict(row)));
    }"""
    pixels = base64.b64encode(rows.numpy().tobytes()).decode()
    answers: list[dict[str, Any]] = browser_page.evaluate(script, [pixels, rows.shape[1]])
    return answers
