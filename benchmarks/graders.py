"""Other judges of such exercises, `torch-judge` and `torchleet`, each attempt in a forked process of its own.

Both judge what a notebook has defined, in the notebook's own process. They are asked by their public function, and what
they ask for is met for the learner: the name, a ``dim`` and tensors of one or three dimensions, which the lesson does
not ask for. `torchleet` judges networks of 2 inputs and 1 output; here it does so with the checks of its `custom-dnn`
and the lesson's sizes.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import io
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from importlib.util import find_spec
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PEERS = {"torch-judge": "torch_judge", "torchleet": "torchleet"}
NETWORKS = ("sigmoid-network", "relu-network")
_SECONDS, _START_SECONDS, _TRIES = 10.0, 120.0, 5
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Graders:
    """The peers that are installed, imported once in a process that forks one for each attempt."""

    def __init__(self) -> None:
        self.missing = {name: f"not installed: {what}" for name, what in PEERS.items() if find_spec(what) is None}
        self.names = [name for name in PEERS if name not in self.missing]
        self._folder = tempfile.mkdtemp()
        self._context = multiprocessing.get_context("forkserver")
        # The last two are imported by the first judging: a second each.
        self._context.set_forkserver_preload(["benchmarks.graders", *PEERS.values(), "torch._dynamo", "IPython"])
        # The forking process is started with these, at the first attempt.
        os.environ.update({**dict.fromkeys(ONE_THREAD, "1"), "PROGRESS_PATH": f"{self._folder}/progress.json"})
        if self.names:
            self._warm()

    def passes(self, name: str, code: str, exercise: str) -> tuple[bool, float]:
        """Return whether one of the peers lets an attempt pass, and the seconds that it took."""
        started = time.perf_counter()
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_grade, args=(name, code, exercise, self._folder, theirs))
        try:
            process.start()
            theirs.close()
            passed = ours.poll(_SECONDS) and ours.recv() is True
        except Exception:  # it died, or has written something else into the pipe: there is no answer
            passed = False
        spent = time.perf_counter() - started
        ours.close()
        if process.pid is not None:
            process.kill()
            process.join(_SECONDS)
        self._warm()
        return passed, spent

    def _warm(self) -> None:
        """See that the process that forks is there and has imported everything: an attempt may have ended it."""
        for _ in range(_TRIES):
            with suppress(Exception):
                ours, theirs = self._context.Pipe(duplex=False)
                process = self._context.Process(target=_greet, args=(theirs,))
                process.start()
                theirs.close()
                there = ours.poll(_START_SECONDS) and ours.recv() is True
                process.join(_SECONDS)
                if there:
                    return
            process_that_forks: Any = forkserver
            with suppress(Exception):  # what listens to nobody any more is started anew
                os.kill(process_that_forks._forkserver._forkserver_pid, signal.SIGKILL)
            with suppress(Exception):
                process_that_forks._forkserver._stop()
        raise RuntimeError("the process that forks for the other judges does not start any more")


def _greet(answer: Connection) -> None:
    answer.send(True)


def _grade(name: str, code: str, exercise: str, folder: str, answer: Connection) -> None:
    with redirect_stdout(io.StringIO()), Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        names = _run(code)
        if exercise in NETWORKS:
            passed = _torchleet_network(_network(names))
        else:
            passed = {"torch-judge": _torch_judge, "torchleet": _torchleet}[name](_softmax(names), folder)
    answer.send(passed)


def _run(code: str) -> dict[str, Any]:
    """Run an attempt among the names of the lesson's notebook, as far as it goes, and return what there is then."""
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional

    images, labels = torch.rand(64, 1, 28, 28) * 2 - 1, torch.randint(0, 10, (64,))
    names = {"torch": torch, "nn": nn, "F": functional, "np": np, "images": images, "labels": labels}
    names["__name__"] = "__main__"
    before = dict(names)
    with suppress(Exception):
        exec(compile(code, "attempt.py", "exec"), names)
    return {name: value for name, value in names.items() if before.get(name) is not value and name != "__builtins__"}


def _torch_judge(function: Callable[..., Any], _: str) -> bool:
    # It judges what its caller's module has defined, and says the result in words.
    said = io.StringIO()
    with redirect_stdout(said):
        exec("from torch_judge import check\ncheck('softmax')", {"my_softmax": function})
    return "tests passed! (" in said.getvalue()


def _torchleet(function: Callable[..., Any], folder: str) -> bool:
    torchleet, runner = (importlib.import_module(name) for name in ("torchleet", "torchleet.runner"))
    runner.__dict__["PROGRESS"] = Path(folder) / "torchleet.json"
    return bool(torchleet.check("softmax", function))


def _torchleet_network(build: Callable[[], Any]) -> bool:
    from types import SimpleNamespace

    common = importlib.import_module("torchleet.checks.common")
    asked = ("Network", (784,), (10,))
    checks = [common.output_shape(*asked), common.batch_agnostic(*asked)]
    checks += [common.gradients_flow(*asked[:2]), common.can_learn(*asked)]
    try:
        for check in checks:
            check(SimpleNamespace(Network=build))
    except Exception:
        return False
    return True


def _softmax(names: dict[str, Any]) -> Callable[..., Any]:
    """Return the learner's function as the peers call it: with a ``dim``, and with tensors that are no matrix."""
    functions = [value for value in names.values() if inspect.isfunction(value)]
    function: Any = names.get("softmax") or (functions[-1] if functions else None)
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    if "dim" in parameters:
        return function  # type: ignore[no-any-return]
    demanded = [
        one for one in parameters.values() if one.default is one.empty and one.kind <= one.POSITIONAL_OR_KEYWORD
    ]
    further = (-1,) if len(demanded) == 2 else ()

    def adapted(x: Any, dim: int = -1) -> Any:
        moved = x.movedim(dim, -1)
        rows = moved.reshape(-1, moved.shape[-1])
        result = function(rows, *further)
        return result.reshape(moved.shape).movedim(-1, dim) if result.shape == rows.shape else result

    return adapted


def _network(names: dict[str, Any]) -> Callable[[], Any]:
    """Return what makes the learner's network: its class, or a copy of the one that was made."""
    from torch import nn

    classes = [value for value in names.values() if inspect.isclass(value) and issubclass(value, nn.Module)]
    classes = [value for value in classes if not value.__module__.startswith("torch.")]
    made = [value for value in names.values() if isinstance(value, nn.Module)]
    if classes:
        return names.get("Network", classes[-1])  # type: ignore[no-any-return]
    return lambda: copy.deepcopy(made[-1])
