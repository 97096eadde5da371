"""The page as the server gives it: its files, its headers, and a browser that opens it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from browser import chromium
from served import Served, ask, digits_run, served
from sumtoone import Dataset, Network, fit, open_run, page

TOKEN = "0123456789abcdef"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[Served]:
    with served(run) as found:
        yield found


def test_files_and_documents_are_the_pages_own(server: Served, run: Path) -> None:
    files = {"/": page.asset("index.html"), "/static/style.css": page.asset("style.css")}
    files["/static/texts.json"] = page.asset("texts.json")
    documents = {f"/page/{name}": page.document(open_run(run), run, name) for name in ("model.json", "weights.bin")}
    for path, content in {**files, **documents}.items():
        assert content is not None
        for _ in range(2):
            status, headers, body = ask(server, path=path, method="GET")
            assert (status, body, headers["content-type"]) == (200, content.body, content.media_type)
            assert headers["content-security-policy"] == POLICY
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cache-control"] == "no-cache"
        status, again, body = ask(server, path=path, method="GET", if_none_match=f'"x", W/{headers["etag"]}')
        assert (status, body, again["etag"]) == (304, b"", headers["etag"])
        assert "content-length" not in again
        assert ask(server, path=path, method="GET", if_none_match='"x"')[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/nothing.js",
        "/static/../__init__.py",
        "/static/%2e%2e/__init__.py",
        "/static/%252e%252e/__init__.py",
        "/static//etc/passwd",
        "/page/nothing",
        "/page/weights/9.bin",
        "/page/../model.json",
        "/page/%00",
    ],
)
def test_nothing_else_is_there(server: Served, path: str) -> None:
    status, _, body = ask(server, path=path, method="GET")
    assert (status, json.loads(body)["code"]) == (404, "serve-path")


def test_a_weight_that_cannot_be_read_is_a_defect_without_its_path(tmp_path: Path, run: Path) -> None:
    from sumtoone import snapshots

    out = _snapped(tmp_path / "snapped", 1)
    assert snapshots.epochs(out) == (0, 1)
    with served(out, may_say=True) as server:
        assert ask(server, path="/page/weights/0.bin", method="GET")[0] == 200
        (out / "snapshots" / "000001.safetensors").write_bytes(b"damaged")
        status, _, body = ask(server, path="/page/weights/1.bin", method="GET")
        assert (status, json.loads(body)["code"]) == (500, "serve-defect")
        assert str(tmp_path) not in body.decode()
    assert "000001.safetensors" in server.said


def _snapped(out: Path, epochs: int, seed: int = 0) -> Path:
    rows = [[float(n), 1.0] for n in range(40)]
    fit(Network("2-2"), Dataset.from_arrays(rows, [0, 1] * 20), epochs=epochs, seed=seed, out=out, snapshots=True)
    return out


def _refused(server: Served, name: str) -> tuple[int, str]:
    status, _, body = ask(server, path=f"/page/{name}", method="GET")
    return status, json.loads(body)["code"]


def test_weights_are_asked_for_by_their_runs_fingerprint(tmp_path: Path) -> None:
    with served(_snapped(tmp_path / "run", 1)) as server:
        found = json.loads(ask(server, path="/page/model.json", method="GET")[2])["fingerprint"]
        assert found == sha256((tmp_path / "run" / "model.safetensors").read_bytes()).hexdigest()
        for name in ("weights.bin", "weights/0.bin"):
            assert ask(server, path=f"/page/{name}?run={found}", method="GET")[0] == 200
            # Another's are refused also where these are at hand.
            assert _refused(server, f"{name}?run={'0' * 64}") == (409, "serve-run-changed")


@pytest.mark.parametrize("after", ["removed", "replaced"])
def test_another_run_at_the_same_place_is_not_shown_as_this_one(tmp_path: Path, after: str) -> None:
    out = _snapped(tmp_path / "run", 2)
    # Nothing is on its standard error: this is no defect.
    with served(out) as server:
        kept = ask(server, path="/page/weights/0.bin", method="GET")
        shutil.rmtree(out)
        if after == "replaced":
            _snapped(out, 3, seed=1)
        for name in ("weights/1.bin", "weights/3.bin", "model.json"):
            assert _refused(server, name) == (409, "serve-run-changed")
        assert ask(server, path="/page/weights/0.bin", method="GET")[::2] == kept[::2]
        assert ask(server, path="/v2/health/ready", method="GET")[0] == 200


SWAPPING = """
from pathlib import Path
import torch
class Swapping(torch.nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
    def forward(self, x):
        here = Path(__file__).parent
        if (here / "another").exists():
            (here / "run").rename(here / "before")
            (here / "another").rename(here / "run")
        return super().forward(x)
"""


def test_another_run_that_came_while_it_was_opened_is_not_shown_as_this_one(tmp_path: Path) -> None:
    """A module is asked for an answer when all files are read: here it puts another run in their place."""
    from sumtoone.adoption.files import module_from_file

    network = f"{tmp_path / 'swapping.py'}:Swapping"
    (tmp_path / "swapping.py").write_text(SWAPPING)
    data = Dataset.from_arrays([[float(n % 7), 1.0] for n in range(40)], [0, 1] * 20)
    for place, epochs in (("run", 1), ("later", 2)):
        fit(module_from_file(network, 0), data, epochs=epochs, out=tmp_path / place)
    (tmp_path / "later").rename(tmp_path / "another")
    with served(tmp_path / "run", "--network", network) as server:
        assert (tmp_path / "before").exists()
        assert _refused(server, "model.json") == (409, "serve-run-changed")


def test_what_is_measured_while_it_is_served_changes_no_run(tmp_path: Path) -> None:
    out = _snapped(tmp_path / "run", 1)
    with served(out) as server:
        open_run(out).with_metrics(out, {"mine": {"accuracy": 0.5}})
        assert ask(server, path="/page/model.json", method="GET")[0] == 200


def test_a_browser_opens_it_with_the_token_and_nothing_is_refused(run: Path) -> None:
    said: list[str] = []
    asked: list[str] = []
    with served(run, "--token", TOKEN) as server, chromium() as browser:
        tab = browser.new_page()
        tab.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("response", lambda response: asked.append(f"{response.status} {response.url}"))
        tab.goto(server.url)
        tab.evaluate("sumtoone.ready")
        assert TOKEN not in tab.url
        base = server.url.partition("?")[0]
        assert tab.url == base
        assert f"200 {base}page/model.json" in asked
        assert any(one.startswith(f"200 {base}page/weights.bin?run=") for one in asked)
        answered = tab.evaluate(
            """async () => {
                await sumtoone.ready;
                const vector = Array.from({length: 784}, (_, n) => n % 256);
                const request = {method: 'POST', headers: {'Content-Type': 'application/json'}};
                const answer = await fetch('predict', {...request, body: JSON.stringify({vector})});
                return [await sumtoone.predict(vector), await answer.json()];
            }"""
        )
        here, there = (answer["probabilities"] for answer in answered)
        assert here.keys() == there.keys()
        assert max(abs(here[name] - there[name]) for name in here) < 1e-5
    assert said == []
    assert not [line for line in asked if not line.startswith(("200", "303"))]
