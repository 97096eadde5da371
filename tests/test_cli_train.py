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

import warm
from sumtoone import Run, load, open_run
from sumtoone.cli import main
from sumtoone.intervals import with_interval
from sumtoone.storage import json_from_bytes, json_to_bytes

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


def share(run: Run, accuracy: float) -> str:
    """An accuracy on the run's validation rows, as it is said."""
    rows = run.splits["validation"]["rows"]
    return with_interval(round(accuracy * rows), rows)


def test_json_tells_each_epoch_and_the_end(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["train", str(table), "--label", "kind", "--epochs", "3", "--out", str(out), "--json"]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [(line["event"], line["epoch"]) for line in lines] == [
        ("epoch", 1),
        ("epoch", 2),
        ("epoch", 3),
        ("done", 3),
    ]
    assert set(lines[0]) == {
        "event", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds",
    }  # fmt: skip
    run = open_run(out)
    accuracies = run.history["validation_accuracy"]
    best = accuracies.index(max(accuracies))
    assert lines[-1] == {
        "event": "done",
        "out": str(out),
        "test": None,
        "calibration": None,
        "epochs": 3,
        "epoch": 3,
        "validation_accuracy": accuracies[-1],
        "best_epoch": best + 1,
        "best_validation_accuracy": accuracies[best],
        "stopped_early": None,
    }
    assert shown.err == (
        "training 4-128-64-3 (relu) on 216 rows of clouds.csv\n"
        f"validation accuracy {share(run, accuracies[-1])} after epoch 3 of 3, "
        f"best {share(run, accuracies[best])} after epoch {best + 1}\n"
        f"run: {out}\n"
    )
    assert run.classes == ("a", "b", "c")
    assert run.metrics == {}


def test_words_and_test_accuracy(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", str(table), "--label", "kind", "--out", str(out), "--test", "--plots"]) == 0
    shown = capsys.readouterr().out
    run = open_run(out)
    accuracy = run.metrics["test"]["accuracy"]
    *_, last = seen = run.history["validation_accuracy"]
    best = seen.index(max(seen)) + 1
    assert shown == (
        "training 4-128-64-3 (relu) on 216 rows of clouds.csv\n"
        f"validation accuracy {share(run, last)} after epoch 12 of 12, "
        f"best {share(run, max(seen))} after epoch {best}\n"
        f"test accuracy {with_interval(round(60 * accuracy), 60)} on 60 rows\n"
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


def test_quiet_prints_results_alone(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["train", str(table), "--label", "kind", "--epochs", "1", "-q"]
    assert main([*common, "--out", str(tmp_path / "r")]) == 0
    assert capsys.readouterr() == (f"{tmp_path / 'r'}\n", "")
    assert main([*common, "--out", str(tmp_path / "s"), "--test"]) == 0
    accuracy = open_run(tmp_path / "s").metrics["test"]["accuracy"]
    said = f"test accuracy {with_interval(round(60 * accuracy), 60)} on 60 rows"
    assert capsys.readouterr() == (f"{said}\n{tmp_path / 's'}\n", "")


def test_early_stopping_tells_what_it_did(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["train", str(table), "--label", "kind", "--early-stopping", "2", "--out", str(tmp_path / "r")]
    assert main([*common, "--epochs", "60", "--lr", "0.05", "--schedule", "constant"]) == 0
    run = open_run(tmp_path / "r")
    losses = run.history["validation_loss"]
    kept = losses.index(min(losses)) + 1
    assert len(losses) == kept + 2 < 60
    assert capsys.readouterr().out.splitlines()[1:3] == [
        f"early stopping ended the training after epoch {len(losses)} of 60: no lower validation loss for 2 epochs",
        f"validation accuracy {share(run, run.history['validation_accuracy'][kept - 1])} with the weights "
        f"of epoch {kept}, "
        "which are kept",
    ]
    common[-1] = str(tmp_path / "s")
    assert main([*common, "--epochs", "2", "--json"]) == 0
    shown = capsys.readouterr()
    assert "note: one-cycle lowers the learning rate only towards the last epoch" in shown.err
    assert "early stopping did not end the training: all 2 epochs were run\n" in shown.err
    assert json.loads(shown.out.splitlines()[-1])["stopped_early"] is False


def test_a_run_without_validation_rows_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two.csv").write_text("a,label\n0,x\n1,y\n")
    assert main(["train", str(tmp_path / "two.csv"), "--epochs", "1", "--out", str(tmp_path / "r")]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "there were no validation rows: nothing tells how the network does on rows it has not seen",
        f"run: {tmp_path / 'r'}",
    ]
    # Before anything is trained, not after.
    assert main(["train", str(tmp_path / "two.csv"), "--test", "--out", str(tmp_path / "s")]) == 3
    assert "There are no test rows for --test, --plots [split-needed]" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_columns_that_only_number_rows_or_never_change_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{1000 + n},{n % 7},5,{n / 3},{'ab'[n % 2]}" for n in range(100)]
    (tmp_path / "t.csv").write_text("\n".join(["customer,week,same,x,label", *rows]) + "\n")
    assert main(["train", str(tmp_path / "t.csv"), "--epochs", "1", "--out", str(tmp_path / "r")]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "note: customer: a whole number of its own in each of the 72 rows, as identifiers are; "
        "they tell nothing of new rows",
        "note: same: the same value in every row",
    ]


def test_nothing_is_left_of_what_did_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.csv").write_text("a,label\n0,x\n1,y\n")
    assert main(["train", "two.csv", "--early-stopping", "2"]) == 3
    # The folder of runs stays: another training may be about to begin in it.
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["runs", "two.csv"]


def test_chance_is_said(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--lr", "1e-9", "--epochs", "1", "--seed", "3", "--test", "--out", str(tmp_path / "r")]
    assert main(["train", str(table), "--label", "kind", *options]) == 0
    assert "no better than chance: always answering a is right in 33.33% of the 60 test rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--epochs", "9"], "--epochs 9; the run has 2"),
        (["--network", "4-9-3"], "--network 4-9-3; the run has 4-128-64-3"),
        (["--activation", "tanh"], "--activation tanh; the run has relu"),
        (["--label", "other"], "--label other; the run has kind"),
    ],
)
def test_options_beside_resume_that_would_do_nothing(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], shown: str
) -> None:
    out = ["--out", str(tmp_path / "r")]
    given = ["train", str(table), "--label", "kind", "--epochs", "2", "-q", *out]
    assert main(given) == 0
    # The same words again are no contradiction.
    assert main([*given, "--resume"]) == 0
    capsys.readouterr()
    assert main(["train", *out, "--resume", *words]) == 2
    error = capsys.readouterr().err
    assert "A run goes on with its own options [resume-options]" in error
    assert f"  got: {shown}\n" in error
    assert main(["train", "digits", *out, "--resume"]) == 2
    assert f"  got: DATA digits; the run has {table}\n" in capsys.readouterr().err


def test_a_run_of_old_has_no_options_that_came_later(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "r")]
    assert main(["train", str(table), "--label", "kind", "--epochs", "1", "-q", *out]) == 0
    document = json_from_bytes((tmp_path / "r" / "run.json").read_bytes())
    for name in ("averaging", "deformation", "noise"):
        del document["options"][name]
    (tmp_path / "r" / "run.json").write_bytes(json_to_bytes(document))
    assert main(["train", *out, "--resume", "-q"]) == 0
    capsys.readouterr()
    assert main(["train", *out, "--resume", "--averaging", "0.1"]) == 2
    assert "  got: --averaging 0.1; the run has None\n" in capsys.readouterr().err


def test_every_option_arrives(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = (
        "--network 4-5-3 --activation tanh --dropout 0.1 --epochs 2 --batch-size 7 --optimizer sgd --lr 0.1 "
        "--momentum 0.8 --nesterov --weight-decay 0.001 --label-smoothing 0.05 --schedule cosine --averaging 0.1 "
        "--noise 0.2 --class-weight balanced --early-stopping 5 --seed 9 --snapshots --engine plain "
        "--precision bfloat16 --threads 1 --device cpu"
    )
    assert main(["train", str(table), "--label", "kind", "--out", str(out), *options.split()]) == 0
    run = open_run(out)
    assert run.options.to_json() == {
        "epochs": 2, "batch_size": 7, "optimizer": "sgd", "lr": 0.1, "momentum": 0.8, "nesterov": True,
        "weight_decay": 0.001, "label_smoothing": 0.05, "schedule": "cosine", "deformation": None, "noise": 0.2,
        "averaging": 0.1, "class_weight": "balanced", "early_stopping": 5, "seed": 9, "snapshots": True,
        "engine": "plain", "precision": "bfloat16", "threads": 1, "device": "cpu",
    }  # fmt: skip
    assert (str(run.network.specification), run.network.specification.activation) == ("4-5-3", "tanh")
    assert run.network.specification.dropout == 0.1


def test_weights_of_classes_go_by_name_and_with_the_run(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["train", str(table), "--label", "kind", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main([*asked, "--class-weight", "KIND=2"]) == 2
    assert (
        "Weights are given to classes that the data does not have [training-class-unknown]" in capsys.readouterr().err
    )
    for wrong in ("balance", "a=b", "a=1,a=2", "=1", "a=-1"):
        assert main([*asked, "--class-weight", wrong]) in (2, 3)
    assert (
        "--class-weight is neither balanced nor weights of classes [training-class-weight]" in capsys.readouterr().err
    )
    name = load(table, label="kind").classes[0]
    assert main([*asked, "--class-weight", f"{name}=2.5"]) == 0
    assert open_run(tmp_path / "run").options.class_weight == ((name, 2.5),)
    assert main(["train", "--resume", "--out", str(tmp_path / "run"), "--class-weight", "balanced"]) == 2
    assert "A run goes on with its own options [resume-options]" in capsys.readouterr().err


def test_a_column_of_weights_goes_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{row % 7 + row % 3},{row % 4},{'xyz'[row % 3]}" for row in range(60)]
    table, out = tmp_path / "rows.csv", str(tmp_path / "run")
    table.write_text("\n".join(["a,count,label", *lines]) + "\n")
    asked = ["train", str(table), "--weight", "count", "--epochs", "2", "--out", out]
    assert main([*asked, "--test", "--json"]) == 0
    tested = json.loads(capsys.readouterr().out.splitlines()[-1])["test"]
    assert (open_run(out).weight, open_run(out).columns) == ("count", ("a",))
    assert main(["evaluate", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == tested["accuracy"]
    other = tmp_path / "other.csv"
    other.write_text("\n".join(["a,label", *(f"{row % 5},{'xyz'[row % 3]}" for row in range(60))]) + "\n")
    assert main(["evaluate", out, str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 60
    assert main(["train", "--resume", "--out", out, "--weight", "a"]) == 2
    assert "--weight a; the run has count" in capsys.readouterr().err
    assert main([*asked[:3], "counts", "--out", str(tmp_path / "none")]) == 3
    assert "[data-weight]" in capsys.readouterr().err


def test_the_seed_decides_the_start_weights_too(table: Path, tmp_path: Path) -> None:
    common = ["train", str(table), "--label", "kind", "--epochs", "1", "-q", "--threads", "1"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main([*common, "--seed", seed, "--out", str(tmp_path / name)]) == 0
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_wrong_options_come_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "0", "--lr", "-1"]) == 2
    assert capsys.readouterr().err == (
        "sumtoone: --epochs must be a whole number [training-count]\n"
        "  expected: a whole number from 1 to 1,000,000\n"
        "  got: 0\n"
        "  try: choose a whole number from 1 to 1,000,000\n"
        "--lr must be a number of a certain range [number-range]\n"
        "  expected: a finite number x, x > 0\n"
        "  got: -1.0\n"
        "  try: --lr=0.01, or leave it out\n"
    )


def test_a_variable_of_the_environment_is_no_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUMTOONE_THREADS", "0")
    assert main(["train", "digits", "--network", "784-8-10", "--epochs", "1", "--engine", "plain", "-q"]) == 2
    assert capsys.readouterr().err == (
        "sumtoone: SUMTOONE_THREADS must be a whole number [training-count]\n"
        "  expected: a whole number from 1 to 1,024\n"
        "  got: '0'\n"
        "  try: choose a whole number from 1 to 1,024\n"
    )


def test_early_stopping_without_validation_rows_is_said_as_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "two.csv").write_text("a,label\n0,x\n1,y\n")
    words = ["train", str(tmp_path / "two.csv"), "--early-stopping", "1", "--out", str(tmp_path / "r"), "-q"]
    assert main(words) == 3
    assert capsys.readouterr().err == (
        "sumtoone: There are no validation rows for --early-stopping [split-needed]\n"
        "  expected: rows that the network was not trained on\n"
        "  got: 0 validation rows in two.csv, 2 rows to train on\n"
        "  try: leave --early-stopping out, or add rows to the validation split\n"
    )


def test_an_existing_run_is_refused(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", str(table), "--label", "kind", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    before = (tmp_path / "run" / "run.json").read_bytes()
    assert main(arguments) == 3
    assert "[run-exists]" in capsys.readouterr().err
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_identity_explains_itself(table: Path, tmp_path: Path) -> None:
    words = ("train", table, "--label", "kind", "--activation", "identity", "--epochs", "1", "--out", tmp_path / "r")
    done = warm.run(None, *words)
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


@pytest.mark.measured
def test_ctrl_c_saves_and_exits_130_and_kill_9_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = _begin(out)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert (process.returncode, words) == (
        130,
        f"The training up to here is kept in {out}; to go on:\n  sumtoone train --out {out} --resume\ninterrupted\n",
    )

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
    said = done.stderr.splitlines()
    assert (said[0], said[1][:20], said[2:]) == (f"resuming {out}", "validation accuracy ", [f"run: {out}"])

    whole = tmp_path / "whole"
    process = _begin(whole)
    process.communicate(timeout=120)
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert len(open_run(out).history) == 40


@pytest.mark.measured
def test_a_terminal_shows_a_bar_and_a_pipe_does_not(table: Path, tmp_path: Path) -> None:
    arguments = ["train", str(table), "--label", "kind", "--epochs", "30", "--out"]
    piped = warm.run(None, *arguments, tmp_path / "a", warn="error")
    assert (piped.returncode, piped.stderr) == (0, "")

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments, str(tmp_path / "b")],
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
    assert "epoch 30/30  training accuracy " in words
    assert "%, validation " in words
    assert "100%" in words


def test_a_diverging_training_leaves_its_folder_free(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", str(table), "--label", "kind", "--optimizer", "sgd", "--out", str(tmp_path / "r")]
    assert main([*common, "--lr", "1e30"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Nothing is left of this training: it has no whole epoch.\nsumtoone: The loss is no longer")
    assert "[training-diverged]" in shown
    assert list(tmp_path.iterdir()) == []
    # Some epochs go well before the rate is too high.
    assert main([*common, "--lr", "50", "--epochs", "60"]) == 1
    shown = capsys.readouterr().err
    aside = tmp_path / "r-diverged"
    epoch = int((sorted(aside.glob("checkpoints/*.json"))[-1].name).partition("-")[0])
    assert f"What it had learnt before is kept in {aside}: the checkpoint after epoch {epoch}.\n" in shown
    assert epoch > 0
    assert main([*common, "--epochs", "1"]) == 0


def test_memory_that_is_not_there_is_told(tmp_path: Path) -> None:
    code = (
        "import resource, sys, torch; from sumtoone.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, -1))\n"
        "sys.exit(main(['train', 'digits', '--network', '784-60000-60000-10', '--epochs', '1', '--json', '-q']))"
    )
    done = warm.run(code, cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["expected"]) == ("memory", "enough free memory")
    assert error["try"] == "close other programs, take part of the rows, or a smaller network or batch"
    assert not list((tmp_path / "runs").glob("*"))
