"""The same training in other libraries, each as its own documentation would have it for speed on a CPU.

Inside the timer: one epoch over all rows in a new random order. Outside: reading the data, turning it into the
library's arrays of floats, building the network. Compiling, where a library does it, is a matter of the first round.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from benchmarks.loops import torch_network
from benchmarks.material import MOMENTUM, accuracy, dataset, floats, learning_rate, start_weights
from benchmarks.workers import Session, Task


def _arrays(task: Task) -> tuple[Any, Any, Any, torch.Tensor]:
    x_ND, y_N, x_test, y_test = floats(dataset(task))
    return x_ND.numpy(), y_N.to(torch.int32).numpy(), x_test.numpy(), y_test


def _use_cores(threads: int) -> None:
    """Keep this process to so many cores: XLA has no other setting for it. To be called before JAX is imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def jax_scan(task: Task) -> Session:
    """A whole epoch in one ``jit``: a ``scan`` over the full batches, then the short one; buffers are donated."""
    _use_cores(task.threads)
    import jax
    import jax.numpy as jnp

    x, y, x_test, y_test = _arrays(task)
    x, y = jax.device_put(x), jax.device_put(y)
    lr, dtype = learning_rate(task), jnp.bfloat16 if task.precision == "bfloat16" else jnp.float32
    weights = [(jnp.array(weight.T.numpy()), jnp.array(bias.numpy())) for weight, bias in start_weights(task)]
    velocity = jax.tree.map(jnp.zeros_like, weights)

    def forward(weights: Any, values: Any) -> Any:
        for place, (weight, bias) in enumerate(weights):
            values = values.astype(dtype) @ weight.astype(dtype) + bias.astype(dtype)
            if place + 1 < len(weights):
                values = getattr(jax.nn, task.activation)(values)
        return values.astype(jnp.float32)

    def loss_of(weights: Any, x_BD: Any, y_B: Any) -> Any:
        logs = jax.nn.log_softmax(forward(weights, x_BD))
        return -jnp.take_along_axis(logs, y_B[:, None], axis=1).mean()

    def epoch(state: Any, x_ND: Any, y_N: Any, order_SB: Any, rest_B: Any) -> Any:
        def step(state: Any, rows_B: Any) -> Any:
            weights, velocity = state
            gradient = jax.grad(loss_of)(weights, x_ND[rows_B], y_N[rows_B])
            velocity = jax.tree.map(lambda old, new: MOMENTUM * old + new, velocity, gradient)
            return (jax.tree.map(lambda weight, move: weight - lr * move, weights, velocity), velocity), None

        state, _ = jax.lax.scan(step, state, order_SB)
        return step(state, rest_B)[0] if len(rest_B) else state

    compiled = jax.jit(epoch, donate_argnums=0)
    state, random = (weights, velocity), np.random.default_rng(0)
    full = len(y) // task.batch_size * task.batch_size

    def run(turn: int) -> None:
        nonlocal state
        order = random.permutation(len(y)).astype(np.int32)
        state = compiled(state, x, y, order[:full].reshape(-1, task.batch_size), order[full:])
        jax.block_until_ready(state)

    return Session(run, lambda: accuracy(torch.tensor(np.asarray(forward(state[0], x_test))), y_test))


def jax_own_reductions(task: Task) -> Session:
    """The same with XLA's own reductions in place of YNNPACK's, which are the default since JAX 0.11."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_experimental_ynn_fusion_type=-reduce"
    return jax_scan(task)


def keras_on_jax(task: Task) -> Session:
    """``model.fit`` of Keras 3 on JAX, 32 batches in each compiled call."""
    _use_cores(task.threads)
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    x, y, x_test, y_test = _arrays(task)
    start = start_weights(task)
    dense = [keras.layers.Dense(weight.shape[0], activation=task.activation) for weight, _ in start[:-1]]
    model = keras.Sequential([keras.Input((x.shape[1],)), *dense, keras.layers.Dense(start[-1][0].shape[0])])
    model.set_weights([array for weight, bias in start for array in (weight.T.numpy(), bias.numpy())])
    model.compile(
        keras.optimizers.SGD(learning_rate(task), MOMENTUM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=32,
    )

    def run(turn: int) -> None:
        model.fit(x, y, batch_size=task.batch_size, epochs=1, shuffle=True, verbose=0)

    return Session(run, lambda: accuracy(torch.tensor(model.predict(x_test, 1000, verbose=0)), y_test))


def skorch(task: Task) -> Session:
    """``partial_fit`` of skorch without validation and callbacks, with PyTorch's fused SGD."""
    from skorch import NeuralNetClassifier

    torch.set_num_threads(task.threads)
    x_ND, y_N, x_test, y_test = floats(dataset(task))
    classifier = NeuralNetClassifier(
        torch_network(task),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=MOMENTUM,
        optimizer__fused=True,
        lr=learning_rate(task),
        batch_size=task.batch_size,
        max_epochs=1,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks="disable",
        verbose=0,
    ).initialize()
    return Session(
        lambda turn: classifier.partial_fit(x_ND, y_N) and None,
        lambda: accuracy(torch.tensor(classifier.predict_proba(x_test)), y_test),
    )


def scikit_learn(task: Task) -> Session:
    """``MLPClassifier.partial_fit``, which is one epoch in shuffled batches."""
    from sklearn.neural_network import MLPClassifier

    x, y, x_test, y_test = _arrays(task)
    start = start_weights(task)
    classifier = MLPClassifier(
        [weight.shape[0] for weight, _ in start[:-1]],
        task.activation,
        solver="sgd",
        alpha=0.0,
        batch_size=task.batch_size,
        learning_rate_init=learning_rate(task),
        momentum=MOMENTUM,
        nesterovs_momentum=False,
    )
    classifier.partial_fit(x[: task.batch_size], y[: task.batch_size], classes=np.unique(y))
    for place, (weight, bias) in enumerate(start):  # in place: the optimizer holds these very arrays
        classifier.coefs_[place][...] = weight.T.numpy()
        classifier.intercepts_[place][...] = bias.numpy()

    def run(turn: int) -> None:
        classifier.partial_fit(x, y)

    return Session(run, lambda: accuracy(torch.tensor(classifier.predict_proba(x_test)), y_test))
