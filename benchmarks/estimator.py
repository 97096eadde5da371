"""``Classifier`` against scikit-learn's ``MLPClassifier``: to fit, and to answer with probabilities.

Equal settings: the same arrays of float32, standardised before; 128 and 64 hidden values, ReLU, batches of 200, Adam at
a constant 0.001, the same number of epochs, no early stopping. scikit-learn's ``alpha`` adds alpha / batch of each
weight to the gradient of a batch, which is ``weight_decay`` here. Both begin with the start weights of ``Network``:
scikit-learn's own are Glorot's for every layer, half as large where columns are few, and end elsewhere.

Inside the timer: ``fit`` from the arrays on; ``predict_proba``, as often as a thousand times, of the same weights.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks import inference
from benchmarks.material import SYNTHETIC, accuracy, dataset, floats, rows_of, start_weights
from benchmarks.protocol import comparison, counts_of_threads, disagreeing, entries, machine
from benchmarks.workers import Session, Task, in_turns

OURS, THEIRS = "sumtoone, Classifier", "scikit-learn, MLPClassifier"
ROWS = (1, 10, 100, 1_000, 10_000)
ALPHA, LR = 1e-4, 0.001
# Test accuracy, as a share: one recipe, the rows in another order.
TOLERANCE = 0.005
HIDDEN = (128, 64)


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: seconds to fit two data sets, and of one call for each number of rows."""
    threads, tolerance = counts_of_threads(quick), 10 * TOLERANCE if quick else TOLERANCE
    data = "digits" if quick else "mnist"
    tables = (("784-128-64-10", data, rows_of(data)), ("50-128-64-5", SYNTHETIC, 2_000 if quick else 100_000))
    fits = []
    for network, name, rows in tables:
        tasks = [Task(network, name, rows, 200, threads=count, epochs=5) for count in threads]
        results = in_turns(entries(FIT, tasks), rounds)
        what = {"data": name, "rows": rows, "network": network, "missing": results.missing}
        fits.append({**what, **comparison(results, OURS, list(FIT))})
    sizes = []
    for rows in ROWS[:1] if quick else ROWS:
        results = in_turns(entries(ANSWER, [Task(rows=rows, threads=count) for count in threads]), rounds)
        sizes.append({"rows": rows, "missing": results.missing, **comparison(results, OURS, list(ANSWER))})
    return {
        "what": "5 epochs of Adam, batches of 200, float32; predict_proba of 784-128-64-10",
        "machine": machine(["sumtoone", "torch", "scikit-learn", "numpy"]),
        "rounds": rounds,
        "fits": fits,
        "sizes": sizes,
        "disagreeing": [
            *(f"{name}, {fit['data']}" for fit in fits for name in disagreeing(fit, tolerance)),
            *inference.far_off(sizes),
        ],
    }  # fmt: skip


def fit_ours(task: Task) -> Session:
    """``Classifier.fit``, a new one each round."""
    from sumtoone import Classifier

    torch.set_num_threads(task.threads)

    def make(seed: int) -> Any:
        return Classifier(
            HIDDEN, epochs=task.epochs, batch_size=task.batch_size, optimizer="adam", lr=LR, schedule="constant",
            weight_decay=ALPHA / task.batch_size, standardize=False, random_state=seed,
        )  # fmt: skip

    return _fitting(task, make)


def fit_theirs(task: Task) -> Session:
    """``MLPClassifier.fit``, a new one each round."""
    from sklearn.neural_network import MLPClassifier

    def make(seed: int) -> Any:
        classifier = MLPClassifier(
            HIDDEN, max_iter=task.epochs, n_iter_no_change=task.epochs + 1, batch_size=task.batch_size, solver="adam",
            learning_rate_init=LR, alpha=ALPHA, random_state=seed, warm_start=True,
        )  # fmt: skip
        return inference.with_weights(classifier, start_weights(task, seed))

    return _fitting(task, make)


def _fitting(task: Task, make: Callable[[int], Any]) -> Session:
    from sklearn.exceptions import ConvergenceWarning

    inputs, targets, test, test_labels = floats(dataset(task))
    x, y, fitted = inputs.numpy(), targets.numpy(), None

    def run(turn: int) -> float:
        nonlocal fitted
        fitted = make(turn)
        with warnings.catch_warnings():
            # As many epochs as were asked for, and no more.
            warnings.simplefilter("ignore", ConvergenceWarning)
            started = time.perf_counter()
            fitted.fit(x, y)
            return time.perf_counter() - started

    def judge() -> float:
        assert fitted is not None
        return accuracy(torch.from_numpy(np.asarray(fitted.predict_proba(test.numpy()))), test_labels)

    return Session(run, judge)


def answer_ours(task: Task) -> Session:
    """``Classifier.predict_proba`` with the weights that all have."""
    from sumtoone import Classifier

    torch.set_num_threads(task.threads)
    x_ND, labels = inference.rows_for(task).numpy(), np.arange(10)
    classifier = Classifier(HIDDEN, epochs=1, standardize=False, random_state=0).fit(np.zeros((10, 784)), labels)
    with torch.no_grad():
        mine = list(classifier.run_.network.parameters())
        for place, (weight, bias) in enumerate(start_weights(task)):
            mine[2 * place].copy_(weight)
            mine[2 * place + 1].copy_(bias)
    return inference.session(task, lambda: lambda: classifier.predict_proba(x_ND))


FIT = {OURS: fit_ours, THEIRS: fit_theirs}
ANSWER = {OURS: answer_ours, THEIRS: inference.scikit_learn}
