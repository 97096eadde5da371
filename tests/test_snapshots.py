"""The weights of every epoch: kept as they were, also through a kill, and given back only whole."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sumtoone as s1
from sumtoone import snapshots
from sumtoone.cli import main

SIZES = "784-16-10"


def _state(network: torch.nn.Module) -> dict[str, list[float]]:
    return {name: tensor.flatten().tolist() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("engine", ["plain", "fused"])
def test_a_snapshot_is_what_fewer_epochs_give(tmp_path: Path, engine: str) -> None:
    data = s1.load("digits")
    chosen = {"schedule": "constant", "engine": engine}
    run = s1.fit(s1.Network(SIZES), data, epochs=3, snapshots=True, out=tmp_path / "run", **chosen)
    assert snapshots.epochs(tmp_path / "run") == (0, 1, 2, 3)
    assert _state(snapshots.network(run, tmp_path / "run", 0)) == _state(s1.Network(SIZES))
    for epoch in (1, 2, 3):
        fewer = s1.fit(s1.Network(SIZES), data, epochs=epoch, **chosen)
        assert _state(snapshots.network(run, tmp_path / "run", epoch)) == _state(fewer.network)


def test_a_killed_training_keeps_every_epoch(tmp_path: Path) -> None:
    words = ["train", "digits", "--network", SIZES, "--epochs", "6", "--snapshots", "--out", str(tmp_path / "run")]
    program = (
        "import os, signal, sys\n"
        "from sumtoone import snapshots\n"
        "from sumtoone.cli import main\n"
        "write = snapshots.write\n"
        "def killed(folder, epoch, network):\n"
        "    write(folder, epoch, network)\n"
        "    if epoch == 3:\n"
        "        (folder / 'snapshots' / f'.000003.safetensors.{\"0\" * 16}.part').write_bytes(b'half')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "snapshots.write = killed\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert main(["train", "--out", str(tmp_path / "run"), "--resume", "-q"]) == 0
    whole = s1.fit(s1.Network(SIZES), s1.load("digits"), epochs=6, snapshots=True, out=tmp_path / "whole")
    files = [sorted((tmp_path / name / "snapshots").iterdir()) for name in ("run", "whole")]
    assert [path.name for path in files[0]] == [f"{epoch:06d}.safetensors" for epoch in range(7)]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    last = snapshots.network(whole, tmp_path / "run", 6)
    assert _state(last) == _state(whole.network)


def test_a_module_of_ones_own_has_snapshots_too(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(784, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 10))
    run = s1.fit(module, s1.load("digits"), epochs=1, snapshots=True, out=tmp_path / "run")
    before = snapshots.network(run, tmp_path / "run", 0)
    assert int(before.get_buffer("1.num_batches_tracked")) == 0
    assert _state(snapshots.network(run, tmp_path / "run", 1)) == _state(run.network)


def test_what_is_not_there_or_not_whole_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = s1.fit(s1.Network(SIZES), s1.load("digits"), epochs=1, snapshots=True, out=folder)
    with pytest.raises(s1.RunError) as caught:
        snapshots.network(run, folder, 2)
    assert str(caught.value) == (
        "The run has not kept the weights of this epoch [run-snapshot]\n"
        "  expected: an epoch whose weights were kept, 0 for the start\n"
        f"  got: epoch 2 of {folder}, which kept 2\n"
        "  try: train with --snapshots to keep the weights of every epoch"
    )
    path = folder / "snapshots" / "000001.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(s1.RunError, match=r"\[run-damaged\]"):
        snapshots.network(run, folder, 1)
    path.unlink()
    with pytest.raises(s1.RunError, match=r"\[run-damaged\]"):
        snapshots.network(run, folder, 1)
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**document, "digests": None}))
    with pytest.raises(s1.RunError, match=r"\[run-damaged\]"):
        snapshots.epochs(folder)


def test_a_run_without_snapshots_has_none(tmp_path: Path) -> None:
    s1.fit(s1.Network(SIZES), s1.load("digits"), epochs=1, out=tmp_path / "run")
    assert snapshots.epochs(tmp_path / "run") == ()
    assert not (tmp_path / "run" / "snapshots").exists()


def test_snapshots_need_a_folder_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(s1.UsageError) as caught:
        s1.fit(s1.Network(SIZES), s1.load("digits"), epochs=1, snapshots=True)
    assert caught.value.code == "training-snapshots"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "snapshots").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(s1.RunError) as refused:
        snapshots.write(tmp_path / "run", 0, s1.Network(SIZES))
    assert refused.value.got == f"{tmp_path / 'run' / 'snapshots'}: no folder of its own"


def test_a_training_that_left_nothing_leaves_no_snapshot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "digits", "--network", SIZES, "--optimizer", "sgd", "--lr", "1e30", "--schedule", "constant"]
    assert main([*words, "--snapshots", "--out", str(tmp_path / "run"), "-q"]) == 1
    assert not (tmp_path / "run").exists()
    (tmp_path / "run" / "snapshots").mkdir(parents=True)
    (tmp_path / "run" / "snapshots" / "mine.txt").write_text("kept")
    snapshots.remove(tmp_path / "run")
    snapshots.remove(tmp_path)
    assert (tmp_path / "run" / "snapshots" / "mine.txt").read_text() == "kept"


def test_runs_of_many_seeds_keep_theirs(tmp_path: Path) -> None:
    s1.fit(s1.Network(SIZES), s1.load("digits"), epochs=1, snapshots=True, seeds=[3, 4], out=tmp_path / "runs")
    for seed in (3, 4):
        folder = tmp_path / "runs" / f"seed-{seed}"
        assert snapshots.epochs(folder) == (0, 1)
        assert _state(snapshots.network(s1.open_run(folder), folder, 0)) == _state(s1.Network(SIZES, seed=seed))
