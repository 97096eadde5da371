"""The page in a browser: what goes in by pen, photo, form or sample comes out as Python's probabilities."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, Route, expect
from torch import nn

import sumtoone as s1
from datafiles import write_npz
from pages import Watch, predicted, ready, served, stopped_early
from sumtoone import snapshots
from sumtoone.data import Preprocessing
from sumtoone.history import History
from sumtoone.options import TrainingOptions
from sumtoone.page import documents
from sumtoone.photos import prepare
from sumtoone.specification import ACTIVATIONS, Specification

Open = Callable[..., Page]

CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "run"


@pytest.fixture(scope="module")
def digits() -> s1.Dataset:
    return s1.load("digits")


@pytest.fixture(scope="module")
def run(folder: Path, digits: s1.Dataset) -> s1.Run:
    trained = s1.fit(s1.Network("784-32-16-10"), digits, epochs=3, seed=0, snapshots=True, out=folder)
    return trained.with_metrics(folder, {"test": s1.evaluate(trained, digits.test).to_json()})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> s1.Run:
    path = tmp_path_factory.mktemp("table") / "leaves.csv"
    rows = np.random.default_rng(0).normal(size=(200, 3)) * [1, 2, 30] + [5, 3, 100]
    names = np.where(rows[:, 0] + rows[:, 1] > 8, "oak & <b>elm</b>", "ash")
    lines = [",".join([*(f"{value:.3f}" for value in row), name]) for row, name in zip(rows, names, strict=True)]
    path.write_text("\n".join(["length,width,weight in g,label", *lines]))
    return s1.fit(s1.Network("3-6-2", activation="gelu"), s1.load(path), epochs=8, seed=0)


@pytest.fixture(scope="module")
def pages_of(browser: Browser) -> Iterator[Callable[..., Page]]:
    """One page for each run, for the tests that need none of their own."""
    with ExitStack() as stack:

        def page_of(run: s1.Run, folder: Path | None) -> Page:
            address = stack.enter_context(served(run, folder))
            context = browser.new_context()
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(30_000)
            ready(page, address + "?lang=en")
            return page

        yield page_of


@pytest.fixture(scope="module")
def drawing_page(pages_of: Open, run: s1.Run, folder: Path) -> Page:
    return pages_of(run, folder)


@pytest.fixture(scope="module")
def form_page(pages_of: Open, table: s1.Run) -> Page:
    return pages_of(table, None)


@pytest.fixture
def page(drawing_page: Page) -> Iterator[Page]:
    """The page of digits with an empty sheet."""
    drawing_page.locator("#clear").click()
    expect(drawing_page.locator("#best")).to_contain_text("The sheet is empty.")
    with quiet(drawing_page):
        yield drawing_page


@pytest.fixture
def form(form_page: Page) -> Iterator[Page]:
    """The page of the table with an empty form."""
    form_page.locator("#empty").click()
    expect(form_page.locator("#best")).to_contain_text("0 of 3 values are filled in.")
    with quiet(form_page):
        yield form_page


@contextmanager
def quiet(page: Page) -> Iterator[None]:
    watch = Watch(page)
    yield
    assert watch.errors == []


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens pages, and holds each to its own host, its policy and an empty console."""
    watches: list[tuple[str, Watch]] = []
    contexts, servers = [], []

    def open_page(
        run: s1.Run, folder: Path | None = None, query: str = "?lang=en", prefix: str = "/", **options: Any
    ) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        server = served(run, folder, prefix)
        address = server.__enter__()
        servers.append(server)
        page = context.new_page()
        page.set_default_timeout(30_000)
        watches.append((address, ready(page, address + query)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    for server in servers:
        server.__exit__(None, None, None)
    assert [error for _, watch in watches for error in watch.errors] == []
    asked = [(address, url) for address, watch in watches for url in watch.requests]
    assert [url for address, url in asked if not url.startswith((address, "data:"))] == []


@pytest.fixture
def lone(browser: Browser) -> Iterator[Page]:
    """A page whose console may complain of what a server refuses."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def bars(page: Page, home: str = "#bars") -> list[str]:
    return page.locator(f"{home} .value").all_text_contents()


def percents(probabilities: Any) -> list[str]:
    return [f"{100 * float(p):.1f}%" for p in probabilities]


def seen(page: Page) -> np.ndarray:
    """The prepared picture as the page shows it."""
    script = """canvas => {
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return [...data].filter((_, i) => i % 4 === 0);
    }"""
    return np.array(page.locator("#layers .seen canvas").evaluate(script), dtype=np.uint8)


def shown(page: Page) -> list[str]:
    """The bars, once they are those of what is on the sheet."""
    settled(page)
    expect(page.locator("#total")).to_contain_text("1.000000")
    return bars(page)


def settled(page: Page) -> None:
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")


def close(told: list[str], probabilities: Any) -> bool:
    """Whether percentages with one digit are those of these probabilities, up to float32's rounding."""
    return bool(np.allclose([float(word[:-1]) for word in told], 100 * np.asarray(probabilities), atol=0.051))


# --- drawing


def points(page: Page) -> list[tuple[float, float]]:
    # Not while the page still glides to where it was told to go.
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    seven = [(80, 70), (200, 70), (190, 100), (150, 170), (130, 230)]
    return [(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280) for x, y in seven]


def by_mouse(page: Page) -> None:
    first, *others = points(page)
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point, steps=2)
    page.mouse.up()


def by_touch(page: Page) -> None:
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        where = [{"x": x, "y": y} for x, y in places]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    # Upwards first, where a page that scrolled would go.
    for stroke in (list(reversed(points(page))), points(page)[:2]):
        touch("touchStart", stroke[0])
        for (x, y), (to_x, to_y) in pairwise(stroke):
            for step in (0.25, 0.5, 0.75, 1.0):
                touch("touchMove", (x + step * (to_x - x), y + step * (to_y - y)))
        touch("touchEnd")


def by_keyboard(page: Page) -> None:
    page.locator("#canvas").focus()
    for keys in ("ArrowUp " * 10, "ArrowLeft " * 6, "Space ", "ArrowRight " * 12, "ArrowDown " * 18, "Space"):
        for key in keys.split():
            page.keyboard.press(key)


@pytest.mark.parametrize("way", [by_mouse, by_touch, by_keyboard])
def test_a_stroke_gives_probabilities_of_what_was_drawn(
    run: s1.Run, folder: Path, opened: Open, way: Callable[[Page], None]
) -> None:
    page = opened(run, folder, viewport={"width": 360, "height": 640}, has_touch=way is by_touch)
    expect(page.locator("#best")).to_contain_text("The sheet is empty.")
    assert (bars(page), page.locator("#strip").is_visible(), page.locator("#softmax").is_visible()) == (
        ["–"] * 10,
        False,
        False,
    )
    page.locator("#canvas").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    way(page)
    told = shown(page)
    assert page.evaluate("scrollY") == before
    pixels = seen(page)
    assert pixels.any()
    assert close(told, run.probabilities(pixels)[0])
    # What is drawn is what was meant: Python prepares the same seven from the sheet itself.
    sheet = page.locator("#canvas").evaluate("canvas => canvas.toDataURL()").partition(",")[2]
    assert np.abs(prepare(base64.b64decode(sheet)).astype(int) - pixels).max() <= 1
    while not page.evaluate("document.querySelector('#answer').classList.contains('none')"):
        page.locator("#undo").click()
        settled(page)
    expect(page.locator("#best")).to_contain_text("The sheet is empty.")
    assert bars(page) == ["–"] * 10


def test_every_stroke_moves_the_bars_and_undo_moves_them_back(run: s1.Run, folder: Path, opened: Open) -> None:
    page = opened(run, folder)
    by_mouse(page)
    seven = shown(page)
    x, y = points(page)[3]
    page.mouse.move(x - 60, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=3)
    assert shown(page) != seven
    page.mouse.up()
    page.locator("#canvas").focus()
    page.keyboard.press("Control+z")
    assert shown(page) == seven
    page.keyboard.press("Delete")
    expect(page.locator("#best")).to_contain_text("The sheet is empty.")
    page.keyboard.press("Control+z")
    assert shown(page) == seven


def test_the_answer_is_spoken_once_the_pen_rests(run: s1.Run, page: Page) -> None:
    by_mouse(page)
    told = shown(page)
    best = max(range(10), key=lambda k: float(told[k][:-1]))
    expect(page.locator("#spoken")).to_have_text(f"{best}, {told[best]}")
    assert page.locator("#spoken").get_attribute("aria-live") == "polite"


# --- the same numbers as Python


def test_two_hundred_digits_have_pythons_probabilities(run: s1.Run, digits: s1.Dataset, page: Page) -> None:
    rows = digits.test.inputs[::5]
    told = predicted(page, rows)
    ours = run.probabilities(rows).double().numpy()
    assert len(told) == 200
    theirs = np.array([[each["probabilities"][name] for name in run.classes] for each in told])
    assert np.abs(theirs - ours).max() <= 1e-5
    assert [each["label"] for each in told] == run.predict(rows)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation_is_pythons(activation: str, digits: s1.Dataset, opened: Open) -> None:
    described = s1.Network(Specification.parse("784-128-64-10", activation, 0.0), seed=3)
    with torch.no_grad():
        # Far from the start: biases, and sums that saturate.
        for parameter in described.parameters():
            parameter.mul_(1.5).add_(0.01)
    page = opened(wrapped(described))
    rows = digits.test.inputs[:20]
    told = torch.tensor([each["logits"] for each in predicted(page, rows)], dtype=torch.float64)
    exact = described.double()(Preprocessing.lesson()(rows).double())
    assert torch.allclose(told, exact, rtol=1e-6, atol=1e-6)


def wrapped(network: nn.Module, **fields: Any) -> s1.Run:
    """A run that was never trained, and has no data."""
    given = {"name": "made", "data": "", "fingerprint": "", "image_shape": (28, 28), "handwriting": True, **fields}
    return s1.Run(network, Preprocessing.lesson(), CLASSES, History(), TrainingOptions(), **given)


# --- photos


def photo(kind: str = "PNG", **options: Any) -> bytes:
    paper = Image.new("RGB", (300, 200), (250, 240, 200))
    ImageDraw.Draw(paper).line([(60, 40), (130, 40), (90, 160)], fill=(20, 20, 120), width=15, joint="curve")
    file = BytesIO()
    paper.save(file, kind, **options)
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return photo("JPEG", quality=95, exif=exif)


@pytest.mark.parametrize("content", [photo(), turned()], ids=["png", "turned"])
def test_a_photo_is_prepared_as_python_prepares_it(run: s1.Run, page: Page, content: bytes) -> None:
    page.locator("#photo").set_input_files({"name": "a", "mimeType": "image/png", "buffer": content})
    told = shown(page)
    pixels, ours = seen(page), prepare(content)
    # Two decoders of one JPEG differ by a level or two.
    assert np.abs(pixels.astype(int) - ours).max() <= (1 if content == photo() else 12)
    assert close(told, run.probabilities(pixels)[0])


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_photo_can_be_pasted_and_dropped(run: s1.Run, page: Page, event: str) -> None:
    script = """([kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"}));
        const paste = () => new ClipboardEvent("paste", {clipboardData: data, bubbles: true});
        const drop = () => new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
        document.body.dispatchEvent(kind === "paste" ? paste() : drop());
    }"""
    page.evaluate(script, [event, list(photo())])
    assert close(shown(page), run.probabilities(seen(page))[0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no picture", "This file is no picture that the browser can read. Try a PNG, JPEG or WebP file."),
        (None, "There is no ink to be found in this photo. Try dark strokes on light paper."),
    ],
)
def test_what_is_no_photo_is_refused(run: s1.Run, page: Page, content: bytes | None, said: str) -> None:
    if content is None:
        file = BytesIO()
        Image.new("L", (50, 50), 255).save(file, "PNG")
        content = file.getvalue()
    page.locator("#photo").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": content})
    expect(page.locator("#photo-note")).to_have_text(said)
    assert bars(page) == ["–"] * 10


# --- the parts


def number(words: str) -> float:
    return float(words.replace("−", "-"))


def cells(page: Page, home: str) -> list[list[str]]:
    return page.locator(home).evaluate("table => [...table.rows].map(row => [...row.cells].map(c => c.textContent))")


def tried(run: s1.Run, place: int) -> torch.Tensor:
    """The row (1, D) of the sample at a place."""
    rows = json.loads(documents.document(run, None, "samples.json").body)["rows"]  # type: ignore[union-attr]
    index = rows[place]["index"]
    return s1.load(run.data).test.inputs[index : index + 1]


def choose_sample(page: Page, place: int) -> None:
    page.locator("#grid button").nth(place).click()
    settled(page)
    expect(page.locator("#total")).to_contain_text("1.000000")


def test_samples_are_the_test_split_and_the_wrong_ones_are_pythons(run: s1.Run, digits: s1.Dataset, page: Page) -> None:
    indexes = [row["index"] for row in documents.samples(run)]
    assert len(set(indexes)) == 200
    rows, labels = digits.test.inputs[indexes], [run.classes[label] for label in digits.test.labels[indexes].tolist()]
    counts = [labels.count(name) for name in CLASSES]
    assert min(counts) >= 10
    assert set(labels[:30]) == set(CLASSES)
    wrong = [f"{a} → {b}" for a, b in zip(labels, run.predict(rows), strict=True) if a != b]
    assert wrong
    lead = f"200 rows of the test split; the network is wrong about {len(wrong)} of them. Choose one to try it."
    expect(page.locator("#samples-lead")).to_have_text(lead)
    page.locator("#wrong").check()
    assert page.locator("#grid button:visible").all_inner_texts() == wrong
    page.locator("#wrong").uncheck()
    choose_sample(page, 7)
    assert (seen(page) == rows[7].numpy()).all()
    assert close(shown(page), run.probabilities(rows[7])[0])
    assert page.locator("#truth").input_value() == labels[7]
    # Drawn upon, a sample is a drawing like any other.
    by_mouse(page)
    page.locator("#undo").click()
    expect(page.locator("#bars .value").first).to_have_text(percents(run.probabilities(rows[7])[0])[0])


def test_a_unit_shows_the_weights_that_lead_to_it(run: s1.Run, page: Page) -> None:
    choose_sample(page, 3)
    first = page.locator(".cells").first.locator("button")
    assert [page.locator(".cells").nth(place).locator("button").count() for place in range(3)] == [32, 16, 10]
    # By keyboard: one stop for Tab, then arrows.
    first.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    network: Any = run.network
    weight, bias = network.layers[0].weight[1].detach(), network.layers[0].bias[1].detach()
    x = run.preprocessing(tried(run, 3))[0]
    total = float(weight @ x + bias)
    expect(page.locator("#unit h3")).to_have_text("Layer 1, unit 2")
    said = page.locator("#unit p").inner_text().replace("−", "-")
    assert said == f"bias {bias:.3f}, sum {total:.3f}, after relu: {max(total, 0):.3f}"
    picture = page.locator("#unit canvas").first
    least, most = float(weight.min()), float(weight.max())
    assert picture.get_attribute("aria-label") == f"weights, from {least:.3f} to {most:.3f}".replace("-", "−")
    script = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 3)"""
    strength = np.array(picture.evaluate(script))
    assert np.abs(strength - 255 * weight.abs().numpy() / max(-least, most)).max() <= 1
    page.keyboard.press("Enter")
    expect(page.locator("#unit")).to_be_hidden()


def test_softmax_number_by_number(run: s1.Run, digits: s1.Dataset, page: Page) -> None:
    choose_sample(page, 3)
    logits = run.logits(tried(run, 3))[0].double()
    page.locator("#temperature").fill("30")
    degrees = 10**0.3
    expect(page.locator("#temperature-name")).to_have_text("Temperature 2.00")
    _, *rows, foot = cells(page, "#steps")
    told = np.array([[number(cell) for cell in row[1:]] for row in rows])
    shifted = (logits - logits.max()) / degrees
    ours = torch.stack([logits, shifted, shifted.exp(), torch.softmax(logits / degrees, 0)], dim=1)
    assert np.allclose(told, ours, atol=0.006)
    assert np.allclose(told[:, 3], ours[:, 3], atol=1e-4)
    assert foot[-1] == "1.0000"


def test_the_wrong_ways_are_wrong_as_pytorch_is(run: s1.Run, digits: s1.Dataset, page: Page) -> None:
    choose_sample(page, 3)
    # Beside it stands the sample a third of the way through.
    x = run.logits(torch.cat([tried(run, 3), tried(run, 66)])).double()
    e = x.exp()
    ways = {
        "right": e / e.sum(dim=1, keepdim=True),
        "everything": e / e.sum(),
        "axis": e / e.sum(dim=0),
        "twice": torch.softmax(torch.softmax(x, dim=1), dim=1),
    }
    for way, ours in ways.items():
        page.locator(f"#ways input[value={way}]").check()
        _, *rows, foot = cells(page, "#batch")
        assert np.allclose([[number(cell) for cell in row[1:]] for row in rows], ours.T, atol=1e-4), way
        assert np.allclose([number(cell) for cell in foot[1:]], ours.sum(dim=1), atol=1e-4), way
        assert page.locator("#batch .wrong").count() == (2 if way in ("everything", "axis") else 0)


def test_the_gradient_is_autograds_and_the_difference_agrees(run: s1.Run, digits: s1.Dataset, page: Page) -> None:
    choose_sample(page, 3)
    page.locator("#truth").select_option("4")
    logits = run.logits(tried(run, 3))[0].double().clone().requires_grad_()
    s1.cross_entropy(logits, torch.tensor(4)).backward()  # type: ignore[no-untyped-call]
    _, *rows, _ = cells(page, "#gradient")
    told = np.array([[number(cell) for cell in row[1:]] for row in rows])
    assert rows[4][0] == "4 (true)"
    assert np.allclose(told[:, :2], logits.grad.numpy()[:, None], atol=2e-6)
    assert told[:, 2].max() < 1e-8


def test_the_slider_answers_with_the_weights_of_each_epoch(
    run: s1.Run, folder: Path, digits: s1.Dataset, page: Page
) -> None:
    choose_sample(page, 3)
    x = run.preprocessing(tried(run, 3))
    names = ["Before training", *(f"Epoch {epoch}: .*% of the validation rows right" for epoch in (1, 2, 3))]
    for epoch, name in enumerate(names):
        page.locator("#epoch").fill(str(epoch))
        network: Any = snapshots.network(run, folder, epoch)
        expect(page.locator("#epoch-name")).to_have_text(re.compile(name))
        ours = network.probabilities(x)[0].detach()
        best = int(ours.argmax())
        expect(page.locator("#epoch-bars .chosen .name")).to_have_text(CLASSES[best])
        expect(page.locator("#epoch-bars .chosen .value")).to_have_text(percents(ours)[best])
        assert close(bars(page, "#epoch-bars"), ours)


def test_the_runs_story(run: s1.Run, page: Page) -> None:
    assert page.locator("#curves svg").count() == 2
    page.locator("#curves summary").click()
    head, *rows = cells(page, "#curves table")
    assert head == ["epoch", "training loss", "validation loss", "training, right", "validation, right"]
    assert [row[:2] for row in rows] == [[str(row["epoch"]), f"{row['train_loss']:.4f}"] for row in run.history]
    _, *rows = cells(page, "#confusion table")
    assert [[int(cell) for cell in row[1:]] for row in rows] == run.metrics["test"]["confusion"]


# --- tables, modules, and what else a run may be


def test_a_form_takes_a_row_of_a_table(table: s1.Run, form: Page) -> None:
    assert form.locator("#row label").all_inner_texts() == ["length", "width", "weight in g"]
    expect(form.locator("#best")).to_have_text(
        "0 of 3 values are filled in. Probabilities need them all, so none are shown yet."
    )
    for place, word in enumerate(["4.5", "-1e-1", " 130 "]):
        form.locator("#row input").nth(place).fill(word)
    ours = table.probabilities(np.array([[4.5, -0.1, 130]]))[0]
    assert close(shown(form), ours)
    assert form.locator("#bars .name").all_text_contents() == list(table.classes)
    form.locator("#averages").click()
    assert shown(form)
    choose_sample(form, 2)
    sample = tried(table, 2)
    assert [float(box.input_value()) for box in form.locator("#row input").all()] == pytest.approx(sample[0].tolist())
    form.locator("#empty").click()
    expect(form.locator("#best")).to_contain_text("0 of 3 values are filled in.")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("1,5", "'1,5' is not a number. Write digits, such as 4.5 or 1e-3, with a point for decimals."),
        ("Infinity", "'Infinity' is not a number. Write digits, such as 4.5 or 1e-3, with a point for decimals."),
        ("1e39", "'1e39' is too far from every value that the network was trained on to be one of 'width'."),
        ("-9e9", "'-9e9' is too far from every value that the network was trained on to be one of 'width'."),
    ],
)
def test_a_form_refuses_what_is_no_value(table: s1.Run, form: Page, word: str, said: str) -> None:
    form.locator("#averages").click()
    assert shown(form)
    form.locator("#row input").nth(1).fill(word)
    expect(form.locator("#best")).to_have_text("The value of 'width' cannot be used, so no probabilities are shown.")
    assert form.locator("#value-1-note").inner_text() == said
    assert form.locator("#value-1").get_attribute("aria-invalid") == "true"
    assert bars(form) == ["–", "–"]


def test_a_step_that_was_never_fitted_calls_no_value_far(opened: Open) -> None:
    given = vars(wrapped(s1.Network("3-10", seed=0), image_shape=None))
    run = s1.Run(**{**given, "preprocessing": Preprocessing(3)})
    page = opened(run)
    for place, word in enumerate(["1732543210", "-5e6", "0.5"]):
        page.locator("#row input").nth(place).fill(word)
    assert close(shown(page), run.probabilities(np.array([[1732543210, -5e6, 0.5]]))[0])
    assert page.locator("#row small").all_inner_texts() == ["", "", ""]
    page.locator("#row input").nth(1).fill("-1e39")
    expect(page.locator("#value-1-note")).to_contain_text("'-1e39' is too far from every value")
    assert bars(page) == ["–"] * 10


def test_a_form_warns_of_what_is_far_out(table: s1.Run, form: Page) -> None:
    form.locator("#averages").click()
    form.locator("#row input").nth(0).fill("50")
    expect(form.locator("#value-0-note")).to_contain_text("standard deviations away from the training rows")
    assert shown(form)


def test_many_features_are_one_field(opened: Open) -> None:
    network = s1.Network("784-8-10", seed=0)
    run = wrapped(network, image_shape=None)
    page = opened(run)
    expect(page.locator("#row label")).to_have_text("784 numbers, with spaces or commas between them")
    row = np.arange(784) % 256
    page.locator("#row textarea").fill(", ".join(map(str, row)))
    assert close(shown(page), run.probabilities(row.astype(np.uint8))[0])
    page.locator("#row textarea").fill(" ".join(["256", *map(str, row[1:])]))
    expect(page.locator("#value-0-note")).to_have_text("'256' is no pixel: a pixel is a number from 0 to 255.")


def test_many_classes_show_the_most_probable(opened: Open) -> None:
    names = tuple(f"letter {place}" for place in range(40))
    run = wrapped(s1.Network("784-8-40", seed=0))
    run = s1.Run(**{**vars(run), "classes": names})
    page = opened(run)
    by_mouse(page)
    told = shown(page)
    probabilities, places = run.probabilities(seen(page))[0].sort(descending=True)
    assert close(told, probabilities[:12])
    assert page.locator("#bars .name").all_text_contents() == [names[place] for place in places[:12].tolist()]
    rest = f"{float(probabilities[12:].double().sum()):.6f}"
    said = re.fullmatch(
        r"The 12 most probable, and 28 others with (.*), together: 1\.000000", page.inner_text("#total")
    )
    assert said is not None
    assert float(said[1]) == pytest.approx(float(rest), abs=2e-6)
    assert cells(page, "#steps")[13][0] == "28 others"


def test_what_the_other_classes_hold_is_added_however_little(opened: Open) -> None:
    network: Any = s1.Network("784-40", seed=0)
    with torch.no_grad():
        network.layers[0].weight.zero_()
        network.layers[0].bias.copy_(torch.tensor([0.1 * place for place in range(12)] + [-45.0] * 28))
    page = opened(s1.Run(**{**vars(wrapped(network)), "classes": tuple(f"letter {place}" for place in range(40))}))
    by_mouse(page)
    shown(page)
    probabilities = torch.softmax(network.layers[0].bias.detach().double(), 0)
    little = float(probabilities[12:].sum())
    assert cells(page, "#steps")[13][-1] == f"{little:.1e}".replace("-", "−")
    assert cells(page, "#batch")[13][1:] == [f"{little:.1e}".replace("-", "−")] * 2
    width = page.locator("#strip span").last.evaluate("span => span.style.width")
    assert float(width.removesuffix("%")) == pytest.approx(100 * little, rel=1e-3)


def test_a_module_of_ones_own_is_asked_at_the_server(digits: s1.Dataset, opened: Open) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(784, 16), nn.Tanh(), nn.Linear(16, 10))
    run = wrapped(module, data="digits", fingerprint=digits.fingerprint)
    page = opened(run, prefix="/behind/a/proxy/")
    assert page.inner_text("#run").endswith(" · computed by the server")
    expect(page.locator("#samples-lead")).to_contain_text("the network is wrong about")
    by_mouse(page)
    # The last question is the one that counts: the bars are those of the picture that is shown.
    settled(page)
    assert close(shown(page), run.probabilities(seen(page))[0])
    assert page.locator(".layer").count() == 0
    assert number(cells(page, "#steps")[-1][-1]) == 1
    # Log-probabilities are no logits: what sets one row's against another's would be of other numbers.
    values = page.locator("#ways input:disabled").evaluate_all("all => all.map(each => each.value)")
    assert values == ["everything", "axis"]
    expect(page.locator("#ways-note")).to_have_text(
        "Two of the ways compare one row's logits with another's. The server tells no logits, so these two cannot be "
        "shown for this run."
    )


@pytest.mark.parametrize(("divisor", "picture"), [(255.0, None), (16.0, None), (16.0, (28, 28)), (1.0, None)])
def test_what_is_no_picture_of_pixels_is_asked_for_as_a_vector(
    opened: Open, divisor: float, picture: tuple[int, int] | None
) -> None:
    torch.manual_seed(0)
    given = vars(wrapped(nn.Sequential(nn.Linear(784, 10)), image_shape=picture))
    run = s1.Run(**{**given, "preprocessing": Preprocessing(784, divisor=divisor)})
    page = opened(run)
    if picture:
        by_mouse(page)
        told = shown(page)
        row = seen(page).astype(np.float32)
    else:
        row = (np.arange(784) % 256).astype(np.float32)
        page.locator("#row textarea").fill(" ".join(map(str, row)))
        told = shown(page)
    assert close(told, run.probabilities(row)[0])


def test_a_server_that_takes_few_rows_is_asked_for_few(digits: s1.Dataset, lone: Page) -> None:
    run = wrapped(nn.Sequential(nn.Linear(784, 10)), data="digits", fingerprint=digits.fingerprint)
    with served(run, most_rows=3) as address:
        ready(lone, address + "?lang=en")
        expect(lone.locator("#samples-lead")).to_contain_text("the network is wrong about")
        expect(lone.locator("#problem")).to_be_hidden()
        labels = [row["label"] for row in documents.samples(run)]
        answers = run.predict(torch.cat([tried(run, place) for place in range(200)]))
        wrong = sum(a != b for a, b in zip(labels, answers, strict=True))
        said = f"200 rows of the test split; the network is wrong about {wrong} of them."
        assert lone.locator("#samples-lead").inner_text().startswith(said)


def test_epochs_of_a_module_of_ones_own_are_left_out_with_a_reason(
    digits: s1.Dataset, tmp_path: Path, opened: Open
) -> None:
    run = s1.fit(nn.Sequential(nn.Linear(784, 10)), digits, epochs=1, snapshots=True, out=tmp_path / "run")
    page = opened(run, tmp_path / "run")
    expect(page.locator("#epoch-note")).to_have_text(
        "The run has kept its weights after each epoch, but its network is computed by the server, which holds the "
        "final weights alone: the epochs cannot be shown here."
    )
    assert page.locator("#epoch").is_hidden()


def test_a_run_that_stopped_early_says_so(tmp_path: Path, opened: Open) -> None:
    run = stopped_early(tmp_path / "run")
    losses = run.history["validation_loss"]
    held, count = losses.index(min(losses)) + 1, len(losses)
    page = opened(run, tmp_path / "run")
    said = f"With early stopping, the run holds the weights after epoch {held} of {count}, which had the lowest loss"
    for note in ("#epoch-note", "#story-note"):
        expect(page.locator(note)).to_contain_text(said)
    page.locator("#averages").click()
    told = shown(page)
    assert page.locator("#epoch").input_value() == str(held)
    expect(page.locator("#epoch-bars .value").first).to_have_text(told[0])
    assert bars(page, "#epoch-bars") == told


def test_a_run_that_changed_at_the_server_is_said(run: s1.Run, folder: Path, lone: Page) -> None:
    asked = []

    def described(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "fingerprint": "abc"})

    def refused(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=409, json={"error": "…", "code": "serve-run-changed"})

    with served(run, folder) as address:
        lone.route("**/page/model.json", described)
        ready(lone, address + "?lang=en")
        lone.route("**/page/weights/*", refused)
        by_mouse(lone)
        said = (
            "The run at this address is no longer the one that this page was opened with. Reload the page; where that "
            "does not help, start the server again."
        )
        expect(lone.locator("#epoch-total")).to_have_text(said)
        assert asked[0] == f"{address}page/weights/3.bin?run=abc"
        lone.route("**/page/weights.bin?run=abc", refused)
        lone.goto(address + "?lang=ko")
        expect(lone.locator("#problem")).to_have_text(
            "이 주소의 실행은 이 페이지를 열었을 때의 실행이 아닙니다. 페이지를 새로 고치고, 그래도 같으면 서버를 다시 "
            "시작하세요."
        )


def test_averages_keep_the_digits_of_far_columns(opened: Open) -> None:
    given = vars(wrapped(s1.Network("3-10", seed=0), image_shape=None))
    step = Preprocessing(3, mean=(1732543210.0, 5.25, -0.00123456), std=(3600.0, 2.0, 1.0))
    page = opened(s1.Run(**{**given, "preprocessing": step}))
    page.locator("#averages").click()
    boxes = page.locator("#row input").all()
    assert [box.input_value() for box in boxes] == ["1732543210", "5.25", "-0.0012346"]


def test_the_true_class_goes_with_its_sample(table: s1.Run, form: Page) -> None:
    labels = [row["label"] for row in documents.samples(table)]
    first = labels.index("ash")
    second = labels.index("ash", first + 1)
    choose_sample(form, first)
    assert form.locator("#truth").input_value() == "0"
    form.locator("#truth").select_option("1")
    choose_sample(form, second)
    assert form.locator("#truth").input_value() == "0"


def test_before_any_input_there_is_no_picture(opened: Open) -> None:
    given = vars(wrapped(s1.Network("784-3", seed=0), handwriting=False))
    run = s1.Run(**{**given, "classes": ("a", "b", "c")})
    for language, empty, none in (
        (
            "en",
            "The sheet is empty. A softmax would still return 3 numbers that sum to one, but they would say nothing "
            "about anything drawn: so none are shown.",
            "No picture yet: 28\u2009×\u200928 pixels",
        ),
        (
            "ko",
            "종이가 비어 있습니다. softmax는 그래도 더하면 1이 되는 숫자 3개를 내놓지만 그린 것에 대해 아무것도 말해 "
            "주지 않으므로 보여 주지 않습니다.",
            "아직 그림이 없습니다: 28\u2009×\u200928 픽셀",
        ),
    ):
        page = opened(run, query=f"?lang={language}")
        expect(page.locator("#best")).to_have_text(empty)
        assert page.locator("#layers .seen figcaption").text_content() == none
        script = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 28, 28).data].some(Boolean)"""
        assert page.locator("#layers .seen canvas").evaluate(script) is False


def test_pixels_that_do_not_go_far_are_seen_and_a_brighter_picture_is_told_of(tmp_path: Path, opened: Open) -> None:
    generator = np.random.default_rng(0)
    pixels, labels = generator.integers(17, size=(60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    data = s1.load(write_npz(tmp_path / "dark.npz", x=pixels, y=labels, x_test=pixels[:9], y_test=labels[:9]))
    run = s1.fit(s1.Network("64-4-3"), data, epochs=1)
    page = opened(run)
    choose_sample(page, 1)
    row = documents.samples(run)[1]["index"]
    assert seen(page).tolist() == (pixels[row].ravel() * (255 / 16) + 0.5).astype(int).tolist()
    assert page.locator("#answer-note").inner_text() == ""
    page.locator("#clear").click()
    by_mouse(page)
    settled(page)
    # What is seen has its brightest as white.
    sheet = page.locator("#canvas").evaluate("canvas => canvas.toDataURL()").partition(",")[2]
    most = prepare(base64.b64decode(sheet), (8, 8), digits=False).max()
    expect(page.locator("#answer-note")).to_have_text(
        f"The pixels that the network was trained on go up to 16; those of this row go up to {most}. It has never "
        "seen such a row, so the answer means little."
    )


def test_columns_that_are_many_are_named_and_a_decimal_comma_is_refused(opened: Open) -> None:
    names = tuple(f"column {place}" for place in range(1, 103))
    given = vars(wrapped(s1.Network("102-10", seed=0), image_shape=None))
    run = s1.Run(**{**given, "preprocessing": Preprocessing(102), "columns": names})
    page = opened(run)
    page.locator("#columns summary").click()
    said = page.inner_text("#column-names")
    assert said.startswith("1. column 1 · 2. column 2 · ")
    assert said.endswith(" · 102. column 102")
    words = "'0,5' may be one number or two. Write a point for decimals, and spaces between the numbers."
    for between in (" ", ", ", ";", "\n"):
        page.locator("#row textarea").fill(between.join(["0,5"] * 51))
        expect(page.locator("#best")).to_have_text(words)
        assert page.inner_text("#value-0-note") == words
    row = np.arange(102) / 2
    for between in (",", ", ", " ", "; ", "\n", "\t"):
        page.locator("#empty").click()
        page.locator("#row textarea").fill(between.join(map(str, row)))
        assert close(shown(page), run.probabilities(row)[0])


def test_an_empty_cell_of_a_row_moves_no_value_to_another_column(opened: Open) -> None:
    given = vars(wrapped(s1.Network("102-10", seed=0), image_shape=None))
    run = s1.Run(**{**given, "preprocessing": Preprocessing(102)})
    page = opened(run)
    row = [str(place / 2) for place in range(102)]
    answer = run.probabilities(np.arange(102) / 2)[0]
    field, best = page.locator("#row textarea"), page.locator("#best")
    for between in (",", ", ", ";", "\t", " , ", " \t", ",\n"):
        # As many values as there are columns, but one cell more.
        for place, missing in ((0, "x1"), (5, "x6"), (101, "x102")):
            field.fill(between.join([*row[:place], "", *row[place:]]))
            expect(best).to_have_text(f"The value of '{missing}' cannot be used, so no probabilities are shown.")
            said = f"There is no value for '{missing}': nothing stands between two separators."
            assert page.inner_text("#value-0-note") == said
        field.fill(between.join([*row, "", ""]))
        expect(best).to_have_text(
            "103 of 102 values are filled in. Probabilities need them all, so none are shown yet."
        )
        field.fill(" \n" + between.join([*row, ""]) + "\n")
        assert close(shown(page), answer)
    field.fill("  \n ".join(row))
    assert close(shown(page), answer)
    field.fill(" ")
    expect(best).to_contain_text("0 of 102 values are filled in.")


def test_pictures_that_are_no_digits_are_only_scaled(opened: Open) -> None:
    preprocessing = Preprocessing(12, divisor=255.0)
    given = vars(wrapped(s1.Network("12-4-3", seed=0), image_shape=(2, 2, 3), handwriting=False))
    run = s1.Run(**{**given, "preprocessing": preprocessing, "classes": ("a", "b", "c")})
    page = opened(run)
    file = BytesIO()
    Image.new("RGB", (20, 10), (200, 40, 80)).save(file, "PNG")
    page.locator("#photo").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": file.getvalue()})
    ours = run.probabilities(prepare(file.getvalue(), (2, 2, 3), digits=False))[0]
    assert close(shown(page), ours)
    # A picture in colour has three weights at a place: what is shown is their sum, and so is what is said.
    page.locator(".cells button").first.click()
    network: Any = run.network
    added = network.layers[0].weight[0].detach().reshape(4, 3).sum(dim=1)
    said = f"weights, the 3 channels added{added.min():.3f} … {added.max():.3f}".replace("-", "−")
    assert page.locator("#unit figcaption").first.text_content() == said


def test_pictures_of_numbers_are_filled_in(opened: Open) -> None:
    """Where a value is no pixel, nothing says what ink is: the row is a form, and the picture is shown."""
    given = vars(wrapped(s1.Network("6-10", seed=0), image_shape=(2, 3), handwriting=False))
    run = s1.Run(**{**given, "preprocessing": Preprocessing(6, mean=(8.0,), std=(4.0,))})
    page = opened(run)
    assert page.locator("#drawing").is_hidden()
    for place, box in enumerate(page.locator("#row input").all()):
        box.fill(str(3 * place))
    assert close(shown(page), run.probabilities(np.arange(0, 18, 3.0))[0])
    assert seen(page).tolist() == [0, 51, 102, 153, 204, 255]
    page.locator(".cells button").nth(4).click()
    expect(page.locator("#unit h3")).to_have_text("Output, unit 4")
    assert page.locator("#unit canvas").count() == 2


def test_a_row_of_very_many_values_is_shown(opened: Open) -> None:
    """More of them than a call takes arguments."""
    network = s1.Network("160000-2", seed=0)
    given = vars(wrapped(network, image_shape=(400, 400), handwriting=False))
    page = opened(s1.Run(**{**given, "preprocessing": Preprocessing(160_000, divisor=255.0), "classes": ("a", "b")}))
    by_mouse(page)
    shown(page)
    page.locator(".cells button").first.click()
    layers: Any = network.layers
    weight = layers[0].weight[0].detach()
    said = f"weights{weight.min():.3f} … {weight.max():.3f}".replace("-", "−")
    assert page.locator("#unit figcaption").first.text_content() == said


def test_a_server_that_is_gone_is_said(browser: Browser) -> None:
    run = wrapped(nn.Sequential(nn.Linear(784, 10)))
    context = browser.new_context()
    page = context.new_page()
    with served(run) as address:
        ready(page, address + "?lang=en")
    by_mouse(page)
    expect(page.locator("#best")).to_have_text("Something went wrong: Failed to fetch")
    assert bars(page) == ["–"] * 10
    context.close()


# --- for everybody


def test_both_languages(run: s1.Run, folder: Path, opened: Open) -> None:
    page = opened(run, folder, query="", locale="ko-KR")
    assert page.evaluate("document.documentElement.lang") == "ko"
    expect(page.locator("h1")).to_have_text("더하면 1이 되는 숫자들")
    choose_sample(page, 0)
    parts = [page.locator(f"#{part}") for part in ("answer .total", "inside", "softmax", "story", "judged")]
    korean = [part.inner_text() for part in parts]
    page.get_by_role("button", name="English").click()
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(page.locator("h1")).to_have_text("Numbers that sum to one")
    expect(page.locator("#softmax thead")).to_have_text(re.compile("class"))
    assert re.search("[가-힣]", page.inner_text("main")) is None
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("#softmax thead")).to_have_text(re.compile("클래스"))
    assert [part.inner_text() for part in parts] == korean
    asked = opened(run, folder, query="?lang=ko", locale="en-US")
    assert asked.evaluate("document.documentElement.lang") == "ko"


# What each control is called, the levels of the headings, and the contrast of every text with what is behind it.
_LAWS = """() => {
    // What color-mix gives counts from 0 to 1.
    const rgb = words => words.match(/[\\d.]+/g).map(v => v * (words.startsWith("color(") ? 255 : 1));
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = element => {
        for (let e = element; e; e = e.parentElement) {
            const colour = rgb(getComputedStyle(e).backgroundColor);
            if (colour.length === 3 || colour[3] >= 1) return colour;
        }
    };
    const shown = [...document.querySelectorAll("body *")].filter(e => e.checkVisibility());
    const texts = shown.filter(e => e.namespaceURI.endsWith("xhtml") && !["OPTION", "STYLE"].includes(e.tagName)
        && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
    return {
        headings: shown.filter(e => /^H[1-6]$/.test(e.tagName)).map(e => Number(e.tagName[1])),
        contrast: texts.map(e => {
            const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.slice(0, 40)];
        }).filter(([ratio]) => !(ratio >= 4.5)),
        ids: [...document.querySelectorAll("[id]")].map(e => e.id),
    };
}"""


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "ko")])
@pytest.mark.parametrize("kind", ["digits", "table"])
def test_what_everybody_needs(
    run: s1.Run, folder: Path, table: s1.Run, opened: Open, tmp_path: Path, kind: str, scheme: str, language: str
) -> None:
    chosen, home = (run, folder) if kind == "digits" else (table, None)
    phone = {"width": 360, "height": 640}
    page = opened(chosen, home, query=f"?lang={language}", viewport=phone, color_scheme=scheme)
    choose_sample(page, 1)
    page.locator(".cells button").first.click()
    # To be looked at: pytest keeps its folders.
    page.screenshot(path=tmp_path / f"{kind}-{scheme}-{language}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("document.documentElement.lang") == language
    found = page.evaluate(_LAWS)
    assert found["contrast"] == []
    levels = found["headings"]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(set(found["ids"])) == len(found["ids"])
    controls = "button, input, select, textarea, summary, [role=application], [role=group], [role=region], [role=img]"
    snapshot = page.locator("body").aria_snapshot()
    nameless = r"^\s*- (button|slider|checkbox|radio|combobox|textbox|application|region|img|table)( \[.*\])?:?$"
    assert page.locator(controls).count() > 40
    assert re.findall(nameless, snapshot, re.M) == []


def test_long_names_fit_a_phone(opened: Open) -> None:
    run = wrapped(s1.Network("784-2", seed=0))
    run = s1.Run(**{**vars(run), "classes": ("n" * 80, "a name of many words " * 4)})
    page = opened(run, viewport={"width": 360, "height": 640})
    by_mouse(page)
    assert shown(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    wide = "all => all.filter(each => each.scrollWidth > each.parentElement.clientWidth).map(each => each.id)"
    assert page.locator(".scroll > table").evaluate_all(wide) == []


def test_everything_can_be_reached_by_keyboard(run: s1.Run, folder: Path, opened: Open) -> None:
    page = opened(run, folder)
    choose_sample(page, 1)
    page.locator("body").evaluate("() => document.activeElement.blur()")
    page.evaluate("scrollTo(0, 0)")
    reached = []
    page.locator(".skip").focus()
    while not reached or reached[-1] != "BODY":
        reached.append(
            page.evaluate("(({id, className, tagName}) => id || className || tagName)(document.activeElement)")
        )
        page.keyboard.press("Tab")
    wanted = ["canvas", "undo", "clear", "photo", "wrong", "epoch", "temperature", "truth"]
    assert [name for name in wanted if name not in reached] == []
    # A group of many buttons is one stop.
    assert reached.count("cell") == 3
    assert sum(name.startswith("sample") for name in reached) == 1


def test_no_axe_violations(run: s1.Run, folder: Path, table: s1.Run, opened: Open) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    for chosen, home, scheme in ((run, folder, "light"), (run, folder, "dark"), (table, None, "light")):
        page = opened(chosen, home, color_scheme=scheme, bypass_csp=True)
        choose_sample(page, 1)
        page.locator(".cells button").first.click()
        assert axe.Axe().run(page).response["violations"] == []
