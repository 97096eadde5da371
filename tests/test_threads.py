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
import json, os, sys, threading, time, warnings
import torch
# From 3.12 on, Python warns of every fork beside threads; here it is what is tried.
warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
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


# --- long calls give the interpreter away


@needs_kernels
def test_other_python_threads_run_during_a_long_call_on_one_thread() -> None:
    """No call keeps a thread that wakes every millisecond waiting for half of its length.

    The shortest of several waits counts: whatever else runs on the machine only makes waits longer.
    """
    shares = as_a_user("""
        torch.set_num_threads(1)
        ticks, stop = [], threading.Event()
        def tick():
            while not stop.is_set():
                time.sleep(0.001)
                ticks.append(time.perf_counter())

        def share(call):
            ticks.clear()
            begin = time.perf_counter()
            call()
            end = time.perf_counter()
            during = [begin, *(tick for tick in ticks.copy() if begin < tick < end), end]
            return max(after - before for before, after in zip(during, during[1:])) / (end - begin)

        x, out, targets = torch.randn(2_000_000, 10), torch.empty(2_000_000, 10), torch.randint(10, (2_000_000,))
        leaf = x.clone().requires_grad_()
        results = [softmax(leaf), log_softmax(leaf)]
        column, first = torch.randn(5_000_000, 1), torch.zeros(5_000_000, dtype=torch.long)
        network, rows = Network("784-128-64-10"), torch.rand(20_000, 784)
        module = native.kernels()
        scale, shift, weight, bias = torch.ones(3000), torch.zeros(3000), torch.rand(3000, 3000), torch.rand(3000)
        def trainer():
            ends = scale.data_ptr(), shift.data_ptr()
            return module.Trainer.create([3000, 3000, 2], 8, 2, 0.0, 0.0, 1, 0.0, 0.0, False, False, *ends)
        training = trainer()
        calls = {
            "softmax": lambda: softmax(x, out=out),
            "log_softmax": lambda: log_softmax(x),
            "columns": lambda: softmax(x.view(20, 1000, 1000), 1),
            "softmax backward": lambda: torch.autograd.grad(results[0], leaf, x, retain_graph=True),
            "log_softmax backward": lambda: torch.autograd.grad(results[1], leaf, x, retain_graph=True),
            "cross_entropy": lambda: cross_entropy(x, targets),
            "cross_entropy of each row": lambda: cross_entropy(x, targets, reduction="none"),
            "cross_entropy with its gradient": lambda: torch.autograd.grad(cross_entropy(leaf, targets), leaf),
            "cross_entropy of one class": lambda: cross_entropy(column, first),
            "probabilities": lambda: network.probabilities(rows),
            "a trainer": trainer,
            "its weights": lambda: training.exchange(0, 0, weight.data_ptr(), bias.data_ptr(), False),
            "and back": lambda: training.exchange(0, 0, weight.data_ptr(), bias.data_ptr(), True),
        }
        ticker = threading.Thread(target=tick, daemon=True)
        ticker.start()
        with torch.no_grad():
            expected = softmax(x[:1000])
        found = {}
        for name, call in calls.items():
            with torch.set_grad_enabled("gradient" in name or "backward" in name):
                found[name] = min(share(call) for _ in range(5))
        stop.set()
        ticker.join()
        assert torch.equal(out[:1000], expected)
        print(json.dumps(found))
        """)
    assert len(shares) == 13
    assert {name: round(share, 2) for name, share in shares.items() if share > 0.5} == {}


@needs_kernels
@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_read_stays_when_another_thread_gives_its_tensor_other_memory(threads: int) -> None:
    """A result is that of the memory which the tensor had at one moment of the call."""
    as_a_user(f"""
        torch.set_num_threads({threads})
        sources = [torch.randn(400_000, 10) for _ in range(2)]
        targets = [torch.randint(10, (400_000,)) for _ in range(2)]
        losses = [cross_entropy(x, target).item() for x in sources for target in targets]
        given, target, out = sources[0].clone(), targets[0].clone(), torch.empty(400_000, 10)
        stop, rounds = threading.Event(), 0
        def give():
            global rounds
            while not stop.is_set():
                given.data, target.data = sources[rounds % 2].clone(), targets[rounds % 2].clone()
                out.data = torch.empty(400_000, 10)
                rounds += 1

        def one_of(result, function):
            assert any(torch.equal(result, function(source, 1)) for source in sources)

        giver = threading.Thread(target=give, daemon=True)
        giver.start()
        for _ in range(25):
            one_of(softmax(given, 1), softmax)
            one_of(log_softmax(given, 1), log_softmax)
            softmax(sources[0], 1, out=out)
            assert cross_entropy(given, target).item() in losses
        stop.set()
        giver.join()
        print(rounds)
        """)


@needs_kernels
def test_a_target_that_another_thread_writes_over_leads_no_address_astray() -> None:
    """Whatever the loss then is: no row but its own is read or written."""
    as_a_user("""
        torch.set_num_threads(1)
        leaf, target, stop = torch.randn(300_000, 10).requires_grad_(), torch.zeros(300_000, dtype=torch.long), False
        def write():
            while not stop:
                target.fill_(10**9)
                target.zero_()
                time.sleep(0.0001)

        writer, computed = threading.Thread(target=write, daemon=True), 0
        writer.start()
        while computed < 100:
            try:
                torch.autograd.grad(cross_entropy(leaf, target), leaf)
            except (SumtooneError, IndexError, RuntimeError):  # seen before it is computed, by us or by PyTorch
                continue
            computed += 1
        stop = True
        writer.join()
        print(computed)
        """)


# --- where the system gives no more threads

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
        # They are asked for again after a while.
        until = time.monotonic() + 60
        while own_threads() - before < 2 and time.monotonic() < until:
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


# --- as many as there are


@needs_kernels
@pytest.mark.parametrize("simd", native.status().instruction_sets)
def test_the_kernels_give_the_bits_of_one_thread(simd: str) -> None:
    as_a_user(
        EVERYTHING,
        f"""
        native.kernels().choose("{simd}")
        usual = torch.get_num_threads()
        assert usual == len(os.sched_getaffinity(0)) if sys.platform == "linux" else usual
        alone = everything(1)
        assert everything(usual) == alone
        assert everything(usual + 1) == alone
        print(usual)
        """,
    )


TRAINED = """
import sumtoone as s1
usual = torch.get_num_threads()
dataset = s1.load("digits")

def trained(engine, **options):
    network = s1.Network("784-300-10", dropout=0.1)
    network.initialise(0)
    run = s1.fit(network, dataset, epochs=2, batch_size=512, seed=0, engine=engine, **options)
    assert torch.get_num_threads() == usual
    report = s1.evaluate(run, dataset.test)
    return [run.history.rows[-1]["train_loss"], report.nll, report.accuracy, run.probabilities(dataset.test.inputs)]
"""


@pytest.mark.parametrize("engine", ["plain", pytest.param("fused", marks=needs_kernels)])
def test_training_and_judging_give_the_numbers_of_one_thread(engine: str) -> None:
    """The fused engine to the bit; the plain one up to how PyTorch's threads cut its sums."""
    as_a_user(
        TRAINED,
        f"""
        engine = "{engine}"
        alone, several = trained(engine, threads=1), trained(engine)
        least = trained(engine, threads=2)
        for one, other in zip(alone * 2, several + least, strict=True):
            if engine == "fused":
                assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))
            else:
                torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other), rtol=1e-3, atol=1e-3)
        print(usual)
        """,
    )


# --- forks

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")


@needs_kernels
@needs_fork
def test_a_forked_child_computes_and_trains_with_the_kernels() -> None:
    """With one thread and with several, after its parent used several; and its own child after it."""
    as_a_user(
        EVERYTHING,
        """
        alone = everything(1)
        assert everything(2) == alone
        child = os.fork()
        if child == 0:
            here = everything(1) == alone and everything(2) == alone
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(not (everything(3) == alone))
            os._exit(not (here and os.waitpid(grandchild, 0)[1] == 0))
        assert os.waitpid(child, 0)[1] == 0
        assert everything(2) == alone
        print(1)
        """,
    )


@needs_kernels
@needs_fork
def test_a_child_forked_during_calls_of_other_threads_computes_and_trains() -> None:
    as_a_user(
        EVERYTHING,
        """
        alone, stop = everything(1), threading.Event()
        long = torch.randn(500_000, 10)
        def work():
            torch.set_num_threads(3)
            while not stop.is_set():
                softmax(long)

        workers = [threading.Thread(target=work, daemon=True) for _ in range(2)]
        for worker in workers:
            worker.start()
        for number in range(6):
            time.sleep(0.01)
            child = os.fork()
            if child == 0:
                os._exit(not (everything(1 + number % 3) == alone))
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for worker in workers:
            worker.join()
        print(1)
        """,
    )
