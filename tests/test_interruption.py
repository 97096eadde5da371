"""Ctrl-C as real processes get it: waited for, ignored where it was ignored, left to a program around Python."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="signals of one's own to another process")

CODE = """
import os, signal
from sumtoone.training.interruption import interruptible

def look(moment):
    print(moment, interrupted() if moment != "after" else "", signal.getsignal(signal.SIGINT) is before)

before = signal.getsignal(signal.SIGINT)
print(before)
with interruptible() as interrupted:
    look("begin")
    os.kill(os.getpid(), signal.SIGINT)
    look("pressed")
look("after")
"""


# As a shell without jobs does for what it starts with &.
IGNORING = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


def in_a_process(*before: str, code: str = CODE, **environment: str) -> tuple[int, str, str]:
    command = [*before, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


@posix
def test_ctrl_c_is_waited_for() -> None:
    # Who began in the background ignores it. The first one gives the old handler back, for the second.
    code = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n" + CODE
    expected = "<built-in function default_int_handler>\nbegin False False\npressed True True\nafter  True\n"
    assert in_a_process(code=code) == (0, expected, "")


@posix
def test_an_ignored_signal_stays_ignored() -> None:
    code = CODE.replace("print(before)", "print(before == signal.SIG_IGN)")
    expected = "True\nbegin False True\npressed False True\nafter  True\n"
    assert in_a_process(*IGNORING, code=code) == (0, expected, "")


@posix
def test_the_handler_of_a_program_around_python_stays(tmp_path: Path) -> None:
    """Which Python knows as None: put in place before Python begins, by a library that is loaded first."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("c++")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler, and a loader that loads a library first")
    source, library = tmp_path / "around.c", tmp_path / "around.so"
    source.write_text(
        textwrap.dedent("""
        #include <signal.h>
        #include <unistd.h>
        static void handle(int number) { (void)number; if (write(2, "around\\n", 7)) {} }
        __attribute__((constructor)) static void begin(void) { signal(SIGINT, handle); }
        """)
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    expected = "None\nbegin False True\npressed False True\nafter  True\n"
    assert in_a_process(LD_PRELOAD=str(library)) == (0, expected, "around\n")


@posix
@pytest.mark.measured
def test_a_training_in_the_background_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [*IGNORING, sys.executable, "-m", "sumtoone", "train", "digits", "--epochs", "12", "--out", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None and not list(run.glob("checkpoints/*")):
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, complaint) == (0, "")
    assert (run / "run.json").exists()
