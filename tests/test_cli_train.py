"""``sumtoone train`` in real processes: events, folders, resuming, Ctrl-C, pipes and terminals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sumtoone import open_run
from sumtoone.cli import main

COMMAND = [sys.executable, "-W", "error", "-m", "sumtoone"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that trains in a moment."""
    generator = np.random.default_rng(0)
    labels = np.arange(300) % 3
    rows = labels[:, None] * 2.0 + generator.normal(size=(300, 4))
    path = tmp_path_factory.mktemp("table") / "clouds.csv"
    lines = [",".join([*map(str, row), "abc"[label]]) for row, label in zip(rows.tolist(), labels, strict=True)]
    path.write_text("\n".join(["p,q,r,s,kind", *lines]) + "\n")
    return path


def test_json_tells_each_epoch_and_the_end(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["train", str(table), "--label", "kind", "--epochs", "3", "--out", str(out), "--json"]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [(line["event"], line.get("epoch")) for line in lines] == [
        ("epoch", 1),
        ("epoch", 2),
        ("epoch", 3),
        ("done", None),
    ]
    assert set(lines[0]) == {
        "event", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds",
    }  # fmt: skip
    assert lines[-1] == {"event": "done", "out": str(out), "test": None}
    assert shown.err == f"training 4-128-64-3 (relu) on 216 rows of clouds.csv\nrun: {out}\n"
    run = open_run(out)
    assert run.classes == ("a", "b", "c")
    assert run.metrics == {}


def test_words_and_test_accuracy(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", str(table), "--label", "kind", "--out", str(out), "--test", "--plots"]) == 0
    shown = capsys.readouterr().out
    run = open_run(out)
    accuracy = run.metrics["test"]["accuracy"]
    assert shown == (
        "training 4-128-64-3 (relu) on 216 rows of clouds.csv\n"
        f"test accuracy {accuracy:.2%} on 60 rows\n"
        f"pictures: {out / 'curves.png'} {out / 'confusion.png'}\n"
        f"run: {out}\n"
    )
    assert accuracy > 0.7
    assert (out / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_korean_words(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "train",
        str(table),
        "--label",
        "kind",
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "run"),
        "--lang",
        "ko",
    ]
    assert main(arguments) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "clouds.csv의 216행으로 4-128-64-3 (relu)를 학습합니다"


def test_quiet_says_nothing(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(table), "--label", "kind", "--epochs", "1", "--out", str(tmp_path / "r"), "-q"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_every_option_arrives(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = (
        "--network 4-5-3 --activation tanh --dropout 0.1 --epochs 2 --batch-size 7 --optimizer sgd --lr 0.1 "
        "--momentum 0.8 --nesterov --weight-decay 0.001 --label-smoothing 0.05 --schedule cosine --early-stopping 5 "
        "--seed 9 --engine plain --precision bfloat16 --threads 1 --device cpu"
    )
    assert main(["train", str(table), "--label", "kind", "--out", str(out), *options.split()]) == 0
    run = open_run(out)
    assert run.options.to_json() == {
        "epochs": 2, "batch_size": 7, "optimizer": "sgd", "lr": 0.1, "momentum": 0.8, "nesterov": True,
        "weight_decay": 0.001, "label_smoothing": 0.05, "schedule": "cosine", "early_stopping": 5, "seed": 9,
        "engine": "plain", "precision": "bfloat16", "threads": 1, "device": "cpu",
    }  # fmt: skip
    assert (str(run.network.specification), run.network.specification.activation) == ("4-5-3", "tanh")
    assert run.network.specification.dropout == 0.1


def test_the_seed_decides_the_start_weights_too(table: Path, tmp_path: Path) -> None:
    common = ["train", str(table), "--label", "kind", "--epochs", "1", "-q", "--threads", "1"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main([*common, "--seed", seed, "--out", str(tmp_path / name)]) == 0
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_wrong_options_come_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "0", "--lr", "-1"]) == 2
    assert capsys.readouterr().err == (
        "sumtoone: epochs is a whole number [training-count]\n"
        "  expected: a whole number from 1 to 1,000,000\n"
        "  got: 0\n"
        "  try: choose a whole number from 1 to 1,000,000\n"
        "lr is a positive number [training-positive]\n"
        "  expected: a finite number above 0\n"
        "  got: -1.0\n"
        "  try: lr=0.01, or leave it out\n"
    )


def test_an_existing_run_is_refused(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", str(table), "--label", "kind", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    before = (tmp_path / "run" / "run.json").read_bytes()
    assert main(arguments) == 3
    assert "[run-exists]" in capsys.readouterr().err
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_identity_explains_itself(table: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m sumtoone train {table} --label kind --activation identity --epochs 1 --out {tmp_path}/r",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == (
        'activation="identity": without a non-linear function between them, linear layers multiply into one. '
        "4-128-64-3 computes exactly what a single layer 4-3 can: W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2). "
        "Choose relu, tanh or sigmoid for a network that can learn more.\n"
    )


def test_resume_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume"]) == 2
    assert "[resume-out]" in capsys.readouterr().err


def test_without_out_the_run_goes_under_runs(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["train", str(table), "--label", "kind", "--epochs", "1", "-q"]
    assert main(common) == 0
    assert main(common) == 0
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all(folder.startswith("clouds-20") for folder in folders)


def _checkpoints(out: Path) -> set[str]:
    return {path.name for path in (out / "checkpoints").glob("*.json")}


def _begin(out: Path, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*COMMAND, "train", "digits", "--epochs", "40", "--threads", "1", "--out", str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and len(_checkpoints(out)) < 2:
        time.sleep(0.01)
    return process


def test_ctrl_c_saves_and_exits_130_and_kill_9_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = _begin(out)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert (process.returncode, words) == (130, "interrupted\n")

    there = _checkpoints(out)
    process = subprocess.Popen([*COMMAND, "train", "--out", str(out), "--resume", "-q"])
    while process.poll() is None and _checkpoints(out) <= there:
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it could be killed"
    process.kill()
    process.wait()

    done = subprocess.run(
        [*COMMAND, "train", "--out", str(out), "--resume", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"resuming {out}\nrun: {out}\n"

    whole = tmp_path / "whole"
    process = _begin(whole)
    process.communicate(timeout=120)
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert len(open_run(out).history) == 40


def test_a_terminal_shows_a_bar_and_a_pipe_does_not(table: Path, tmp_path: Path) -> None:
    arguments = [*COMMAND, "train", str(table), "--label", "kind", "--epochs", "30", "--out"]
    piped = subprocess.run([*arguments, str(tmp_path / "a")], capture_output=True, text=True, check=True)
    assert piped.stderr == ""

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*arguments, str(tmp_path / "b")],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait() == 0
    words = shown.decode()
    assert "epoch 30/30  loss 0." in words
    assert "accuracy" in words
    assert "100%" in words


def test_a_diverging_training_exits_1(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "train",
        str(table),
        "--label",
        "kind",
        "--optimizer",
        "sgd",
        "--lr",
        "1e30",
        "--out",
        str(tmp_path / "r"),
    ]
    assert main(arguments) == 1
    assert "[training-diverged]" in capsys.readouterr().err


def test_memory_that_is_not_there_is_told(tmp_path: Path) -> None:
    code = (
        "import resource, sys, torch; from sumtoone.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, -1))\n"
        "sys.exit(main(['train', 'digits', '--network', '784-60000-60000-10', '--epochs', '1', '--json', '-q']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["expected"]) == ("memory", "enough free memory")
    assert error["try"] == "close other programs, take part of the rows, or a smaller network or batch"
    assert not list((tmp_path / "runs").glob("*"))
