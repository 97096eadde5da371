"""``sumtoone calibrate``, ``train --calibrate``, ``predict --sets`` and ``--reject-below``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

import sumtoone as s1
import warm
from sumtoone.cli import main
from sumtoone.evaluation import Report
from sumtoone.photos import prepare
from test_cli_predict import certain, seven, square  # noqa: F401 - fixtures
from test_cli_train import table  # noqa: F401 - a fixture

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs") / "digits"
    s1.fit(s1.Network("784-32-10"), s1.load("digits"), epochs=12, lr=0.02, weight_decay=0, out=home)
    return home


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return s1.open_run(made).save(tmp_path / "run")


def said(capsys: Captured, *words: object) -> tuple[int, str, str]:
    code = main(list(map(str, words)))
    return code, *capsys.readouterr()


def reports(folder: Path) -> tuple[s1.Run, Report, Report]:
    run, split = s1.open_run(folder), s1.load("digits").validation
    return run, s1.evaluate(replace(run, calibration=None), split), s1.evaluate(run, split)


def ends(report: Report, name: str) -> str:
    low, high = report.intervals[name]
    return f"{getattr(report, name):.4f} [{low:.4f}, {high:.4f}]"


# --- calibrate


def test_words(folder: Path, capsys: Captured) -> None:
    code, out, err = said(capsys, "calibrate", folder)
    run, before, after = reports(folder)
    assert (code, err) == (0, "")
    assert run.calibration is not None
    expected = s1.calibrate(replace(run, calibration=None), s1.load("digits").validation).calibration
    assert expected is not None
    assert run.calibration.to_json() == expected.to_json()
    assert run.calibration.temperature > 1.1
    first, head, *rows, last = out.splitlines()
    assert first == f"temperature {run.calibration.temperature:.4f}, fitted on the 500 validation rows"
    assert head.split() == ["before", "after"]
    names = {
        "nll": "negative log-likelihood (nats)",
        "ece": "expected calibration error",
        "ece_equal_mass": "expected calibration error, equal mass",
    }
    assert [" ".join(row.split()) for row in rows] == [
        f"{words} {ends(before, name)} {ends(after, name)}" for name, words in names.items()
    ]
    assert last == "in brackets: 95 % intervals, over other rows of the same kind"
    assert sorted(path.name for path in folder.iterdir()) == ["history.jsonl", "model.safetensors", "run.json"]


def test_document_and_quiet_and_twice_is_once(folder: Path, capsys: Captured) -> None:
    code, out, err = said(capsys, "calibrate", folder, "--json", "--quiet")
    run, before, after = reports(folder)
    assert (code, err) == (0, "")
    assert run.calibration is not None

    def scores(report: Report) -> dict[str, Any]:
        names = ("nll", "ece", "ece_equal_mass")
        intervals = {name: list(report.intervals[name]) for name in names}
        return {**{name: getattr(report, name) for name in names}, "intervals": intervals}

    assert json.loads(out) == {
        "run": str(folder),
        "temperature": run.calibration.temperature,
        "found": True,
        "rows": 500,
        "before": scores(before),
        "after": scores(after),
    }
    kept = (folder / "run.json").read_bytes()
    assert said(capsys, "calibrate", folder, "-q") == (0, f"temperature  {run.calibration.temperature:.4f}\n", "")
    assert (folder / "run.json").read_bytes() == kept


def test_evaluate_says_that_a_run_is_calibrated(folder: Path, capsys: Captured) -> None:
    assert "calibrated" not in said(capsys, "evaluate", folder)[1]
    main(["calibrate", str(folder), "-q"])
    capsys.readouterr()
    run = s1.open_run(folder)
    assert run.calibration is not None
    out = said(capsys, "evaluate", folder)[1]
    temperature = f"{run.calibration.temperature:.4f}"
    assert out.splitlines()[1] == f"calibrated: temperature {temperature}, fitted on 500 validation rows"


def test_it_is_said_when_all_rows_are_right(tmp_path: Path, capsys: Captured) -> None:
    rows = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
    np.savez(tmp_path / "easy.npz", x=rows, y=np.repeat(["a", "b"], 40), x_test=rows, y_test=np.repeat(["a", "b"], 40))
    s1.fit(s1.Network("2-8-2"), s1.load(tmp_path / "easy.npz"), epochs=30, out=tmp_path / "run")
    rows_there = len(s1.load(tmp_path / "easy.npz").validation)
    code, out, _ = said(capsys, "calibrate", tmp_path / "run")
    assert (code, out.splitlines()[0]) == (
        0,
        f"the temperature stays 1: the {rows_there} validation rows tell of none, for all are right, "
        "or chance does as well",
    )


def test_only_the_runs_own_rows_calibrate_it(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    data = s1.load("digits")
    other = tmp_path / "other.npz"
    np.savez(other, x=data.test.inputs.numpy().reshape(-1, 28, 28), y=data.test.labels.numpy())
    before = (folder / "run.json").read_bytes()
    assert said(capsys, "calibrate", folder, other) == (
        3,
        "",
        "sumtoone: This is not the data that the run was trained on, and only its own validation rows may calibrate it "
        "[calibrate-data]\n"
        f"  expected: the same rows as when {folder} was trained\n"
        f"  got: other rows in {other}\n"
        "  try: name where the old rows are: sumtoone calibrate RUN DATA; in Python calibrate(run, split) takes rows "
        "of your own\n",
    )
    assert (folder / "run.json").read_bytes() == before


def test_data_that_has_moved_is_named(table: Path, tmp_path: Path, capsys: Captured) -> None:  # noqa: F811
    old = tmp_path / "old.csv"
    old.write_bytes(table.read_bytes())
    assert main(["train", str(old), "--label", "kind", "--epochs", "2", "--out", str(tmp_path / "run"), "-q"]) == 0
    old.rename(tmp_path / "new.csv")
    capsys.readouterr()
    code, _, err = said(capsys, "calibrate", tmp_path / "run")
    assert (code, err.splitlines()[0].rpartition(" ")[2]) == (3, "[data-missing-path]")
    assert said(capsys, "calibrate", tmp_path / "run", tmp_path / "new.csv", "-q")[0] == 0
    assert s1.open_run(tmp_path / "run").calibration is not None


def test_a_folder_that_is_held_or_holds_no_run_is_refused(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    code, _, err = said(capsys, "calibrate", tmp_path / "none")
    assert (code, err.splitlines()[0]) == (3, "sumtoone: There is no run here [run-missing]")
    with FileLock(folder / ".lock"):
        code, _, err = said(capsys, "calibrate", folder)
    assert (code, err.splitlines()[0].rpartition(" ")[2]) == (3, "[run-in-use]")


def test_a_kill_leaves_the_old_calibration_or_the_new_one(folder: Path) -> None:
    assert warm.run(None, "calibrate", folder, "-q").returncode == 0
    old = s1.open_run(folder).calibration
    assert old is not None
    program = (
        "import os, signal, sys\n"
        "from sumtoone import storage\n"
        "from sumtoone.cli import main\n"
        "def killed(*_):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "storage.os.fsync = killed\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, "calibrate", str(folder)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    now = s1.open_run(folder).calibration
    assert now is not None
    assert now.to_json() == old.to_json()
    # What it left holds nobody up.
    assert warm.run(None, "calibrate", folder, "-q").returncode == 0


def test_no_number_stays_that_was_measured_with_another_temperature(folder: Path) -> None:
    given = s1.open_run(folder)
    full = s1.evaluate(given, s1.load("digits").test).to_json()
    given = given.with_metrics(folder, {"test": full})
    assert main(["calibrate", str(folder), "-q"]) == 0
    run = s1.open_run(folder)
    changed = {"nll", "brier", "ece", "ece_equal_mass"}
    intervals = {"accuracy": full["intervals"]["accuracy"]}
    left = {name: value for name, value in full.items() if name not in changed} | {"intervals": intervals}
    assert run.metrics == {"test": left} == s1.calibrate(given, s1.load("digits").validation).metrics
    # With the same temperature everything stays.
    again = s1.evaluate(run, s1.load("digits").test).to_json()
    run.with_metrics(folder, {"test": again})
    assert main(["calibrate", str(folder), "-q"]) == 0
    assert s1.open_run(folder).metrics == {"test": again}


# --- train --calibrate


def test_a_training_ends_with_its_calibration(table: Path, tmp_path: Path, capsys: Captured) -> None:  # noqa: F811
    words = ["train", table, "--label", "kind", "--epochs", "2", "--out", tmp_path / "run", "--calibrate", "--test"]
    code, out, err = said(capsys, *words, "--json")
    assert code == 0
    done = json.loads(out.splitlines()[-1])
    run = s1.open_run(tmp_path / "run")
    assert run.calibration is not None
    assert done["calibration"]["temperature"] == run.calibration.temperature
    # Judged as it answers: with the temperature.
    test = s1.load(table, label="kind").test
    assert done["test"]["nll"] == s1.evaluate(run, test).nll == run.metrics["test"]["nll"]
    assert done["test"]["nll"] != s1.evaluate(replace(run, calibration=None), test).nll
    assert f"temperature {run.calibration.temperature:.4f}, fitted on the" in err
    plain = tmp_path / "plain"
    assert main([*map(str, words[:6]), "--out", str(plain), "-q"]) == 0
    assert (plain / "model.safetensors").read_bytes() == (tmp_path / "run" / "model.safetensors").read_bytes()
    assert s1.open_run(plain).calibration is None
    # A finished run that is resumed with it is calibrated, too.
    assert main(["train", "--resume", "--out", str(plain), "--calibrate", "-q"]) == 0
    again = s1.open_run(plain).calibration
    assert again is not None
    assert again.to_json() == run.calibration.to_json()


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """So few rows that none is left for validation."""
    (tmp_path / "few.csv").write_text("p,q,label\n1,2,a\n3,1,b\n1,1,a\n3,3,b\n")
    assert not len(s1.load(tmp_path / "few.csv").validation)
    return tmp_path / "few.csv"


def test_without_validation_rows_nothing_is_trained(few: Path, tmp_path: Path, capsys: Captured) -> None:
    code, out, err = said(capsys, "train", few, "--calibrate", "--out", tmp_path / "run")
    assert (code, out, err) == (
        3,
        "",
        "sumtoone: There are no validation rows for --calibrate [split-needed]\n"
        "  expected: rows that the network was not trained on\n"
        f"  got: 0 validation rows in few.csv, {len(s1.load(few).train)} rows to train on\n"
        "  try: leave --calibrate out, or add rows to the validation split\n",
    )
    assert not (tmp_path / "run").exists()
    assert main(["train", str(few), "--epochs", "1", "--out", str(tmp_path / "run"), "-q"]) == 0
    capsys.readouterr()
    for words in (["train", "--resume", "--out", tmp_path / "run", "--calibrate"], ["calibrate", tmp_path / "run"]):
        code, _, err = said(capsys, *words)
        assert (code, err.splitlines()[0].rpartition(" ")[2]) == (3, "[split-needed]")


def test_an_interrupted_training_says_how_to_go_on_with_its_calibration() -> None:
    from sumtoone.cli.train import _Task

    asked: dict[str, Any] = dict.fromkeys(("data", "label", "weight", "activation", "dropout"))
    task = _Task(**asked, network="net.py:Net", chosen={}, judged=False, calibrated=True)
    assert task.again(torch.nn.Linear(2, 2)) == ["--network", "net.py:Net", "--calibrate"]
    assert replace(task, network="784-10", calibrated=False).again(s1.Network("784-10")) == []


# --- predict


@pytest.fixture
def calibrated(folder: Path) -> Path:
    assert main(["calibrate", str(folder), "-q"]) == 0
    return folder


@pytest.mark.parametrize("method", ["lac", "aps"])
def test_sets_are_the_runs(calibrated: Path, seven: Path, capsys: Captured, method: str) -> None:  # noqa: F811
    capsys.readouterr()
    run, pixels = s1.open_run(calibrated), prepare(seven)
    for coverage in (0.5, 0.99, 0.99999):
        words = ["predict", calibrated, seven, "--sets", coverage, "--sets-method", method]
        code, out, err = said(capsys, *words, "--json")
        document = json.loads(out)
        inside = run.prediction_sets(pixels, coverage, method)[0]
        assert code == 0
        assert set(document) == {"path", "label", "probabilities", "set"}
        assert set(document["set"]) == {name for name, there in zip(run.classes, inside, strict=True) if there}
        shares = [document["probabilities"][name] for name in document["set"]]
        assert shares == sorted(shares, reverse=True)
        shown = ", ".join(document["set"]) or "none: no class is that likely"
        assert err.splitlines()[-1] == f"set for {coverage}: {shown}"
        result = said(capsys, *words, "-q")[1]
        assert result.rstrip("\n").split("\t")[3] == ", ".join(document["set"])


@pytest.mark.parametrize(
    ("lang", "first"),
    [
        (
            "en",
            "500 calibration rows are too few for --sets 0.999: every set holds all classes. They allow at most 0.998",
        ),
        (
            "ko",
            "보정에 쓴 500개 행은 --sets 0.999에 너무 적어서 모든 집합에 모든 클래스가 들어 있습니다. "
            "이 행으로는 0.998까지 됩니다",
        ),
    ],
)
def test_too_few_rows_for_a_coverage_are_said(
    calibrated: Path,
    seven: Path,  # noqa: F811
    capsys: Captured,
    lang: str,
    first: str,
) -> None:
    capsys.readouterr()
    words = ["predict", calibrated, seven, "-q", "--lang", lang, "--sets"]
    code, out, err = said(capsys, *words, "0.999")
    assert (code, out.rstrip("\n").count(", "), err) == (0, 9, first + "\n")
    # The most that it names is not too much.
    assert said(capsys, *words, "0.998")[2] == ""


def test_an_empty_set_is_said(calibrated: Path, tmp_path: Path, capsys: Captured) -> None:
    run = s1.open_run(calibrated)
    digits = s1.load("digits").test.inputs
    empty = int((~run.prediction_sets(digits, 0.3).any(dim=1)).nonzero()[0])
    from PIL import Image

    Image.fromarray(digits[empty].reshape(28, 28).numpy()).save(tmp_path / "digit.png")
    capsys.readouterr()
    code, out, _ = said(capsys, "predict", calibrated, tmp_path / "digit.png", "--sets", "0.3", "--no-digits")
    assert (code, out.splitlines()[-1]) == (0, "set for 0.3: none: no class is that likely")


def test_below_a_probability_nothing_is_answered(tmp_path: Path, square: Path, capsys: Captured) -> None:  # noqa: F811
    run = certain(tmp_path / "run", {"cat": 0.1, "dog": 0.7, "hen": 0.2})
    for least, rejected in ((0.75, True), (0.65, False)):
        words = ["predict", run, square, "--reject-below", least]
        code, out, err = said(capsys, *words, "--json")
        document = json.loads(out)
        assert code == 0
        assert (document["label"], document["rejected"]) == (None if rejected else "dog", rejected)
        assert document["probabilities"]["dog"] == pytest.approx(0.7)
        answer = f"{square}: no answer (dog has only 70.0%)" if rejected else f"{square}: dog (70.0%)"
        assert err.splitlines()[0] == answer
        assert said(capsys, *words, "-q")[1] == f"{square}\t{'–' if rejected else 'dog'}\t0.7000\n"


def test_a_network_that_says_nan_gives_an_error(tmp_path: Path, square: Path, capsys: Captured) -> None:  # noqa: F811
    run = certain(tmp_path / "run", {"cat": 0.5, "dog": 0.5})
    opened = s1.open_run(run)
    with torch.no_grad():
        opened.network.layers[0].bias.fill_(float("nan"))  # type: ignore[union-attr, operator, index]
    broken = opened.save(tmp_path / "broken")
    for words in ([], ["--reject-below", "0.6"]):
        code, out, _ = said(capsys, "predict", broken, square, *words, "--json", "--quiet")
        assert (code, json.loads(out)["error"]["code"]) == (3, "serve-no-answer")


@pytest.mark.parametrize(
    ("words", "code", "first"),
    [
        (["--sets", "1"], 2, "--sets must be a number of a certain range [number-range]"),
        (["--sets", "nan"], 2, "--sets must be a number of a certain range [number-range]"),
        (["--sets", "0.9", "--sets-method", "apc"], 2, "--sets-method cannot be this [choice]"),
        (
            ["--sets-method", "aps"],
            2,
            "--sets-method says how the sets are made that --sets asks for [predict-sets-method]",
        ),
        (["--sets", "0.9"], 3, "This run has no calibration, which prediction sets need [run-uncalibrated]"),
        (["--reject-below", "0.1"], 2, "--reject-below must be a number of a certain range [number-range]"),
        (["--reject-below", "1.1"], 2, "--reject-below must be a number of a certain range [number-range]"),
        (["--reject-below", "nan"], 2, "--reject-below must be a number of a certain range [number-range]"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused(made: Path, seven: Path, capsys: Captured, words: list[str], code: int, first: str) -> None:  # noqa: F811, E501  # fmt: skip
    found, out, err = said(capsys, "predict", made, seven, *words)
    assert (found, out, err.splitlines()[0]) == (code, "", f"sumtoone: {first}")
