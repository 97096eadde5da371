"""One epoch of 784-128-64-10 with ReLU, batches of 64, SGD with momentum: every contender, float32 and bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks import libraries, limits, loops
from benchmarks.material import rows_of
from benchmarks.protocol import LIMIT, comparison, counts_of_threads, disagreeing, entries, half, machine, summary
from benchmarks.workers import Results, Session, Task, in_turns

OURS, LESSON, COMPILED = "sumtoone, fused", "the lesson's DataLoader loop", "PyTorch, torch.compile"
LOOPS: dict[str, Callable[[Task], Session]] = {
    OURS: loops.fused,
    "sumtoone, plain": loops.plain,
    "PyTorch, eager": loops.by_hand,
    COMPILED: loops.compiled,
    "JAX, jit and scan": libraries.jax_scan,
    "JAX, XLA's own reductions": libraries.jax_own_reductions,
    "Keras 3 on JAX": libraries.keras_on_jax,
    "skorch": libraries.skorch,
    "scikit-learn": libraries.scikit_learn,
    LESSON: loops.lesson,
}
LIMITS: dict[str, Callable[[Task], Session]] = {LIMIT: limits.matrix_products, "copy": limits.copy}
IN_BFLOAT16 = (OURS, "PyTorch, eager", "JAX, jit and scan")
# Test accuracy, as a share: the same recipe ends within half a point, whoever computes it.
TOLERANCE = 0.005


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: seconds per epoch, how many times ours, the machine's limits, and the test accuracies."""
    data = "digits" if quick else "mnist"
    tasks = [Task(data=data, rows=rows_of(data), threads=threads) for threads in counts_of_threads(quick)]
    halves = [replace(task, precision="bfloat16") for task in tasks]
    taking_part = entries(LOOPS | LIMITS, tasks)
    if quick:  # neither bfloat16, nor what compiles for longer than all the rest takes
        taking_part = [entry for entry in taking_part if entry.name != COMPILED]
    else:
        taking_part += entries({half(name): LOOPS[name] for name in IN_BFLOAT16}, halves)
        taking_part += entries({half(LIMIT): limits.matrix_products}, halves)
    # More threads only slow the lesson's loop down, and a round of it is long enough.
    results = in_turns([entry for entry in taking_part if entry.name != LESSON or entry.task.threads == 1], rounds)
    record: dict[str, Any] = {
        "what": f"one epoch of {tasks[0].network} on {tasks[0].rows:,} rows of {data}, batch {tasks[0].batch_size}",
        "machine": machine(),
        "rounds": rounds,
        "missing": results.missing,
        "float32": comparison(results, OURS, list(LOOPS)),
        "bfloat16": comparison(results, half(OURS), [half(name) for name in IN_BFLOAT16], half(LIMIT)),
        "limits": _limits(results, tasks[0]),
    }
    tolerance = 10 * TOLERANCE if quick else TOLERANCE
    record["disagreeing"] = [name for part in ("float32", "bfloat16") for name in disagreeing(record[part], tolerance)]
    return record


def _limits(results: Results, task: Task) -> dict[str, Any]:
    """Return GFLOP/s of matrix products and GB/s of copies (bytes read and written), for each number of threads."""
    assert task.rows is not None
    work = {
        LIMIT: limits.training_flop(task.network, task.rows),
        half(LIMIT): limits.training_flop(task.network, task.rows),
        "copy": limits.COPIED_NUMBERS * 8,
    }
    return {
        name: {
            str(threads): summary([amount / seconds / 1e9 for seconds in values])
            for (whose, threads), values in sorted(results.seconds.items())
            if whose == name
        }
        for name, amount in work.items()
    }
