"""The page as one file: from a disk, with the network switched off."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect
from torch import nn

import sumtoone as s1
from pages import Watch, predicted, stopped_early
from sumtoone import page, snapshots
from sumtoone.data import Preprocessing, limits
from sumtoone.errors import UsageError
from sumtoone.history import History
from sumtoone.language import LANGUAGES, entries, speaking
from sumtoone.page import assets, bundling, documents

# In bytes: what the page may weigh, and its single file with a network of 784-128-64-10.
MOST_PAGE, MOST_FILE = 150_000, 1_500_000

STATIC = Path(page.__file__).parent / "static"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "run"


@pytest.fixture(scope="module")
def run(folder: Path) -> s1.Run:
    return s1.fit(s1.Network("784-128-64-10"), s1.load("digits"), epochs=1, seed=0, snapshots=True, out=folder)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[s1.Run, Path]:
    home = tmp_path_factory.mktemp("stopped") / "run"
    return stopped_early(home), home


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Callable[[bytes], Page]]:
    """Opens bytes as a file, offline, and holds the page to asking for nothing and complaining of nothing."""
    watches, contexts = [], []

    def open_file(content: bytes) -> Page:
        path = tmp_path / f"{len(contexts)} 실행.html"
        path.write_bytes(content)
        context = browser.new_context(offline=True, locale="en-US")
        contexts.append(context)
        opened = context.new_page()
        watches.append(Watch(opened))
        opened.goto(path.as_uri())
        opened.evaluate("() => window.sumtoone.ready")
        return opened

    yield open_file
    for context in contexts:
        context.close()
    assert [error for watch in watches for error in watch.errors] == []
    assert [url for watch in watches for url in watch.requests if not url.startswith(("file:", "data:"))] == []
    assert [sum(url.startswith("file:") for url in watch.requests) for watch in watches] == [1] * len(watches)


def test_the_file_draws_and_answers_offline(run: s1.Run, opened: Callable[[bytes], Page]) -> None:
    content = page.single_file(run)
    assert len(content) < MOST_FILE
    shown = opened(content)
    rows = s1.load("digits").test.inputs[::50]
    told = np.array([list(each["probabilities"].values()) for each in predicted(shown, rows)])
    # The names of digits are whole numbers, which JavaScript keeps in order.
    assert np.abs(told - run.probabilities(rows).double().numpy()).max() <= 1e-5
    expect(shown.locator("#best")).to_contain_text("The sheet is empty.")
    box = shown.locator("#canvas").bounding_box()
    assert box is not None
    shown.mouse.move(box["x"] + 100, box["y"] + 60)
    shown.mouse.down()
    shown.mouse.move(box["x"] + 120, box["y"] + 250, steps=5)
    shown.mouse.up()
    expect(shown.locator("#total")).to_have_text("The 10 numbers together: 1.000000")
    shown.get_by_role("button", name="한국어").click()
    expect(shown.locator("#total")).to_have_text("숫자 10개를 모두 더하면: 1.000000")
    assert shown.locator("#grid button").count() == 40
    assert shown.locator("#epochs").is_hidden()


def test_the_file_takes_photos(run: s1.Run, opened: Callable[[bytes], Page]) -> None:
    shown = opened(page.single_file(run))
    paper = Image.new("RGB", (300, 200), (250, 240, 200))
    ImageDraw.Draw(paper).line([(60, 40), (60, 160)], fill=(20, 20, 120), width=15)
    file = BytesIO()
    paper.save(file, "PNG")
    shown.locator("#photo").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": file.getvalue()})
    expect(shown.locator("#total")).to_have_text("The 10 numbers together: 1.000000")


def test_names_stay_names(run: s1.Run, opened: Callable[[bytes], Page]) -> None:
    names = ("</script><script>alert(1)</script>", "<!--", "<b>2</b>", *"3456789")
    shown = opened(page.single_file(replace(run, classes=names, name="</script>", data="")))
    assert shown.locator("#bars .name").all_text_contents() == list(names)
    expect(shown.locator("#run")).to_have_text("</script> · 784-128-64-10 · relu")


def test_the_file_is_the_same_each_time(run: s1.Run, folder: Path) -> None:
    first = page.single_file(run)
    documents.material.cache_clear()
    assets.assets.cache_clear()
    assert page.single_file(s1.open_run(folder)) == first


def test_the_files_policy_allows_its_own_script_and_style_alone(run: s1.Run) -> None:
    content = page.single_file(run).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', content)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert "connect-src" not in policy[1]
    assert re.findall(r"<script[^>]*>", content) == [
        '<script type="application/json" id="held">',
        '<script type="module">',
    ]
    assert re.search(r'(src|href)="(?!data:|#main)', content) is None


@pytest.mark.parametrize("kind", ["module", "huge", "half", "bfloat16", "changed"])
def test_a_network_that_the_page_cannot_compute_is_refused(kind: str, run: s1.Run) -> None:
    network: nn.Module = s1.Network("784-8-10")
    if kind == "module":
        network = nn.Sequential(nn.Linear(784, 10))
    elif kind == "huge":
        network = s1.Network("784-6300-10")
    elif kind in ("half", "bfloat16"):
        network = getattr(network, kind)()
    else:
        network.register_forward_hook(lambda *_: None)
    mine = replace(run, network=network)
    described = json.loads(page.document(mine, None, "model.json").body)  # type: ignore[union-attr]
    assert (described["engine"], described["sizes"], described["activation"]) == ("server", None, None)
    assert page.document(mine, None, "weights.bin") is None
    with pytest.raises(UsageError) as refused:
        page.single_file(mine)
    given = type(network).__name__
    assert str(refused.value) == (
        "The page cannot compute this run's network by itself [page-module]\n"
        "  expected: a Network such as Network('784-128-64-10'), of at most five million float32 or float64 weights\n"
        f"  got: {given} in the run 'run'\n"
        "  try: show it with 'sumtoone serve', which computes for the page"
    )
    with speaking("ko"):
        assert refused.value.message == "이 실행의 신경망은 페이지가 스스로 계산할 수 없습니다"


# --- what the page is told


def test_the_weights_are_those_of_the_network_layer_by_layer(run: s1.Run, folder: Path) -> None:
    for name, network in (("weights.bin", run.network), ("weights/0.bin", snapshots.network(run, folder, 0))):
        content = page.document(run, folder, name)
        assert content is not None
        assert content.media_type == "application/octet-stream"
        values = np.frombuffer(content.body, "<f4")
        ours = [each.detach().ravel() for layer in network.layers for each in (layer.weight, layer.bias)]  # type: ignore
        assert (values == torch.cat(ours).numpy()).all()


def test_the_description_is_the_runs(run: s1.Run, folder: Path) -> None:
    content = page.document(run, folder, "model.json")
    assert content is not None
    assert content.media_type == "application/json"
    told = json.loads(content.body)
    history = told.pop("history")
    assert [row["train_loss"] for row in history] == list(run.history["train_loss"])
    assert told == {
        "name": "run",
        "fingerprint": sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "classes": list("0123456789"),
        "features": 784,
        "sizes": [784, 128, 64, 10],
        "activation": "relu",
        "image_shape": [28, 28],
        "columns": None,
        "handwriting": True,
        "divisor": 255.0,
        "mean": list(run.preprocessing.mean),
        "std": list(run.preprocessing.std),
        "metrics": {},
        "epoch": 1,
        "snapshots": [0, 1],
        "samples": True,
        "largest": 255,
        "engine": "page",
    }
    nowhere = json.loads(page.document(run, None, "model.json").body)  # type: ignore[union-attr]
    assert (nowhere["snapshots"], nowhere["fingerprint"]) == ([], "")


def test_a_run_that_stopped_early_says_which_epoch_it_holds(run: s1.Run, stopped: tuple[s1.Run, Path]) -> None:
    early, folder = stopped
    told = json.loads(page.document(early, folder, "model.json").body)  # type: ignore[union-attr]
    assert told["epoch"] < len(early.history)
    assert page.document(early, folder, f"weights/{told['epoch']}.bin") == page.document(early, None, "weights.bin")
    rows = tuple({**row, "validation_loss": float("nan")} for row in early.history)
    unmeasured = replace(early, history=History(rows))
    assert json.loads(page.document(unmeasured, None, "model.json").body)["epoch"] == len(rows)  # type: ignore[union-attr]
    untold = replace(run, history=History())
    assert json.loads(page.document(untold, None, "model.json").body)["epoch"] is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "model",
        "weights/2.bin",
        "weights/00.bin",
        "weights/-1.bin",
        "weights/٣.bin",
        "weights/1.bin\n",
        "../run.json",
    ],
)
def test_other_documents_there_are_none(run: s1.Run, folder: Path, name: str) -> None:
    assert page.document(run, folder, name) is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../documents.py", "static/app.js", "/etc/passwd", "app.js\0", "APP.JS"]
)
def test_other_files_there_are_none(name: str) -> None:
    assert page.asset(name) is None


def test_samples_are_left_out_where_the_data_is_not_the_runs(run: s1.Run) -> None:
    for fields in ({"data": ""}, {"data": "/nowhere.csv"}, {"fingerprint": "0" * 64}, {"data": "kmnist"}):
        other = replace(run, **fields)  # type: ignore[arg-type]
        assert page.document(other, None, "samples.json") is None
        assert json.loads(page.document(other, None, "model.json").body)["samples"] is False  # type: ignore[union-attr]


def test_rows_of_a_table_are_shown_and_stay_out_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "leaves.csv"
    lines = [f"{place},{place % 7},{'ab'[place % 2]}" for place in range(60)]
    path.write_text("\n".join(["length,width,label", *lines]))
    data = s1.load(path)
    run = s1.fit(s1.Network("2-4-2"), data, epochs=1, seed=0)
    rows = json.loads(page.document(run, None, "samples.json").body)["rows"]  # type: ignore[union-attr]
    rows.sort(key=lambda row: row["index"])
    assert [row["index"] for row in rows] == list(range(len(data.test)))
    assert [row["values"] for row in rows] == data.test.inputs.tolist()
    assert [row["label"] for row in rows] == [run.classes[label] for label in data.test.labels.tolist()]
    held = page.single_file(run).decode()
    assert '"samples":false' in held
    assert '"samples":{"rows":[]}' in held


def test_an_empty_test_split_has_no_samples() -> None:
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    run = s1.fit(s1.Network("2-2"), s1.Dataset.from_arrays(x, np.arange(20) % 2), epochs=1, seed=0)
    assert page.document(run, None, "samples.json") is None


# --- what the page is made of


def test_the_page_is_light() -> None:
    sizes = {name: len(content.body) for name, content in assets.assets().items()}
    assert {"index.html", "style.css", "app.js", "prepare.js", "texts.json"} <= set(sizes)
    assert sum(sizes.values()) < MOST_PAGE


def test_every_words_key_is_used_and_known() -> None:
    sources = "\n".join(path.read_text() for path in sorted(STATIC.iterdir()))
    literal = set(re.findall(r'data-(?:text|label)="([\w.-]+)"', sources))
    literal |= set(re.findall(r'(?<![\w.-])"((?:[a-z]+\.)?[a-z-]+)"', sources))
    literal |= {f"softmax.{name}" for name in ("class", "logit", "shifted", "exponential", "quotient")}
    literal |= {f"way.{way}{end}" for way in ("right", "everything", "axis", "twice") for end in ("", "-verdict")}
    literal |= {f"story.{part}-{what}" for part in ("train", "validation") for what in ("loss", "accuracy")}
    literal.add("story.epoch")
    known = {key.removeprefix("page.") for key in entries("en") if key.startswith("page.")}
    assert known - literal == set()
    asked = re.findall(r'\btext\("([\w.-]+)"', sources) + re.findall(r'data-(?:text|label)="([\w.-]+)"', sources)
    assert len(asked) > 60
    assert set(asked) - known == set()
    told = json.loads(assets.assets()["texts.json"].body)
    assert {language: set(told[language]) for language in LANGUAGES} == dict.fromkeys(LANGUAGES, known)


def test_the_page_takes_photos_as_large_as_python_does() -> None:
    assert limits.MOST_PIXELS == 2**26
    assert "const MOST_PIXELS = 2 ** 26;" in (STATIC / "photos.js").read_text()


def test_the_page_has_no_inline_script_or_style() -> None:
    html = (STATIC / "index.html").read_text()
    assert re.findall(r"<script[^>]*>(?=\S)", html.replace("></script>", ">")) == []
    assert re.search(r"<style|\sstyle=|\son\w+=|javascript:", html) is None
    assert re.search(r"https?://(?!www\.w3\.org/)", "".join(path.read_text() for path in STATIC.iterdir())) is None


def test_no_call_takes_as_many_arguments_as_there_are_values() -> None:
    assert [path.name for path in STATIC.iterdir() if re.search(r"Math\.(max|min)\(\.\.\.", path.read_text())] == []


def test_modules_become_one_script() -> None:
    made = {
        "a.js": 'import { one, two as other } from "./b.js";\nimport * as c from "./c.js";\n'
        "export const all = [one, other, c.three];\n",
        "b.js": 'import { three } from "./c.js";\nexport function one() {}\n'
        "export async function two() {}\nconst own = three;\n",
        "c.js": "export const three = 3;\n",
    }
    modules = {name: page.Content(text.encode(), "") for name, text in made.items()}
    assert bundling.bundle("a.js", modules) == (
        "const module_c = (() => {\nconst three = 3;\n\nreturn { three };\n})();\n"
        "const module_b = (() => {\nconst { three } = module_c;\nfunction one() {}\nasync function two() {}\n"
        "const own = three;\n\nreturn { one, two };\n})();\n"
        "const module_a = (() => {\nconst { one, two: other } = module_b;\nconst c = module_c;\n"
        "const all = [one, other, c.three];\n\nreturn { all };\n})();"
    )
    modules["c.js"] = page.Content(b"export default 3;\n", "")
    with pytest.raises(AssertionError, match=r"c\.js has what does not go into one script: export default 3;"):
        bundling.bundle("a.js", modules)


def test_the_preprocessing_of_the_page_is_the_runs() -> None:
    # A mean far from zero for its deviation: float32 would lose the digits.
    step = Preprocessing(2, mean=(1.7e9, 0.5), std=(3600.0, 2.0))
    run = s1.fit(s1.Network("2-2"), s1.Dataset.from_arrays(np.eye(2)[[0, 1] * 10], [0, 1] * 10), epochs=1, seed=0)
    told = json.loads(page.document(replace(run, preprocessing=step), None, "model.json").body)  # type: ignore[union-attr]
    assert (told["mean"], told["std"], told["divisor"]) == ([1.7e9, 0.5], [3600.0, 2.0], 1.0)
    assert documents.to_bytes({"x": float("nan")}) == b'{"x":null}'
