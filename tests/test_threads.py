"""Threads as a user has them: processes of their own with all that PyTorch begins, beside Python's threads and forks.

The rest of the suite computes with one thread a process (see ``conftest.py``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from sumtoone import native

needs_kernels = pytest.mark.skipif(not native.kernels(), reason=f"no compiled kernels here: {native.status()}")

HEAD = """
import json, os, sys, threading, time
import torch
from sumtoone import Network, SumtooneError, native
from sumtoone.functional import cross_entropy, log_softmax, softmax
"""


def as_a_user(*code: str, seconds: float = 120) -> Any:
    """What the code prints, as JSON, in a process with as many threads as PyTorch gives a user."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", "\n".join(map(textwrap.dedent, (HEAD, *code)))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


# --- where the system gives no more threads

EVERYTHING = """
from engines import make_dataset, make_plan, train, weights
from sumtoone.training.fused import FusedEngine

x, target, network = torch.randn(20_000, 10), torch.arange(20_000) % 10, Network("784-128-10")
leaf, rows, dataset = torch.randn(20_000, 10).requires_grad_(), torch.rand(2000, 784), make_dataset(2048, 100, 10)

def everything(threads):
    torch.set_num_threads(threads)
    loss = cross_entropy(leaf, target)
    with torch.no_grad():
        found = [softmax(x), log_softmax(x), loss, network.probabilities(rows)]
    found += torch.autograd.grad(loss, leaf)
    # PyTorch's own operations around the engine cannot do without the threads that they want.
    torch.set_num_threads(1)
    plan = make_plan(dataset, "100-300-10", batch_size=1024, lr=0.001)
    engine = FusedEngine(plan, threads)
    losses = train(engine)
    engine.finish()
    return [tensor.detach().numpy().tobytes() for tensor in found] + [losses, weights(plan.network)]

def own_threads():
    return len(os.listdir("/proc/self/task"))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and counts threads as Linux does")


@linux
@needs_kernels
def test_without_another_thread_the_kernels_compute_alone() -> None:
    """As in a container with a limit of processes; the system's administrator has none, so somebody else computes."""
    found = as_a_user(
        EVERYTHING,
        """
        import resource
        alone, before = everything(1), own_threads()
        if os.getuid() == 0:
            os.setuid(65534)
        soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        try:
            threading.Thread(target=print).start()
            limited = False
        except RuntimeError:
            limited = everything(3) == alone
        begun = own_threads() - before
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
        time.sleep(1.1)
        assert everything(3) == alone
        print(json.dumps([limited, begun, own_threads() - before]), flush=True)
        os._exit(0)  # whoever that is now may not write what measures the tests
        """,
    )
    assert found == [True, 0, 2]


@linux
@needs_kernels
def test_the_threads_that_there_is_memory_for_compute_it_all() -> None:
    found = as_a_user(
        EVERYTHING,
        """
        import resource
        alone, before = everything(1), own_threads()
        out, page = torch.empty_like(x), resource.getpagesize()
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * page
        stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
        resource.setrlimit(resource.RLIMIT_AS, (used + stack + stack // 2,) * 2)
        torch.set_num_threads(4)
        softmax(x, out=out)
        found = out.numpy().tobytes() == alone[0]
        print(json.dumps([found, own_threads() - before]), flush=True)
        os._exit(0)  # there is no memory for anything else
        """,
    )
    assert found == [True, 1]
