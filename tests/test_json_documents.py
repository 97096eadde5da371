"""What ``--json`` prints, key by key: the names and kinds that other people's scripts read.

A document is pinned as a picture of itself, with the kind of each value in its place; a list as one item for all.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datafiles import image_bytes
from sumtoone.cli import main

KINDS = {str: "text", bool: "truth", int: "whole", float: "number", type(None): "null"}

DONE = {
    "event": "text",
    "out": "text",
    "test": "null",
    "calibration": "null",
    "epochs": "whole",
    "epoch": "whole",
    "validation_accuracy": "number",
    "best_epoch": "whole",
    "best_validation_accuracy": "number",
    "stopped_early": "null",
}
EPOCH = {
    "event": "text",
    "epoch": "whole",
    "train_loss": "number",
    "train_accuracy": "number",
    "validation_loss": "number",
    "validation_accuracy": "number",
    "seconds": "number",
}
REPORT = {
    "accuracy": "number",
    "balanced_accuracy": "number",
    "macro_f1": "number",
    "nll": "number",
    "brier": "number",
    "ece": "number",
    "ece_equal_mass": "number",
    "majority": {"class": "text", "share": "number"},
    "never_predicted": ["text"],
    "confusion": [["whole"]],
    "confusions": [{"true": "text", "predicted": "text", "count": "whole"}],
    "per_class": [
        {
            "class": "text",
            "precision": "number",
            "recall": "number",
            "f1": "number",
            "support": "whole",
            "predicted": "whole",
        },
    ],
    "rows": "whole",
    "intervals": {name: ["number"] for name in ("accuracy", "nll", "brier", "ece", "ece_equal_mass")},
}
CALIBRATED_SCORES = {
    **dict.fromkeys(("nll", "ece", "ece_equal_mass"), "number"),
    "intervals": {name: ["number"] for name in ("nll", "ece", "ece_equal_mass")},
}
CALIBRATION = {
    "temperature": "number",
    "found": "truth",
    "rows": "whole",
    "before": CALIBRATED_SCORES,
    "after": CALIBRATED_SCORES,
}
PREDICTED = {"path": "text", "label": "text", "probabilities": {"0": "number", "1": "number"}}
JUDGED = {"data": "text", "split": "text", **REPORT}
ERROR = {"code": "text", "message": "text", "expected": "text", "got": "text", "try": "text"}
BUILT_IN = {
    "name": "text",
    "rows": "whole",
    "classes": "whole",
    "image_shape": ["whole"],
    "place": "text",
    "folder": "null",
    "about": "text",
}
DESCRIPTION = {
    "name": "text",
    "rows": {"train": "whole", "validation": "whole", "test": "whole"},
    "classes": [{"class": "text", "train": "whole", "validation": "whole", "test": "whole"}],
    "features": "whole",
    "image_shape": ["whole"],
    "dtype": "text",
    "range": ["whole"],
    "fingerprint": "text",
    "out": "null",
}
CHECKED = {
    "isolation": "text",
    "results": [
        {
            "path": "text",
            "exercise": "text",
            "passed": "truth",
            "code": "text",
            "notes": ["text"],
            "line": "whole",
            "cell": "null",
            "text": "text",
            "hint": "text",
            "remarks": [{"code": "text", "line": "whole", "text": "text"}],
            "points": "whole",
            "most": "whole",
            "seconds": "number",
        },
    ],
    "counts": {"wrong-axis": "whole"},
}
INTERVAL = {"value": "number", "low": "number", "high": "number"}
CONTENDER = {
    "contender": "text",
    "network": "text",
    "activation": "text",
    "optimizer": "text",
    "lr": "number",
    "batch_size": "whole",
}
TRAINED = {
    "event": "text",
    "key": "text",
    **CONTENDER,
    "seed": "whole",
    "tuning": "truth",
    "diverged": "truth",
    "kept": "truth",
    "validation_accuracy": "number",
    "done": "whole",
    "total": "whole",
}
COMPARED = {
    "event": "text",
    "data": "text",
    "out": "text",
    "seeds": ["whole"],
    "reach": "number",
    "contenders": [
        {
            **CONTENDER,
            "tried": [],
            "reached": "whole",
            "early": "whole",
            "epochs": "null",
            "validation_accuracy": INTERVAL,
            "seconds": "number",
        },
    ],
    "statements": [
        {
            "kind": "text",
            "contenders": ["text"],
            "seeds": "whole",
            "reach": "number",
            "epochs": "whole",
            "estimates": [INTERVAL],
            "difference": "null",
            "text": "text",
        },
    ],
    "notes": [],
}
LISTED = {
    "path": "text",
    "state": "text",
    "network": "text",
    "activation": "text",
    "data": "text",
    "seed": "whole",
    "epochs": "whole",
    "of": "whole",
    "optimizer": "text",
    "lr": "number",
    "batch_size": "whole",
    "validation_accuracy": "number",
    "interval": ["number"],
    "seconds": "number",
    "why": "null",
}
# What a server says when it is ready; ``test_cli_serve`` holds it to that.
READY = {"event": "text", "url": "text", "model": "text", "pid": "whole"}
EXPORTED = {"written": "text", "format": "text", "bytes": "whole", "difference": "number"}
TRACEBACK = """\
Traceback (most recent call last):
  File "net.py", line 9, in forward
    return self.fc2(x)
           ^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/torch/nn/modules/linear.py", line 134, in forward
    return F.linear(input, self.weight, self.bias)
RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x128 and 64x10)
"""
EXERCISE = {"name": "text", "title": "text"}
STATE = {"exercise": "text", "state": "text", "code": "null", "files": []}
EXPLANATION = {
    "expression": "text",
    "shapes": {"a": ["whole"], "b": ["whole"]},
    "shape": ["whole"],
    "error": "null",
    "warnings": [],
    "suggestions": [],
    "confirmed": "null",
    "text": "text",
}
MISTAKE = {
    "code": "text",
    "kind": "text",
    "message": "text",
    "place": {"file": "text", "line": "whole", "function": "text", "source": "text"},
    "layer": "text",
    "what": "text",
    "instead": ["text"],
    "text": "text",
}
QUESTION = {
    "kind": "text",
    "level": "whole",
    "expression": "text",
    "shapes": {"x": ["whole"]},
    "answer": ["whole"],
    "text": "text",
}

# The words, the exit code, and the line or lines on standard output. The run is one of two classes of images.
DOCUMENTS: dict[str, tuple[list[str], int, list[Any]]] = {
    "train": (
        ["train", "images.npz", "--epochs", "2", "--out", "new"],
        0,
        [EPOCH, EPOCH, DONE],
    ),
    "train --test": (
        ["train", "images.npz", "--epochs", "1", "--test", "--out", "new"],
        0,
        [EPOCH, {**DONE, "test": REPORT}],
    ),
    "train --calibrate": (
        ["train", "images.npz", "--epochs", "1", "--calibrate", "--out", "new"],
        0,
        [EPOCH, {**DONE, "calibration": CALIBRATION}],
    ),
    "train --plots": (
        ["train", "images.npz", "--epochs", "1", "--plots", "--out", "new"],
        0,
        [EPOCH, DONE],
    ),
    "train without validation rows": (
        ["train", "few.csv", "--epochs", "1", "--out", "new"],
        0,
        [
            {**EPOCH, "validation_loss": "null", "validation_accuracy": "null"},
            {**DONE, "validation_accuracy": "null", "best_validation_accuracy": "null"},
        ],
    ),
    "train --resume": (["train", "--resume", "--out", "run"], 0, [DONE]),
    "compare": (
        ["compare", "images.npz", "--activations", "relu", "--lrs", "0.01", "--seeds", "3", "--epochs", "1"],
        0,
        [TRAINED, TRAINED, TRAINED, COMPARED],
    ),
    "runs": (["runs", "run"], 0, [{"folder": "text", "runs": [LISTED]}]),
    "evaluate": (["evaluate", "run"], 0, [JUDGED]),
    "evaluate DATA": (["evaluate", "run", "images.npz", "--split", "train", "--plots", "drawn"], 0, [JUDGED]),
    "calibrate": (["calibrate", "calibrated"], 0, [{"run": "text", **CALIBRATION}]),
    "calibrate by other data": (["calibrate", "run", "few.csv"], 3, [{"error": ERROR}]),
    "predict": (["predict", "run", "a.png", "a.png"], 0, [PREDICTED] * 2),
    "predict --sets": (
        ["predict", "calibrated", "a.png", "--sets", "0.9"],
        0,
        [{**PREDICTED, "set": ["text"]}],
    ),
    "predict --reject-below": (
        ["predict", "run", "a.png", "--reject-below", "1"],
        0,
        [{**PREDICTED, "label": "null", "rejected": "truth"}],
    ),
    "predict --sets without a calibration": (["predict", "run", "a.png", "--sets", "0.9"], 3, [{"error": ERROR}]),
    "predict what is no image": (
        ["predict", "run", "none.png", "a.png"],
        3,
        [
            {"path": "text", "error": ERROR},
            PREDICTED,
        ],
    ),
    "export": (["export", "run", "--format", "onnx"], 0, [EXPORTED]),
    "export --format html": (["export", "run", "--format", "html"], 0, [{**EXPORTED, "difference": "null"}]),
    "export to what is there": (["export", "run", "--format", "onnx", "--out", "run"], 2, [{"error": ERROR}]),
    "check": (["check", "softmax.py"], 1, [CHECKED]),
    "check --list": (["check", "--list"], 0, [{"exercises": [EXERCISE]}]),
    "serve what is not there": (["serve", "none", "--port", "0"], 3, [{"error": ERROR}]),
    "check --new": (["check", "--new", "linear"], 0, [{"written": "text", "kept": "null"}]),
    "check --status": (["check", "--status", "run"], 0, [{"status": [STATE]}]),
    "explain": (["explain", "a / b", "--shape", "a=64,10", "--shape", "b=64,1"], 0, [EXPLANATION]),
    "explain what does not broadcast": (
        ["explain", "a / b", "--shape", "a=64,10", "--shape", "b=64"],
        1,
        [{**EXPLANATION, "shape": "null", "error": "text", "suggestions": [{"line": "text", "shape": ["whole"]}]}],
    ),
    "explain a trap": (
        ["explain", "a / b", "--shape", "a=64,64", "--shape", "b=64"],
        0,
        [{**EXPLANATION, "warnings": ["text"], "suggestions": [{"line": "text", "shape": ["whole"]}]}],
    ),
    "explain --error": (["explain", "--error", "traceback.txt"], 0, [MISTAKE]),
    "explain --error, a message that is not known": (
        ["explain", "--error", "unknown.txt"],
        1,
        [{**MISTAKE, "code": "null", "place": "null", "layer": "null", "what": "null", "instead": []}],
    ),
    "explain --quiz": (["explain", "--quiz", "1", "--seed", "2"], 0, [{"seed": "whole", "questions": [QUESTION]}]),
    "data fetch": (
        ["data", "fetch", "digits"],
        0,
        [{"name": "text", "place": "text", "folder": "null", "files": []}],
    ),
    "data show": (["data", "show", "images.npz"], 0, [DESCRIPTION]),
    "data show --out": (["data", "show", "images.npz", "--out", "some.png"], 0, [{**DESCRIPTION, "out": "text"}]),
    "data show TABLE": (
        ["data", "show", "rows.csv"],
        0,
        [{**DESCRIPTION, "image_shape": "null", "range": ["number"]}],
    ),
    "an option that is none": (["train", "--epoch", "3"], 2, [{"error": ERROR}]),
    "a value that is none": (["train", "--epochs", "many"], 2, [{"error": ERROR}]),
    "a verb that is none": (["trian"], 2, [{"error": ERROR}]),
    "several values that are none": (["train", "--epochs", "0", "--lr", "-1"], 2, [{"error": ERROR}]),
    "data that is not there": (["train", "none.csv", "--out", "new"], 3, [{"error": ERROR}]),
    "a run that is not there": (["evaluate", "none"], 3, [{"error": ERROR}]),
    "what is not on this machine": (["data", "fetch", "mnist"], 4, [{"error": ERROR}]),
}


def picture(value: Any) -> Any:
    """The names in a document, each with the kind of its value."""
    if isinstance(value, dict):
        return {name: picture(item) for name, item in value.items()}
    if isinstance(value, list):
        items = [picture(item) for item in value]
        assert all(item == items[0] for item in items), value
        return items[:1]
    return KINDS[type(value)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made")
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 4), dtype=np.uint8)
    np.savez(place / "images.npz", x=x, y=np.arange(60) % 2)
    (place / "a.png").write_bytes(image_bytes(x[0]))
    rows = [f"{number / 7:.2f},{number % 3}.5,{'pq'[number % 2]}\n" for number in range(20)]
    (place / "rows.csv").write_text("a,b,label\n" + "".join(rows))
    softmax = "import torch\nx = nothing\ndef softmax(x):\n    return torch.exp(x) / torch.exp(x).sum(dim=0)\n"
    (place / "softmax.py").write_text(softmax)
    (place / "traceback.txt").write_text(TRACEBACK)
    (place / "unknown.txt").write_text("ValueError: something else\n")
    (place / "few.csv").write_text("a,b,label\n" + "".join(rows[:4]))
    assert main(["train", str(place / "images.npz"), "--epochs", "1", "--out", str(place / "run"), "-q"]) == 0
    words = ["train", str(place / "images.npz"), "--epochs", "1", "--out", str(place / "calibrated"), "--calibrate"]
    assert main([*words, "-q"]) == 0
    return place


@pytest.fixture
def _there(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUMTOONE_OFFLINE", "1")
    monkeypatch.delenv("SUMTOONE_DATA", raising=False)


@pytest.mark.usefixtures("_there")
@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_key_of_every_document(name: str, language: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, code, expected = DOCUMENTS[name]
    assert main([*words, "--json", "--lang", language]) == code
    lines = capsys.readouterr().out.splitlines()
    found = [picture(json.loads(line)) for line in lines]
    assert found == expected
    # The order is that of the documentation, and stays.
    assert json.dumps(found) == json.dumps(expected)


@pytest.mark.usefixtures("_there")
def test_every_key_of_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    assert set(document) == {"datasets"}
    for entry in document["datasets"]:
        assert picture({**entry, "folder": None}) == BUILT_IN


def test_every_verb_that_speaks_json_is_here() -> None:
    from test_cli_garbage import NAMES, OPTIONS

    spoken = {tuple(verb) for verb in NAMES if "--json" in OPTIONS[tuple(verb)]}
    here = {words[: 2 if words[0] == "data" else 1] for words in (tuple(words) for words, _, _ in DOCUMENTS.values())}
    assert spoken - here == {("data", "list")}


def test_the_version_is_a_line_of_words(capsys: pytest.CaptureFixture[str]) -> None:
    from sumtoone import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sumtoone {__version__}\n"


def test_the_documentation_describes_every_document() -> None:
    page = (Path(__file__).parents[1] / "docs" / "json.md").read_text(encoding="utf-8")
    blocks = [json.loads(block.partition("```")[0]) for block in page.split("```json\n")[1:]]
    described = [
        EPOCH,
        DONE,
        REPORT,
        TRAINED,
        COMPARED,
        DOCUMENTS["runs"][2][0],
        JUDGED,
        DOCUMENTS["calibrate"][2][0],
        DOCUMENTS["predict"][2][0],
        EXPORTED,
        READY,
        CHECKED,
        EXERCISE,
        DOCUMENTS["check --new"][2][0],
        STATE,
        EXPLANATION,
        {"line": "text", "shape": ["whole"]},
        MISTAKE,
        {"seed": "whole", "questions": [QUESTION]},
        BUILT_IN,
        DOCUMENTS["data fetch"][2][0],
        DESCRIPTION,
        {"error": ERROR},
    ]
    assert json.dumps(blocks) == json.dumps(described)
