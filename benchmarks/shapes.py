"""One epoch of networks and batches of other sizes: ours, PyTorch eager, and the limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks import limits, loops
from benchmarks.material import SYNTHETIC
from benchmarks.protocol import LIMIT, comparison, counts_of_threads, disagreeing, entries, machine
from benchmarks.workers import Task, in_turns

OURS = "sumtoone, fused"
CONTENDERS = {OURS: loops.fused, "PyTorch, eager": loops.by_hand, LIMIT: limits.matrix_products}

# Fewer rows where an epoch of all of them takes long.
SHAPES = (
    Task("784-256-10", rows=60_000),
    Task("784-512-512-10", rows=20_000),
    Task("784-2048-2048-10", rows=4_000),
    Task("32-64-64-3", SYNTHETIC, 200_000),
    *(Task("784-128-64-10", rows=60_000, batch_size=size) for size in (16, 64, 256, 1024, 4096)),
    # The tiny case that SimpleChains.jl publishes; an epoch of it is a single step.
    Task("4-32-16-4", SYNTHETIC, 10_000, 10_000, activation="tanh", epochs=100),
)
QUICK = (Task("784-32-10", "digits", 4_000, 256),)
# Wider than for one epoch of many contenders: big networks on few rows are still far from where they end.
TOLERANCE = 0.01


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: one comparison for each shape."""
    rows = []
    for shape in QUICK if quick else SHAPES:
        tasks = [replace(shape, threads=threads) for threads in counts_of_threads(quick)]
        results = in_turns(entries(CONTENDERS, tasks), rounds)
        rows.append(
            {
                "network": shape.network,
                "data": shape.data,
                "rows": shape.rows,
                "batch": shape.batch_size,
                "activation": shape.activation,
                "epochs": shape.epochs,
                "missing": results.missing,
                **comparison(results, OURS, [name for name in CONTENDERS if name != LIMIT]),
            }
        )
    return {
        "what": "one epoch of SGD with momentum in float32",
        "machine": machine(),
        "rounds": rounds,
        "shapes": rows,
        "disagreeing": [
            f"{name}, {row['network']}, batch {row['batch']}"
            for row in rows
            for name in disagreeing(row, 10 * TOLERANCE if quick else TOLERANCE)
        ],
    }
