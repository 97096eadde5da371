"""How the nursery's process is started: the same Python, the same package, nothing else of the caller's world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/",
    # A second thread, which importing torch starts otherwise, does not survive a fork; the last line keeps a submission
    # that asks for more of them from ending in the attempt.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    # PyTorch's compiler makes a folder for itself when it is imported; here it cannot.
    "TORCHINDUCTOR_CACHE_DIR": "/",
}


def start(control: int, isolation: str | None, without: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a nursery that is spoken to over the descriptor ``control``."""
    config = {
        "control": control,
        "isolation": isolation,
        "package": [os.path.abspath(folder) for folder in sys.modules["sumtoone"].__path__],  # noqa: PTH100 - as Python followed links
        "paths": _library_folders(),
        "without": list(without),
    }
    process = Path(os.path.abspath(__file__)).parent / "inside" / "process.py"  # noqa: PTH100
    return subprocess.Popen(  # noqa: S603 - our own file, by the interpreter that runs us
        [sys.executable, "-I", str(process), json.dumps(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_ENVIRONMENT,
        pass_fds=(control,),
        start_new_session=True,
    )


def _library_folders() -> list[str]:
    """Return where libraries are installed, such as a user's own site-packages, which an isolated Python leaves out.

    Not the rest of ``sys.path``: beside a submission, or where the caller stands, a ``torch.py`` may be waiting.
    """
    here = os.path.realpath(os.curdir)
    installed = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    folders = [*installed, str(Path(np.__file__).parent.parent)]
    return [path for path in dict.fromkeys(folders) if Path(path).is_absolute() and os.path.realpath(path) != here]
