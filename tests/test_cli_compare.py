"""``sumtoone compare`` and ``sumtoone runs``: words in, words and documents out."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import warm
from engines import make_dataset
from sumtoone import Network, compare, fit, open_run
from sumtoone.cli import main
from sumtoone.comparing import listing
from sumtoone.errors import RunError
from sumtoone.storage import json_from_bytes, json_to_bytes

DATASET = make_dataset(120, 6, 3)
GRID = ["--activations", "relu,tanh", "--lrs", "0.01", "--seeds", "3", "--epochs", "2", "--reach", "0.5"]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    inputs, labels = DATASET.train
    rows = [",".join(f"{value:.4f}" for value in row) for row in inputs.tolist()]
    lines = [f"{row},k{label}" for row, label in zip(rows, labels.tolist(), strict=True)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["a,b,c,d,e,f,kind", *lines]) + "\n")
    return path


def test_a_comparison_in_words(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(table), "--label", "kind", *GRID]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines[1].split() == [
        "contender",
        "lr",
        "reach",
        "50%",
        "after",
        "epochs",
        "validation",
        "accuracy",
        "seconds",
    ]
    assert [line.split()[0] for line in lines[2:4]] == ["relu", "tanh"]
    assert "paired over 3 seeds" in out
    assert lines[-1] == "rows, picture and runs: runs/compare-rows"
    folder = Path("runs/compare-rows")
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert [row["contender"] for row in rows] == ["relu"] * 3 + ["tanh"] * 3
    assert open_run(folder / rows[0]["key"]).options.lr == 0.01


def test_what_all_contenders_share_arrives(table: Path) -> None:
    # The last column before the labels says how much a row counts: none counts less than nothing.
    text = table.read_text().replace("-", "")
    table.write_text(text)
    words = [
        "--activations",
        "relu",
        "--lrs",
        "0.01",
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--label",
        "kind",
        "--weight",
        "f",
    ]
    assert main(["compare", "rows.csv", *words, "--averaging", "0.1", "--class-weight", "k0=2", "--out", "c"]) == 0
    (key,) = (json.loads(line)["key"] for line in Path("c/rows.jsonl").read_text().splitlines())
    run = open_run(Path("c") / key)
    assert (run.options.averaging, run.options.class_weight) == (0.1, (("k0", 2.0),))
    assert (run.weight, run.columns) == ("f", ("a", "b", "c", "d", "e"))
    assert main(["compare", "digits", *words[:8], "--deformation", "shift=1", "--out", "d"]) == 0
    (key,) = (json.loads(line)["key"] for line in Path("d/rows.jsonl").read_text().splitlines())
    assert open_run(Path("d") / key).options.deformation == "shift=1"


def test_quiet_prints_what_may_be_said_and_nothing_else(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", str(table), "--label", "kind", *GRID, "--out", "c"]
    assert main([*words, "-q"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all("[" in line and "3 seeds" in line for line in lines)
    assert main([*words, "-q", "--seeds", "2", "--lang", "ko"]) == 0
    assert capsys.readouterr().out == "c\n"


def test_a_comparison_of_nothing_but_divergence_has_no_picture(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", str(table), "--label", "kind", *GRID, "--optimizers", "sgd", "--lrs", "1e30", "--out", "c"]
    assert main(words) == 0
    assert "note: relu: 3 of 3 seeds diverged" in capsys.readouterr().out
    assert not Path("c/curves.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--lrs", "0.1,fast"],
            "--lrs cannot have this value [argument-value]",
        ),
        (["--batch-sizes", "64,"], "--batch-sizes cannot have this value [argument-value]"),
        (["--batch-sizes", "1_0"], "--batch-sizes cannot have this value [argument-value]"),
        (["--activations", "relu,relu"], "A value stands twice on an axis of the grid [compare-twice]"),
        (["--seeds", "0"], "These are no seeds [compare-seeds]"),
        (["--lrs", "0.1,-1"], "--lrs must be a number of a certain range [number-range]"),
        (["--activations", "rely"], "--activations cannot be this [choice]"),
        (["--batch-sizes", "0"], "--batch-sizes must be a whole number [training-count]"),
        (["--reach", "95"], "--reach must be a number of a certain range [number-range]"),
        (["--momentum", "0.5"], "Momentum and Nesterov's step are sgd's [training-momentum]"),
        (["--scheduler", "tcp://a:1"], "Only a cluster has a scheduler [compare-scheduler]"),
        (["--backend", "spark"], "--backend cannot be this [choice]"),
        (["--networks", "784-x"], "A size is not a whole number [specification-number]"),
    ],
)
def test_wrong_words_are_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *words]) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"sumtoone: {message}"


# --- runs


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    place = tmp_path / "runs"
    for seed in (0, 1):
        fit(Network("6-4-3", seed=seed), DATASET, epochs=1 + seed, seed=seed, out=place / f"r{seed}")
    compare(DATASET, networks="6-3", activations="relu", lrs=1e30, optimizers="sgd", seeds=1, epochs=2, out=place / "c")
    return place


def test_runs_in_words(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "r0" / "run.json").write_text("{")
    assert main(["runs", str(runs)]) == 0
    head, best, *others = capsys.readouterr().out.splitlines()
    names = ["run", "state", "network", "optimizer", "lr", "batch", "data", "seed", "epochs", "validation", "accuracy"]
    assert head.split() == [*names, "seconds"]
    assert best.split()[:10] == ["r1", "finished", "6-4-3", "(relu)", "adamw", "0.005", "64", "clouds", "1", "2"]
    assert "[" in best
    assert {line.split()[1] for line in others[:-1]} == {"diverged", "damaged"}
    assert (
        others[-1] == f"damaged: {runs / 'r0'}: {runs / 'r0' / 'run.json'}: " + others[-1].rpartition("run.json: ")[2]
    )


def test_runs_in_korean_and_quiet(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(runs / "r1"), "--lang", "ko"]) == 0
    assert "끝남" in capsys.readouterr().out
    assert main(["runs", str(runs), "-q"]) == 0
    assert sorted(capsys.readouterr().out.splitlines()[:2]) == [str(runs / "r0"), str(runs / "r1")]


def test_an_empty_folder_and_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}\n"
    (tmp_path / "file").write_text("")
    for name in ("none", "file", "file/below"):
        assert main(["runs", str(tmp_path / name)]) == 3
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "sumtoone: There is no run here [run-missing]"
        assert lines[2] == f"  got: {tmp_path / name}"
    with pytest.raises(RunError, match="run-missing"):
        listing.list_runs("a\0b")


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError) as caught:
        listing.list_runs("x" * 300)  # what the system refuses, whoever asks
    assert (caught.value.code, caught.value.got) == ("run-unreadable", f"{'x' * 300}: File name too long")


def test_a_listed_run_says_what_the_run_says(runs: Path) -> None:
    for listed in listing.list_runs(runs):
        if listed.state != "finished":
            continue
        run = open_run(listed.path)
        assert listed.network == str(run.network.specification)
        options = run.options
        assert (listed.optimizer, listed.batch_size) == (options.optimizer, options.batch_size)
        assert listed.lr == options.learning_rate
        assert (listed.seed, listed.epochs, listed.of) == (run.options.seed, len(run.history), run.options.epochs)
        assert listed.accuracy == run.history["validation_accuracy"][-1]
        assert listed.seconds == pytest.approx(sum(run.history["seconds"]))
        assert listed.rows == len(DATASET.validation)
        assert listed.interval is not None
        low, high = listed.interval
        assert low < listed.accuracy < high or listed.accuracy in (0, 1)


def test_early_stopping_lists_the_epoch_whose_weights_are_kept(tmp_path: Path) -> None:
    run = fit(Network("6-4-3"), DATASET, epochs=40, lr=0.5, early_stopping=2, out=tmp_path / "r")
    (listed,) = listing.list_runs(tmp_path)
    kept = int(np.argmin(run.history["validation_loss"]))
    assert kept < len(run.history) - 1
    assert listed.accuracy == run.history["validation_accuracy"][kept]


def test_runs_without_the_number_of_their_validation_rows_have_no_interval(runs: Path) -> None:
    path = runs / "r1" / "run.json"
    document = json_from_bytes(path.read_bytes())
    del document["data"]["splits"]
    path.write_bytes(json_to_bytes(document))
    listed = listing.read(runs / "r1")
    assert (listed.state, listed.interval) == ("finished", None)
    assert open_run(runs / "r1").splits == {}
    document["data"]["splits"] = {name: {"rows": -1, "digest": ""} for name in ("train", "validation", "test")}
    path.write_bytes(json_to_bytes(document))
    assert listing.read(runs / "r1").state == "damaged"
    with pytest.raises(RunError):
        open_run(runs / "r1")


class _Module(__import__("torch").nn.Linear):  # type: ignore[misc]
    pass


def test_a_module_is_listed_by_its_class(tmp_path: Path) -> None:
    fit(_Module(6, 3), DATASET, epochs=1, out=tmp_path / "m")
    (listed,) = listing.list_runs(tmp_path)
    assert (listed.network, listed.activation, listed.state) == ("_Module", None, "finished")


def test_what_is_not_a_run_is_passed_over(runs: Path) -> None:
    before = {run.path for run in listing.list_runs(runs)}
    (runs / "notes.txt").write_text("x")
    (runs / ".hidden" / "r").mkdir(parents=True)
    (runs / ".hidden" / "r" / "run.json").write_text("{")
    (runs / "loop").symlink_to(runs, target_is_directory=True)
    deep = runs / "a/b/c/d/e/f"
    deep.mkdir(parents=True)
    (deep / "run.json").write_text("{")
    assert {run.path for run in listing.list_runs(runs)} == before


@cache
def _sound() -> dict[str, bytes]:
    """The files of a run, and those of one that diverged or is not over."""
    with tempfile.TemporaryDirectory() as place:
        run = fit(Network("6-4-3"), DATASET, epochs=1, out=Path(place) / "r")
        contents = {path.name: path.read_bytes() for path in (Path(place) / "r").iterdir()}
    options = run.options.to_json()
    described = {"specification": {"sizes": "6-3", "activation": "relu"}, "options": options, "source": "x", "epoch": 1}
    contents["diverged.json"] = json_to_bytes(described)
    task = {"specification": None, "module": {"class": "N"}, "options": options, "source": "x"}
    contents["book-0.jsonl"] = json.dumps(task).encode() + b"\n"
    return contents


@pytest.mark.parametrize("name", ["run.json", "history.jsonl", "diverged.json", "checkpoints/book-0.jsonl"])
@settings(max_examples=40)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.integers(0, 10**6),
)
def test_no_damage_keeps_a_folder_from_being_listed(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[int, int]], end: int
) -> None:
    place, contents = tmp_path_factory.mktemp("runs"), _sound()
    content = bytearray(contents[Path(name).name])
    for where, byte in changes:
        content[where % len(content)] = byte
    for folder in ("sound", "broken"):
        (place / folder).mkdir()
        for each in ("history.jsonl", "run.json"):
            if folder == "sound" or name == "history.jsonl":
                (place / folder / each).write_bytes(contents[each])
    (place / "broken" / name).parent.mkdir(exist_ok=True)
    (place / "broken" / name).write_bytes(content[: end % (2 * len(content))])
    found = {run.path.name: run for run in listing.list_runs(place)}
    assert found["sound"].state == "finished"
    assert found["broken"].state in listing.STATES


@pytest.mark.parametrize("change", [{"options": 3}, {"data": []}, {"digests": {}}, {"specification": {"sizes": 3}}])
def test_a_document_that_somebody_put_right_is_damaged_all_the_same(runs: Path, change: dict[str, object]) -> None:
    path = runs / "r1" / "run.json"
    path.write_bytes(json_to_bytes({**json_from_bytes(path.read_bytes()), **change}))
    listed = listing.read(runs / "r1")
    assert listed.state == "damaged"
    assert listed.why is not None


def test_runs_are_listed_without_torch(runs: Path) -> None:
    code = (
        "import sys; from sumtoone.cli import main; main(sys.argv[1:])\n"
        "sys.exit(bool({'torch', 'numpy', 'scipy', 'joblib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, "runs", str(runs), "-q"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_bar_for_all_trainings(table: Path) -> None:
    import os
    import pty

    ours, theirs = pty.openpty()
    done = warm.run(None, "compare", table, "--label", "kind", *GRID, terminal=theirs)
    os.close(theirs)
    shown = b""
    while piece := _piece(ours):
        shown += piece
    os.close(ours)
    assert done.returncode == 0
    assert b"trainings over: " in shown


def _piece(terminal: int) -> bytes:
    import os

    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
