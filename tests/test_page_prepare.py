"""The page prepares a drawing as Python does: pixel for pixel, whatever was drawn and wherever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sumtoone as s1
from browser import chromium
from drawings import NOTHING, WHITE, WITHOUT_INK, golden, grains, scribble, sheet
from sumtoone import page
from sumtoone.errors import DataError
from sumtoone.photos import prepare

STATIC = Path(page.__file__).parent / "static"
SHAPES = ((28, 28), (8, 8), (28, 28, 3), (32, 20))
DRAWINGS = golden()

# What the page is served with: the modules work under it.
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'"
WORKER = """
import { prepare } from "/static/prepare.js";
onmessage = ({ data }) => postMessage(prepare(...data));
"""
# Every picture is fetched once, and prepared in as many ways as are asked for.
ASK = """async ([name, width, height, ways, inWorker]) => {
  const rgba = new Uint8ClampedArray(await (await fetch("/pictures/" + name)).arrayBuffer());
  const { prepare } = await import("/static/prepare.js");
  const worker = inWorker && new Worker("/worker.js", { type: "module" });
  const elsewhere = (...given) => new Promise((done, failed) => {
    worker.onmessage = ({ data }) => done(data);
    worker.onerror = failed;
    worker.postMessage(given);
  });
  const answers = [];
  for (const [shape, digits] of ways) {
    const pixels = await (worker ? elsewhere : prepare)(rgba, width, height, shape, digits);
    if (pixels !== null && !(pixels instanceof Uint8Array)) throw new TypeError(String(pixels));
    answers.push(pixels && [...pixels]);
  }
  return answers;
}"""

Ways = list[tuple[tuple[int, ...], bool]]
Answers = list[np.ndarray | None]


class Page:
    """The modules in a page of Chromium, asked for what they make of a picture."""

    def __init__(self, shown: Any, pictures: dict[str, bytes]) -> None:
        self._shown, self._pictures = shown, pictures

    def prepare(self, image: Image.Image, ways: Ways, *, in_worker: bool = False) -> Answers:
        name = f"{len(self._pictures)}"
        self._pictures[name] = image.tobytes()
        found = self._shown.evaluate(ASK, [name, *image.size, ways, in_worker])
        self._pictures[name] = b""
        return [None if pixels is None else np.array(pixels, dtype=np.uint8) for pixels in found]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Page]:
    pictures: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, folder, *rest = self.path.split("/")
            kind, body = "text/html", b""
            if folder == "static":
                kind, body = "text/javascript", (STATIC / rest[0]).read_bytes()
            elif folder == "worker.js":
                kind, body = "text/javascript", WORKER.encode()
            elif folder == "pictures":
                kind, body = "application/octet-stream", pictures[rest[0]]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with chromium() as browser:
            shown = browser.new_page()
            shown.goto(f"http://127.0.0.1:{server.server_port}/")
            yield Page(shown, pictures)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def in_python(image: Image.Image, ways: Ways) -> Answers:
    return [prepared(image, shape, digits) for shape, digits in ways]


def prepared(image: Image.Image, shape: tuple[int, ...] = (28, 28), digits: bool = True) -> np.ndarray | None:
    try:
        return prepare(image, shape, digits=digits)
    except DataError as error:
        assert error.code == "photo-no-ink"
        return None


def assert_alike(found: Answers, wanted: Answers) -> None:
    """Hold two lists of preparations against each other: the same ones empty, no pixel more than a level apart."""
    assert [pixels is None for pixels in found] == [pixels is None for pixels in wanted]
    for one, other in zip(found, wanted, strict=True):
        if one is not None and other is not None:
            assert one.shape == other.shape
            assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


# --- the same as Python


@pytest.mark.parametrize("cause", DRAWINGS)
def test_the_page_prepares_a_drawing_as_python_does(chrome: Page, cause: str) -> None:
    ways: Ways = list(product(SHAPES, (True, False)))
    found = chrome.prepare(DRAWINGS[cause], ways)
    assert (found[0] is None) == (cause in WITHOUT_INK)
    assert_alike(found, in_python(DRAWINGS[cause], ways))


@pytest.mark.parametrize("make", [scribble, grains])
def test_it_prepares_random_pictures_as_python_does(chrome: Page, make: Callable[[int], Image.Image]) -> None:
    empty = 0
    for seed in range(50):
        image = make(seed)
        ways: Ways = [(SHAPES[seed % 4], True), (SHAPES[seed % 4], False)]
        found = chrome.prepare(image, ways)
        assert_alike(found, in_python(image, ways))
        empty += found[0] is None
    assert 0 < empty < 40


def test_it_runs_in_a_worker(chrome: Page) -> None:
    ways: Ways = [((28, 28), True), ((8, 8), False)]
    for cause in ("in two strokes", "empty, white"):
        found = chrome.prepare(DRAWINGS[cause], ways, in_worker=True)
        assert_alike(found, in_python(DRAWINGS[cause], ways))


def test_it_leaves_the_picture_as_it_is_where_nothing_has_to_be_done(chrome: Page) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    (found,) = chrome.prepare(Image.fromarray(pixels).convert("RGBA"), [((9, 7, 3), False)])
    assert found is not None
    assert np.array_equal(found, pixels.ravel())


# --- the same wherever it is drawn


@pytest.fixture(scope="module")
def data() -> s1.Dataset:
    return s1.load("digits")


@pytest.fixture(scope="module")
def run(data: s1.Dataset) -> s1.Run:
    return s1.fit(s1.Network("784-64-10", seed=0), data, epochs=4, seed=0)


def cover(digit: np.ndarray, side: int) -> Image.Image:
    """Return a digit of MNIST, without its margin, as black ink on nothing."""
    inked = Image.fromarray(digit)
    inked = inked.crop(inked.getbbox())
    scale = side / max(inked.size)
    inked = inked.resize((round(inked.width * scale), round(inked.height * scale)), Image.Resampling.BICUBIC)
    ink = sheet(NOTHING, inked.size)
    ink.putalpha(inked)
    return ink


def placed(ink: Image.Image, across: float, down: float) -> Image.Image:
    """Lay ink on a white sheet: 0 is at the left or upper rim, 1 at the right or lower."""
    image = sheet(WHITE)
    at = round(across * (image.width - ink.width)), round(down * (image.height - ink.height))
    image.alpha_composite(ink, at)
    return image


@pytest.mark.parametrize("side", [30, 110, 200])
def test_where_a_digit_is_drawn_does_not_matter(chrome: Page, run: s1.Run, data: s1.Dataset, side: int) -> None:
    middle, rims = (0.5, 0.5), [(0, 0), (1, 0.02), (0.7, 1), (0.03, 0.9), (0.31, 0.44)]
    for label in {30: [1, 5, 8], 110: [0, 3, 6], 200: [2, 4, 7, 9]}[side]:
        row = data.test.inputs[data.test.labels.tolist().index(label)]
        ink = cover(row.numpy().astype(np.uint8).reshape(28, 28), side)
        found = [chrome.prepare(placed(ink, *place), [((28, 28), True)])[0] for place in (middle, *rims)]
        rows = np.array(found, dtype=np.uint8)
        # What the network says of MNIST's own pixels, right or wrong.
        assert run.predict(rows) == run.predict(row[None]) * len(rows)
        differences = np.abs(rows[1:].astype(int) - rows[0].astype(int)).mean(axis=1)
        # Of 255 levels. Ink at the rim, and how the pixels of a large drawing fall, cost this much; another digit 20.
        assert differences.max() < (0.1 if side < 200 else 1)
