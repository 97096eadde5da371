"""Every file operation of training, saving and going on fails in turn; nothing that was done is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


# Each verb, and how many failures it meets at least.
@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler")
@pytest.mark.parametrize(
    ("verb", "least"),
    [("fit", 200), ("save", 50), ("add_metrics", 30), ("resume", 200), ("resume a finished one", 45)],
)
def test_whatever_fails_the_run_is_there_or_can_go_on_to_the_bit(tmp_path: Path, verb: str, least: int) -> None:
    library = tmp_path / "faults.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", HERE / "native" / "faults.c", "-o", library, "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, HERE / "faults.py", tmp_path / "home", library, verb],
        env={**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["points"] >= least
