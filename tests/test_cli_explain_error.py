"""``sumtoone explain --error`` reads a traceback from a file or a pipe, and ``%explain`` a notebook's last error."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import warm
from sumtoone.cli import main
from sumtoone.language import speaking
from sumtoone.shapes.failures import explain_error

Captured = pytest.CaptureFixture[str]

MESSAGE = "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x784 and 256x784)"
WHAT = "mat1 has rows of 784 numbers, but mat2 has 256 rows. In a matrix product the two are equal."
READ = [sys.executable, "-m", "sumtoone", "explain", "--error", "-", "--lang", "en"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_file_of_any_editor(encoding: str, tmp_path: Path, capsys: Captured) -> None:
    bom = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "오류.txt").write_bytes(f"{bom}학습 중\n{MESSAGE}\n".encode(encoding))
    assert main(["explain", "--error", str(tmp_path / "오류.txt"), "--lang", "en"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert " ".join(shown.out.split()) == f"{MESSAGE} {WHAT} write instead: mat1 @ mat2.T # (64, 784) @ (784, 256)"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_last_error_of_a_long_file_is_read(encoding: str, tmp_path: Path, capsys: Captured) -> None:
    long = "ValueError: the first\n" + "학습 중\n" * (1 << 21)
    (tmp_path / "e.txt").write_bytes(f"{long}{MESSAGE}\n".encode(encoding))
    assert (tmp_path / "e.txt").stat().st_size > 1 << 24
    assert main(["explain", "--error", str(tmp_path / "e.txt"), "--quiet", "--lang", "en"]) == 0
    assert capsys.readouterr().out == f"{WHAT}\n"


PROGRAM = """\
import torch
from torch import nn

class MyNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        return torch.softmax(self.fc2(x), dim=1)
"""
EXPLAINED = """\
RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x128 and 64x10)
  {file}, line 12, in forward, layer fc2
    return torch.softmax(self.fc2(x), dim=1)

fc2 takes 64, receives 128 numbers for each row.

  write instead:
    self.fc2 = nn.Linear(128, 10)  # or let the layer before it give 64
"""


@pytest.mark.measured
def test_a_program_that_fails_piped_into_it(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(PROGRAM)
    failed = warm.run("import torch, net; net.MyNetwork()(torch.rand(64, 784))", cwd=tmp_path)
    assert failed.returncode == 1
    done = subprocess.run(READ, input=failed.stderr, capture_output=True, encoding="utf-8", check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == EXPLAINED.format(file=tmp_path / "net.py")


def test_the_answer_is_loaded_without_torch(tmp_path: Path) -> None:
    (tmp_path / "e.txt").write_text(MESSAGE)
    code = (
        "import sys; from sumtoone.cli import main; assert main(['explain', '--error', 'e.txt', '--lang', 'en']) == 0;"
        "assert main(['explain', '--quiz', '1', '--json']) == 0;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'rich')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert WHAT in " ".join(done.stdout.split())


def test_json_and_quiet(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "e.txt").write_text(MESSAGE)
    words = ["explain", "--error", str(tmp_path / "e.txt"), "--lang", "ko"]
    assert main([*words, "--json", "--quiet"]) == 0
    with speaking("ko"):
        found = explain_error(MESSAGE)
    assert json.loads(capsys.readouterr().out) == found.to_json()
    assert main([*words, "-q"]) == 0
    assert capsys.readouterr().out == f"{found.what}\n"


def test_a_message_that_is_not_known_exits_1(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "e.txt").write_text("ValueError: something of somebody's own\n")
    words = ["explain", "--error", str(tmp_path / "e.txt"), "--lang", "en"]
    assert main(words) == 1
    assert capsys.readouterr().out == (
        "ValueError: something of somebody's own\n\n"
        "sumtoone does not know this message, and does not guess what it means.\n"
    )
    assert main([*words, "--quiet"]) == 1
    assert capsys.readouterr().out == "ValueError: something of somebody's own\n"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("none.txt", "data-missing-path"),
        ("file.txt/x", "data-missing-path"),
        ("a\0b", "data-missing-path"),
        ("~nosuchuser/x", "data-missing-path"),
        ("", "data-path-kind"),
        (".", "data-path-kind"),
        ("file.txt", "explain-no-error"),
        ("/proc/self/mem", "data-permission"),
    ],
)
def test_what_cannot_be_read_exits_3(
    name: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("all went well")
    assert main(["explain", "--error", name, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


@pytest.mark.measured
def test_a_terminal_is_told_to_paste() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(READ, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        assert process.stderr is not None
        said = process.stderr.readline()
        os.write(ours, f"{MESSAGE}\n\x04".encode())
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert said == b"Paste the traceback, then press Ctrl-D (on Windows Ctrl-Z and Enter):\n"
    assert process.returncode == 0
    assert WHAT in " ".join(out.decode().split())


@pytest.mark.measured
def test_no_standard_input_at_all() -> None:
    code = "import sys; sys.stdin = None; from sumtoone.cli import main; {}; sys.exit(main(['explain', *sys.argv[1:]]))"
    command = [sys.executable, "-c", code.format("pass")]
    done = subprocess.run([*command, "--error", "-"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert "[explain-no-error]" in done.stderr
    done = subprocess.run([*command, "--quiz", "-q"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0/0\n", "")


# --- in a notebook

NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
import contextlib, io

shell = InteractiveShell.instance()
shell.run_cell("%load_ext sumtoone")

def cell(*lines):
    with contextlib.redirect_stdout(io.StringIO()):  # IPython's own traceback
        shell.run_cell("\\n".join(lines), store_history=True)

print("# none"); shell.run_cell("%explain")
cell("import torch", "from torch import nn", "import sumtoone", "e = torch.rand(64, 10)")
cell(
    "class Net(nn.Module):",
    "    def __init__(self):",
    "        super().__init__()",
    "        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.Linear(64, 10))",
    "    def forward(self, x):",
    "        return self.layers(x)",
)
cell("Net()(torch.rand(2, 1, 28, 28))")
print("# layer"); shell.run_cell("%explain")
cell("e / e.sum(dim=1)")
print("# shapes"); shell.run_cell("%explain")
cell("1 / 0")
print("# unknown"); shell.run_cell("%explain")
cell("sumtoone.Network('784')")
print("# ours"); shell.run_cell("%explain")
print("# alone"); shell.run_cell("%explain a / b")
shell.run_cell("%unload_ext sumtoone")
"""
SHOWN = """\
# none
There was no error yet: write %explain after the cell that failed.
# layer
RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x128 and 64x10)
  In[2], line 6, in forward, layer layers[2]
    return self.layers(x)

layers[2] takes 64, receives 128 numbers for each row.

  write instead:
    nn.Linear(128, 10)  # or let the layer before it give 64
# shapes
RuntimeError: The size of tensor a (10) must match the size of tensor b (64) at
non-singleton dimension 1
  In[4], line 1
    e / e.sum(dim=1)

e and e.sum(dim=1) do not broadcast: along axis 1 one has size 10, the other 64.
Two sizes go together when they are equal or one of them is 1.

  write instead:
    e / e.sum(dim=1, keepdim=True)  # (64, 10)
"""
UNKNOWN = """\
# unknown
ZeroDivisionError: division by zero
  In[5], line 1
    1 / 0

sumtoone does not know this message, and does not guess what it means. The line
it comes from stands above.
# ours
"""


@pytest.mark.measured
def test_explain_in_a_notebook_reads_the_last_error(tmp_path: Path) -> None:
    surroundings = {**os.environ, "SUMTOONE_LANG": "en", "IPYTHONDIR": str(tmp_path / "ipython")}
    done = warm.run(NOTEBOOK, env=surroundings)
    assert (done.returncode, done.stderr) == (0, "")
    # What explain suggests besides is explain's own affair.
    assert done.stdout.startswith(SHOWN)
    unknown = done.stdout[done.stdout.index("# unknown") :]
    assert unknown.startswith(UNKNOWN)
    assert "[specification-short]" in unknown
    assert unknown.endswith(
        "# alone\n%explain stands alone and explains the last error; an expression is explained by "
        'sumtoone.explain("a / b", a=(64, 10), b=(64,)).\n'
    )
