"""Every reader of a calibrated run gives the run's own probabilities: files, exports, the page, a server, commands."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser

import sumtoone as s1
import warm
from browser import chromium
from pages import predicted, ready, served
from served import served as served_process
from sumtoone import page, run_folder, run_format, snapshots
from sumtoone.exporting import onnx_graph, source
from sumtoone.page.documents import document, model
from sumtoone.serving.model import Model


@pytest.fixture(scope="module")
def data() -> s1.Dataset:
    return s1.load("digits")


@pytest.fixture(scope="module")
def folder(data: s1.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is far too sure of itself, calibrated by the command, with snapshots of its epochs."""
    home = tmp_path_factory.mktemp("calibrated") / "run"
    s1.fit(s1.Network("784-64-10"), data, epochs=12, lr=0.02, weight_decay=0, snapshots=True, out=home)
    done = warm.run(None, "calibrate", home, "--quiet", warn="error")
    assert (done.returncode, done.stderr) == (0, "")
    return home


@pytest.fixture(scope="module")
def run(folder: Path) -> s1.Run:
    run = s1.open_run(folder)
    assert run.calibration is not None
    assert run.calibration.temperature > 1.2
    return run


@pytest.fixture(scope="module")
def rows(data: s1.Dataset) -> torch.Tensor:
    return data.test.inputs[:200]


@pytest.fixture(scope="module")
def expected(run: s1.Run, rows: torch.Tensor) -> torch.Tensor:
    """What PyTorch makes of the trained network and the temperature."""
    assert run.calibration is not None
    logits: torch.Tensor = run.network(run.preprocessing(rows)).detach().double() / run.calibration.temperature
    # Far from what the network says without it.
    assert (logits * run.calibration.temperature).softmax(1).sub(logits.softmax(1)).abs().max() > 0.05
    return logits.softmax(1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def close(given: torch.Tensor, expected: torch.Tensor, exact: float = 1e-5) -> bool:
    return given.shape == expected.shape and float((given.double() - expected).abs().max()) < exact


def test_the_run_itself(run: s1.Run, rows: torch.Tensor, expected: torch.Tensor, folder: Path) -> None:
    assert close(run.probabilities(rows), expected)
    assert close(run.logits(rows).softmax(1), expected)
    # Made for an answer, it serves for gradients, too.
    assert close(run.answering(run.preprocessing(rows)).softmax(1).detach(), expected)
    assert run.predict(rows) == [run.classes[place] for place in expected.argmax(1).tolist()]
    one = torch.cat([run.probabilities(row) for row in rows[:10]])
    assert torch.equal(one, run.probabilities(rows[:10]))


def test_what_is_evaluated(run: s1.Run, data: s1.Dataset, folder: Path) -> None:
    assert run.calibration is not None
    report = s1.evaluate(run, data.validation)
    assert report.nll == pytest.approx(run.calibration.nll_after, rel=1e-5)
    assert s1.evaluate(replace(run, calibration=None), data.validation).nll == pytest.approx(
        run.calibration.nll_before, rel=1e-5
    )
    done = warm.run(None, "evaluate", folder, "--split", "validation", "--json", "--quiet", warn="error")
    assert json.loads(done.stdout)["nll"] == report.nll


def test_exported_files(run: s1.Run, rows: torch.Tensor, expected: torch.Tensor, tmp_path: Path) -> None:
    answers = onnx_graph.session(s1.export(run, tmp_path / "run.onnx", "onnx").read_bytes())
    assert close(answers(rows), expected)
    served_model = s1.export(run, tmp_path / "triton", "triton") / "1" / "model.onnx"
    assert close(onnx_graph.session(served_model.read_bytes())(rows), expected)
    for style in source.STYLES:
        made = s1.export(run, tmp_path / style, "pytorch", style=style)
        assert close(source.answers(made)(rows), expected)


def test_the_page(
    run: s1.Run, rows: torch.Tensor, expected: torch.Tensor, browser: Browser, folder: Path, tmp_path: Path
) -> None:
    held = tmp_path / "page.html"
    held.write_bytes(page.single_file(run))
    with served(run, folder) as address:
        for place in (address, held.as_uri()):
            shown = browser.new_page()
            watch = ready(shown, place)
            told = predicted(shown, rows)
            given = torch.tensor([[each["probabilities"][name] for name in run.classes] for each in told])
            assert close(given, expected)
            assert watch.errors == []
            shown.close()


def test_the_last_epoch_on_the_page_is_the_run(run: s1.Run, folder: Path) -> None:
    last = document(run, folder, "weights/12.bin")
    assert last is not None
    assert last == document(run, folder, "weights.bin")
    # Kept as they were trained: only what is shown has the temperature.
    kept = snapshots.network(run, folder, 12)
    assert all(
        torch.equal(mine, theirs) for mine, theirs in zip(kept.parameters(), run.network.parameters(), strict=True)
    )
    first = document(run, folder, "weights/0.bin")
    assert first is not None
    assert run.calibration is not None
    bias = slice(-10 - 640, -10)
    start = snapshots.network(run, folder, 0).layers[1].weight.detach().numpy().ravel()  # type: ignore[union-attr, index]
    assert np.frombuffer(first.body, "<f4")[bias] == pytest.approx(start / run.calibration.temperature, rel=1e-6)


def test_a_server(run: s1.Run, rows: torch.Tensor, expected: torch.Tensor, folder: Path) -> None:
    with served_process(folder) as server:
        body = json.dumps({"pixels": rows.tolist()}).encode()
        asked = urllib.request.Request(f"{server.url}predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            told = json.load(answer)["predictions"]
        given = torch.tensor([[each["probabilities"][name] for name in run.classes] for each in told])
        assert close(given, expected)
        described = json.load(urllib.request.urlopen(f"{server.url}page/model.json", timeout=60))
        # Who has the weights of the run as it was before asks in vain for these.
        assert described["fingerprint"] not in ("", run_folder.digests(folder)[run_format.WEIGHTS])
        weights = f"{server.url}page/weights.bin?run={described['fingerprint']}"
        with urllib.request.urlopen(weights, timeout=60) as answer:
            assert np.frombuffer(answer.read(), "<f4")[-10:] == pytest.approx(
                run.answering.layers[-1].bias.detach().numpy()  # type: ignore[union-attr, index]
            )


def test_another_calibration_is_another_model(run: s1.Run, folder: Path, tmp_path: Path) -> None:
    home = replace(run, calibration=None).save(tmp_path / "run")
    plain = Model(s1.open_run(home), home, digests=run_folder.digests(home))
    assert plain.fingerprint == run_folder.digests(home)[run_format.WEIGHTS]
    assert plain.is_in_folder()
    assert run.calibration is not None
    prints = [plain.fingerprint]
    for temperature in (2.0, 3.0):
        run_format.write_calibration(home, replace(run.calibration, temperature=temperature))
        assert not plain.is_in_folder()
        now = Model(s1.open_run(home), home, digests=run_folder.digests(home))
        assert now.is_in_folder()
        assert model(now.run, home)["fingerprint"] == now.fingerprint
        prints.append(now.fingerprint)
    assert len(set(prints)) == 3


def test_what_was_measured_stays_and_so_does_the_calibration(run: s1.Run, tmp_path: Path) -> None:
    home = run.save(tmp_path / "run")
    before = run_folder.digests(home)
    again = run.with_metrics(home, {"test": {"accuracy": 0.5}})
    assert again.calibration is run.calibration
    opened = s1.open_run(home)
    assert opened.metrics["test"] == {"accuracy": 0.5}
    assert opened.calibration is not None
    # What is measured changes no answer.
    assert run_folder.digests(home) == before


def test_scores_in_the_file_are_little_endian_numbers(run: s1.Run, folder: Path) -> None:
    kept = json.loads((folder / "run.json").read_text(encoding="utf-8"))["calibration"]
    assert run.calibration is not None
    for method, coded in kept["scores"].items():
        assert (np.frombuffer(base64.b64decode(coded), "<f8") == run.calibration.scores[method]).all()
