"""``python -m benchmarks.ladder``: how exact dense networks get, rung by rung, each with a recipe that is fixed.

Every training is a run of its own in a folder named after its recipe: what is finished is never done again, and what
was interrupted goes on. Recipes were chosen on validation rows (``--search`` does it again); the test rows are judged
once for each recipe, when all its seeds are trained, and the judgement is kept with the runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.protocol import RECORDS, machine, write_record
from benchmarks.recipes import RUNGS, SEARCHES, Recipe, Search
from sumtoone import Dataset, Network, Run, Split, evaluate, fit, load, resume

HOME, SEEDS = Path("runs") / "ladder", 5
PACKAGES = ("sumtoone", "torch", "numpy")
RECORD = "ladder"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is not trained yet, write the record, and renew the table made from it."""
    names = [recipe.name for recipe in RUNGS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ladder", description=__doc__)
    parser.add_argument("--only", help=f"some of {','.join(names)}")
    parser.add_argument("--seeds", type=int, help=f"networks of each rung (default: {SEEDS})")
    parser.add_argument("--search", action="store_true", help="compare optimizers on validation rows instead")
    parser.add_argument("--folder", type=Path, default=HOME, help="where the runs are kept (default: %(default)s)")
    given = parser.parse_args(arguments)
    if given.search and (given.only, given.seeds) != (None, None):
        parser.error("--only and --seeds are of rungs, not of --search")
    wanted, seeds = (
        names if given.only is None else given.only.split(","),
        SEEDS if given.seeds is None else given.seeds,
    )
    if unknown := sorted(set(wanted) - set(names)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(names)}")
    if seeds < 1:
        parser.error("--seeds must be 1 or more")
    found: list[dict[str, Any]] = []
    if given.search:
        for search in SEARCHES:
            found.append(searched(search, given.folder))
            renewed("searches", found)
        return
    for recipe in RUNGS:
        if recipe.name in wanted:
            found.append(climbed(recipe, seeds, given.folder))
            renewed("rungs", found)


def climbed(recipe: Recipe, seeds: int, home: Path) -> dict[str, Any]:
    """Return what the record says of a rung: the test rows are judged when all its seeds are trained.

    Where it learns from the validation rows too, one more network without them says what they made of the recipe.
    """
    runs = [trained(recipe, seed, home) for seed in range(seeds)]
    tests = [judged(run, folder_of(recipe, seed, home), recipe) for seed, run in enumerate(runs)]
    chosen = [trained(replace(recipe, everything=False), 0, home)] if recipe.everything else runs
    validation = [run.history["validation_accuracy"][-1] for run in chosen]
    seconds = [sum(run.history["seconds"]) for run in runs]
    return {
        "name": recipe.name,
        "what": f"{recipe.network}, {recipe.activation}",
        "data": recipe.data,
        "recipe": str(recipe),
        "why": recipe.why,
        "parameters": sum(parameter.numel() for parameter in runs[0].network.parameters()),
        "seeds": seeds,
        "test": spread(tests),
        "validation": spread(validation),
        "seconds": spread(seconds),
        "machine": machine(PACKAGES),
    }


def searched(search: Search, home: Path) -> dict[str, Any]:
    """Return the mean validation accuracy and loss of every contender of a search; no test row is looked at."""
    rows = []
    for recipe in search.contenders():
        runs = [trained(recipe, seed, home) for seed in range(search.seeds)]
        rows.append(
            {
                "optimizer": recipe.options.optimizer,
                "lr": recipe.options.learning_rate,
                "batch_size": recipe.options.batch_size,
                "weight_decay": recipe.options.decay,
                "averaging": recipe.options.averaging,
                "validation": spread([run.history["validation_accuracy"][-1] for run in runs]),
                "validation_loss": spread([run.history["validation_loss"][-1] for run in runs]),
                "seconds": spread([sum(run.history["seconds"]) for run in runs]),
            }
        )
    shared = search.recipe
    kind = f"{shared.network}, {shared.activation}; {shared.options.epochs} epochs of {shared.options.schedule}"
    return {
        "name": shared.name,
        "what": ", ".join([kind, *shared.besides]),
        "seeds": search.seeds,
        "rows": rows,
    }


def trained(recipe: Recipe, seed: int, home: Path) -> Run:
    """Return the run of a recipe and a seed: as it was finished, or gone on with, or trained from the start."""
    folder, data = folder_of(recipe, seed, home), dataset(recipe.data, recipe.everything)
    if (folder / "run.json").exists() or any((folder / "checkpoints").glob("*.json")):
        return resume(folder, data)
    folder.parent.mkdir(parents=True, exist_ok=True)
    network = Network(recipe.network, recipe.activation, recipe.dropout, seed=seed)
    run = fit(network, data, recipe.options.changed(seed=seed), out=folder, progress=True)
    shown = "" if recipe.everything else f"validation {run.history['validation_accuracy'][-1]:.2%}, "
    print(f"{recipe.key}, seed {seed}: {shown}{sum(run.history['seconds']):.0f} s", flush=True)
    return run


def judged(run: Run, folder: Path, recipe: Recipe) -> float:
    """Return the accuracy on the test rows, which is kept with the run and never taken again."""
    kept = run.metrics.get("test")
    if kept is None:
        report = evaluate(run, dataset(recipe.data).test)
        kept = run.with_metrics(folder, {"test": report.to_json()}).metrics["test"]
    return float(kept["accuracy"])


def folder_of(recipe: Recipe, seed: int, home: Path) -> Path:
    """Return where the run of a recipe and a seed is kept."""
    return home / recipe.key / f"seed-{seed}"


@cache
def dataset(name: str, everything: bool = False) -> Dataset:
    """Return a data set by name, read once; with ``everything`` its validation rows are training rows."""
    data = load(name)
    if not everything:
        return data
    inputs, labels = (torch.cat(parts) for parts in zip(data.train, data.validation, strict=True))
    return replace(data, train=Split(inputs, labels), validation=Split(inputs[:0], labels[:0]))


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean and deviation over the seeds, and the least and the most; one seed has no deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "deviation": deviation, "min": min(values), "max": max(values)}


def renewed(part: str, found: Sequence[dict[str, Any]]) -> None:
    """Write the record, with what it held before of other rungs and searches, and the table made from it."""
    from benchmarks import tables

    path = RECORDS / f"{RECORD}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rungs": [], "searches": []}
    rows = {row["name"]: row for row in [*before[part], *found]}
    order = [recipe.name for recipe in RUNGS] + [search.recipe.name for search in SEARCHES]
    before[part] = sorted(
        (row for row in rows.values() if row["name"] in order), key=lambda row: order.index(row["name"])
    )
    write_record(RECORD, {"machine": machine(PACKAGES), "rungs": before["rungs"], "searches": before["searches"]})
    tables.renew()
    print(tables.TABLES[RECORD](before), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
