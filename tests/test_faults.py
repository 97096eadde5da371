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


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler")
def test_whatever_fails_the_run_is_there_or_can_go_on_to_the_bit(tmp_path: Path) -> None:
    library = tmp_path / "faults.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", HERE / "native" / "faults.c", "-o", library, "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, HERE / "faults.py", tmp_path / "home", library],
        env={**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert all(found["points"].values())
    assert sum(found["points"].values()) >= 300
