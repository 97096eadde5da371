"""``sumtoone train DATA --network my_file.py:MyNetwork``: the person's own class is trained, or told what is wrong."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import sumtoone as s1
import warm
from sumtoone.adoption.files import module_from_file
from sumtoone.cli import main
from sumtoone.specification import names_file

NETWORK = """
import torch
from torch import nn
import neighbour

class MyNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, neighbour.HIDDEN)
        self.second = nn.Linear(neighbour.HIDDEN, 3)

    def forward(self, x):
        x = x.view(x.shape[0], -1)
        return torch.softmax(self.second(torch.relu(self.first(x))), dim=1)

class Needs(nn.Module):
    def __init__(self, hidden):
        super().__init__()

class Forgetful(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(4, 3)

class Logits(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 3))

class Doubled(MyNetwork):
    def forward(self, x):
        return super().forward(x).softmax(dim=1)

class Skips(MyNetwork):
    def forward(self, x):
        return self.second(torch.relu(self.first(x) + self.first(x)))

class Plain:
    pass

ready = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), nn.LogSoftmax(dim=1)).double()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    labels = np.arange(300) % 3
    rows = labels[:, None] * 2.0 + generator.normal(size=(300, 4))
    lines = [",".join([*map(str, row), "abc"[label]]) for row, label in zip(rows.tolist(), labels, strict=True)]
    (tmp_path / "clouds.csv").write_text("\n".join(["p,q,r,s,label", *lines]) + "\n")
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "neighbour.py").write_text("HIDDEN = 5\n")
    return tmp_path


def _train(folder: Path, network: str, *more: str) -> int:
    return main(["train", str(folder / "clouds.csv"), "--network", network, "--out", str(folder / "run"), *more])


def test_a_class_is_trained_on_its_logits_and_saved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(folder.iterdir())
    assert _train(folder, f"{folder / 'net.py'}:MyNetwork", "--epochs", "30", "--lr", "0.05", "--test") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.splitlines()[:2] == [
        "MyNetwork is 4-5-3 (relu); its softmax is left out in training: the loss takes logits, "
        "and a softmax must not be applied twice",
        "training 4-5-3 (relu) on 216 rows of clouds.csv",
    ]
    run = s1.open_run(folder / "run")
    assert str(run.network.specification) == "4-5-3"
    assert run.metrics["test"]["accuracy"] > 0.6
    assert set(folder.iterdir()) - before == {folder / "run"}  # no __pycache__ beside the person's files
    assert not any(name == "neighbour" for name in sys.modules)


@pytest.mark.measured
@pytest.mark.parametrize(("name", "needed"), [("MyNetwork", False), ("Skips", True)])
def test_what_goes_on_with_a_training_needs_the_file_only_of_a_module(folder: Path, name: str, needed: bool) -> None:
    out, network = folder / "run", f"{folder / 'net.py'}:{name}"
    words = ["train", str(folder / "clouds.csv"), "--network", network, "--epochs", "100000", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "sumtoone", *words, "-q"], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list((out / "checkpoints").glob("*.json"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    (command,) = [line for line in said.splitlines() if "--resume" in line]
    ending = f" --network {network}" if needed else ""
    assert command == f"  sumtoone train --out {out} --resume{ending}"


def test_sizes_beside_a_file_would_do_nothing_in_going_on_either(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = f"{folder / 'net.py'}:Skips"
    assert _train(folder, network, "--epochs", "1", "-q") == 0
    capsys.readouterr()
    again = ["train", "--out", str(folder / "run"), "--resume", "--network", network]
    assert main([*again, "--dropout", "0.3"]) == 2
    assert "[adopt-options]" in capsys.readouterr().err
    assert main([*again, "-q"]) == 0


def test_without_training_time_the_start_weights_are_the_modules_own(folder: Path) -> None:
    state = torch.get_rng_state()
    first = module_from_file(f"{folder / 'net.py'}:MyNetwork", seed=3)
    again = module_from_file(f"{folder / 'net.py'}:MyNetwork", seed=3)
    other = module_from_file(f"{folder / 'net.py'}:MyNetwork", seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = torch.nn.Linear(4, 5)
    assert torch.equal(first.first.weight, expected.weight)
    assert torch.equal(first.second.weight, again.second.weight)
    assert not torch.equal(first.first.weight, other.first.weight)


def test_the_same_seed_gives_the_same_run(folder: Path) -> None:
    given = ["train", str(folder / "clouds.csv"), "--network", f"{folder / 'net.py'}:MyNetwork", "--epochs", "1", "-q"]
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        assert main([*given, "--seed", seed, "--out", str(folder / name)]) == 0
    a, b, c = ((folder / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_an_instance_in_the_file_is_taken_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(folder, f"{folder / 'net.py'}:ready", "--epochs", "1", "--json") == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["event"] for line in shown.out.splitlines()] == ["epoch", "done"]
    assert shown.err.splitlines()[:2] == [
        "note: the module's weights are float64; the network's are float32.",
        "ready is 4-6-3 (tanh); its log_softmax is left out in training: the loss takes logits, "
        "and a softmax must not be applied twice",
    ]


def test_logits_need_no_word(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(folder, f"{folder / 'net.py'}:Logits", "--epochs", "1") == 0
    assert capsys.readouterr().out.splitlines()[0] == "Logits is 4-3 (relu)"


def _error(folder: Path, network: str, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = _train(folder, network, *more)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert not (folder / "run").exists()
    return code, shown.err.replace(str(folder), "FOLDER")


def test_softmax_twice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = _error(folder, f"{folder / 'net.py'}:Doubled", capsys)
    assert (code, error) == (
        2,
        "sumtoone: The softmax is applied twice [adopt-twice]\n"
        "  expected: one softmax at the end, or none\n"
        "  got: a softmax of probabilities in net.py:30\n"
        "  try: take one of the two out\n",
    )


def test_no_such_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = _error(folder, f"{folder / 'nett.py'}:MyNetwork", capsys)
    assert (code, error) == (
        3,
        "sumtoone: There is no Python file of this name [adopt-file]\n"
        "  expected: a file, as in --network my_file.py:MyNetwork\n"
        "  got: FOLDER/nett.py\n"
        "  try: check the path; it is taken from the current folder\n",
    )


def test_a_name_longer_than_names_may_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = _error(folder, f"{'x' * 300}.py:MyNetwork", capsys)
    assert (code, error) == (
        3,
        "sumtoone: There is no Python file of this name [adopt-file]\n"
        "  expected: a file, as in --network my_file.py:MyNetwork\n"
        f"  got: {'x' * 300}.py: {os.strerror(errno.ENAMETOOLONG)}\n"
        "  try: check the path; it is taken from the current folder\n",
    )


@pytest.mark.parametrize(
    ("name", "given", "hint"),
    [
        (":Mynetwork", "'Mynetwork'", "did you mean MyNetwork?"),
        ("", "''", "choose one of MyNetwork, Needs, Forgetful, Logits, Doubled, Skips, ready"),
        (":", "''", "choose one of MyNetwork, Needs, Forgetful, Logits, Doubled, Skips, ready"),
    ],
)
def test_no_such_class(folder: Path, capsys: pytest.CaptureFixture[str], name: str, given: str, hint: str) -> None:
    code, error = _error(folder, f"{folder / 'net.py'}{name}", capsys)
    assert (code, error) == (
        2,
        "sumtoone: The file has no network of this name [adopt-class]\n"
        "  expected: --network net.py:NAME with a class or instance of nn.Module in the file\n"
        f"  got: {given}\n"
        f"  try: {hint}\n",
    )


def test_a_file_without_networks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, error = _error(folder, f"{folder / 'neighbour.py'}:Net", capsys)
    assert error.splitlines()[-1] == "  try: class MyNetwork(nn.Module): …"


def test_no_module(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = _error(folder, f"{folder / 'net.py'}:Plain", capsys)
    assert (code, error) == (
        2,
        "sumtoone: Plain in net.py is not a network [adopt-not-module]\n"
        "  expected: a class derived from nn.Module, or an instance of one\n"
        "  got: type\n"
        "  try: write class Plain(nn.Module): … with __init__ and forward\n",
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Needs", "TypeError: Needs.__init__() missing 1 required positional argument: 'hidden' at net.py"),
        ("Forgetful", "AttributeError: cannot assign module before Module.__init__() call at net.py:22"),
    ],
)
def test_a_constructor_that_raises(folder: Path, capsys: pytest.CaptureFixture[str], name: str, why: str) -> None:
    code, error = _error(folder, f"{folder / 'net.py'}:{name}", capsys)
    assert (code, error) == (
        2,
        f"sumtoone: {name}() could not be built [adopt-constructor]\n"
        "  expected: a class that can be built without arguments and calls super().__init__() first\n"
        f"  got: {why}\n"
        f"  try: give the arguments of __init__ defaults, or write network = {name}(…) in the file and name network\n",
    )


def test_a_syntax_error_names_the_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.py").write_text("import torch\nclass A(:\n    pass\n")
    code, error = _error(folder, f"{folder / 'broken.py'}:A", capsys)
    assert (code, error) == (
        3,
        "sumtoone: The file raised an error while it was run [adopt-import]\n"
        "  expected: a file that 'python FOLDER/broken.py' runs from top to bottom\n"
        "  got: SyntaxError: invalid syntax at broken.py:2\n"
        "  try: mend broken.py:2; put what should not run on import under if __name__ == '__main__':\n",
    )


@pytest.mark.parametrize(
    ("source", "got"),
    [
        ("x = 1\ny = x / 0\n", "ZeroDivisionError: division by zero at raising.py:2"),
        ("import sys\nsys.exit('done')\n", "SystemExit: done at raising.py:2"),
        ("import no_such\n", "ModuleNotFoundError: No module named 'no_such' at raising.py:1"),
        ("raise ValueError\n", "ValueError: … at raising.py:1"),
        ("\0", None),
        ("# coding: nonsense\n", None),
        ("é = '\udce9'\n", None),
    ],
)
def test_a_file_that_cannot_be_run(
    folder: Path, capsys: pytest.CaptureFixture[str], source: str, got: str | None
) -> None:
    (folder / "raising.py").write_bytes(source.encode("utf-8", "surrogateescape"))
    code, error = _error(folder, f"{folder / 'raising.py'}:A", capsys)
    assert code == 3
    if got is None:
        assert "[adopt-import]" in error
    else:
        assert error == (
            "sumtoone: The file raised an error while it was run [adopt-import]\n"
            "  expected: a file that 'python FOLDER/raising.py' runs from top to bottom\n"
            f"  got: {got}\n"
            f"  try: mend {got.rpartition(' at ')[2]}; "
            "put what should not run on import under if __name__ == '__main__':\n"
        )


def test_options_that_the_file_decides(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = _error(folder, f"{folder / 'net.py'}:MyNetwork", capsys, "--activation", "tanh")
    assert (code, error) == (
        2,
        "sumtoone: A network from a file brings its own activation and dropout [adopt-options]\n"
        "  expected: --network FOLDER/net.py:MyNetwork without --activation and --dropout\n"
        "  got: --activation tanh\n"
        "  try: set them in the file\n",
    )


def test_another_size_than_the_datas(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "wide.py").write_text(NETWORK.replace("(4,", "(9,").replace("MyNetwork", "Wide"))
    code, error = _error(folder, f"{folder / 'wide.py'}:Wide", capsys)
    assert code == 2
    assert error.splitlines() == [
        "sumtoone: The module raised an error on an input of shape (64, 4) [adopt-raises]",
        "  expected: Wide to take the example input",
        "  got: first takes 9, receives 4 numbers for each row "
        "(wide.py:14: mat1 and mat2 shapes cannot be multiplied (64x4 and 9x5))",
        "  try: self.first = nn.Linear(4, 5) (or let the layer before it give 9)",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("net.py:Net", True),
        ("net.py", True),
        (r"C:\Users\kim\net.py:Net", True),
        ("C:/Users/kim/my net.py:신경망", True),
        ("784-128-64-10", False),
        ("784:128:10", False),
        ("C:-10", False),
    ],
)
def test_a_file_is_told_from_sizes(given: str, expected: bool) -> None:
    assert names_file(given) is expected


def test_a_path_with_colons(folder: Path) -> None:
    inside = folder / "C:" / "a:b"
    inside.mkdir(parents=True)
    (inside / "net.py").write_text("from torch import nn\nNet = nn.Linear(4, 3)\n")
    assert isinstance(module_from_file(f"{inside / 'net.py'}:Net", seed=0), torch.nn.Linear)


def test_in_a_process_of_its_own_and_in_korean(folder: Path) -> None:
    words = ["train", "clouds.csv", "--network", "net.py:MyNetwork", "--epochs", "1", "--out", "run", "--lang", "ko"]
    done = warm.run(None, *words, warn="error", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == (
        "MyNetwork: 4-5-3 (relu). 학습할 때는 softmax를 뺍니다. "
        "손실 함수는 로짓을 받으며 softmax를 두 번 적용하면 안 됩니다"
    )
