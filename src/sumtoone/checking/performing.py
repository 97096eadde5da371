"""Does what the judge asks with a learner's code: runs it, calls its functions, builds its networks.

This is the only place where a learner's code is executed. It runs in a confined process of its own, or, for an object
that lives in this process already, right here. What it answers are plain values and arrays, and nothing of it is
believed: the judge recomputes.
"""

from __future__ import annotations

import ast
import linecache
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sumtoone.checking.interrupting import alarm
from sumtoone.checking.standins import install
from sumtoone.checking.trace import Trace, layers
from sumtoone.checking.values import (
    FILE,
    Reply,
    array_of,
    belongs,
    described,
    facts_of,
    line_of,
    parameters_of,
    placed,
    told,
)

_MOST_ERRORS = 40
# What gives other values in training mode.
_RANDOM = (
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm,
)  # fmt: skip


def prepare() -> None:
    """Import and warm what a learner's code may need, before nothing more can be imported."""
    import collections, copy, functools, itertools, random, statistics, time  # noqa: E401, F401, I001
    import torch.optim, torch.utils.data  # noqa: E401

    net = nn.Sequential(nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    performer = Performer()
    performer.bind("net", net)
    performer.answer({"do": "forward", "key": 0, "gradient": True}, [np.zeros((2, 784), np.float32)])
    nn.functional.cross_entropy(net(torch.zeros(2, 784)), torch.zeros(2, dtype=torch.long)).backward()
    optimizer.step()
    torch.randn(3, 3).exp().sum(dim=1, keepdim=True)


class _Names(TorchFunctionMode):
    """Notes what is called by name: the ways out of PyTorch, which no operator shows."""

    def __init__(self) -> None:
        super().__init__()
        self.called: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.called.add(str(getattr(func, "__name__", ""))[:80])
        return func(*args, **(kwargs or {}))


class Performer:
    """Answers requests; state is what the learner's code has defined so far.

    Where it is ``alone`` in a process, what it runs finds nothing of this package but the stand-in for its helper.
    """

    def __init__(self, *, alone: bool = False) -> None:
        self._alone = alone
        self.names: dict[str, Any] = {}
        self._values: list[Any] = []
        self._entries: list[dict[str, Any]] = []
        self._trace: Trace | None = None

    def answer(self, request: Mapping[str, Any], arrays: Sequence[Any]) -> Reply:
        """Return the reply to one request and its arrays."""
        try:
            reply: Reply = getattr(self, "_do_" + request["do"])(request, [np.asarray(array) for array in arrays])
            return reply
        except BaseException as error:
            return {"error": described(error)}, []
        finally:
            for stream in (sys.stdout, sys.stderr):
                _quietly(stream.flush)

    def bind(self, name: str, value: Any) -> dict[str, Any]:
        """Take up an object that is there already, and return what is said of it."""
        return self._enter(name, value, {"line": None, "cell": None})

    # --- running

    def _do_run(self, request: Mapping[str, Any], arrays: list[Any]) -> Reply:
        images, labels = (torch.from_numpy(array.copy()) for array in arrays)
        self.names.update(install(images, labels))
        if self._alone:
            _hide_this_package()
            # A learner's random numbers, too, are the same whenever the submission is judged again.
            torch.manual_seed(0)
            np.random.seed(0)  # noqa: NPY002 - the generator that learners use
            random.seed(0)
        self.names["__name__"] = "__main__"
        errors: list[dict[str, Any]] = []
        trace = Trace(belongs)
        trace.follow(images)
        with trace, _warnings() as seen:
            for cell in request["cells"]:
                errors += self._run_cell(cell, float(request.get("seconds", 0)))
        self._trace = trace
        return {"errors": errors[:_MOST_ERRORS], "defined": list(self._entries), "warnings": _texts(seen)}, []

    def _run_cell(self, cell: Mapping[str, Any], seconds: float) -> Iterator[dict[str, Any]]:
        number, file = cell["number"], f"{FILE}{cell['number'] or 0}"
        lines = [line + "\n" for line in cell["source"].split("\n")]
        # Tracebacks and inspect.getsource look there.
        linecache.cache[file] = (len(cell["source"]), None, lines, file)
        try:
            tree = ast.parse(cell["source"], file)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            yield {**described(error), "cell": number, "line": getattr(error, "lineno", None) or 1}
            return
        for statement in tree.body:
            before = {name: id(value) for name, value in self.names.items()}
            # The decorator's line is where a function begins.
            place = {"line": statement.lineno, "cell": number}
            try:
                code = compile(ast.Module([statement], []), file, "exec", dont_inherit=True)
                with alarm(seconds):
                    exec(code, self.names)  # noqa: S102 - what all of the confinement is for
            except BaseException as error:
                yield {**described(error), **place, "line": line_of(error, file) or statement.lineno}
            if isinstance(statement, ast.Import | ast.ImportFrom):
                continue
            for name, value in list(self.names.items()):
                if before.get(name) != id(value) and isinstance(name, str) and not name.startswith("__"):
                    self._enter(name, value, place)

    def _enter(self, name: str, value: Any, place: Mapping[str, Any]) -> dict[str, Any]:
        entry = {"key": len(self._values), "name": name[:80], **place, **facts_of(value)}
        if isinstance(value, nn.Module):
            classes = [
                known["key"] for known in self._entries if known["kind"] == "class" and self._is_class(known, value)
            ]
            entry["class"] = classes[-1] if classes else None
        if len(self._values) < 2_000:
            self._values.append(value)
            self._entries.append(entry)
        return entry

    def _is_class(self, entry: Mapping[str, Any], value: Any) -> bool:
        return self._values[entry["key"]] is type(value)

    # --- functions

    def _do_call(self, request: Mapping[str, Any], arrays: list[Any]) -> Reply:
        function = self._values[request["key"]]
        if isinstance(function, type):
            function = function()
        inputs = [torch.from_numpy(array.copy()) for array in arrays]
        asked = inputs
        if request.get("gradient"):
            # Not a leaf, so that a function may change it in place.
            asked = [inputs[0].requires_grad_().clone(), *inputs[1:]]
        values = [tensor.item() if tensor.ndim == 0 and request.get("numbers") else tensor for tensor in asked]
        trace, names = Trace(belongs), _Names()
        with _warnings() as seen, alarm(float(request.get("seconds", 0))):
            if request.get("observe"):
                for tensor in inputs:
                    trace.follow(tensor)
                with trace, names:
                    result = function(*values, **request.get("options", {}))
            else:
                result = function(*values, **request.get("options", {}))
        reply, sent = told(result)
        reply["warnings"] = _texts(seen)
        reply["operations"] = sorted({step.kind for step in trace.steps} | names.called)[:200]
        steps = trace.leading_to(result) if isinstance(result, Tensor) else []
        reply["last"] = placed(steps[-1].place) if steps else None
        now = [tensor.detach().numpy() for tensor in inputs]
        reply["changed"] = not all(np.array_equal(*pair, equal_nan=True) for pair in zip(now, arrays, strict=True))
        if request.get("gradient") and isinstance(result, Tensor) and result.requires_grad:
            (slope,) = torch.autograd.grad(result.pow(2).sum(), inputs[0], allow_unused=True)
            reply["gradient"] = slope is not None and bool(slope.isfinite().all()) and bool(slope.any())
        return reply, sent

    # --- networks

    def _do_build(self, request: Mapping[str, Any], _: list[Any]) -> Reply:
        """Make a network of a class, with the first of the given arguments that it takes."""
        found = self._values[request["key"]]
        if isinstance(found, type):
            with alarm(float(request.get("seconds", 0))):
                found = found(*_fitting(found, request.get("arguments", [])))
        self._values.append(found)
        reply: dict[str, Any] = {"key": len(self._values) - 1, "error": None, "module": isinstance(found, nn.Module)}
        if isinstance(found, nn.Module):
            reply["parameters"] = [[name, list(value.shape)] for name, value in _weights(found)][:400]
            reply["linear"] = [
                [name, part.in_features, part.out_features]
                for name, part in found.named_modules()
                if isinstance(part, nn.Linear)
            ][:100]
            reply["type"] = type(found).__name__
            reply["random"] = any(isinstance(part, _RANDOM) for part in found.modules())
        return reply, []

    def _do_forward(self, request: Mapping[str, Any], arrays: list[Any]) -> Reply:
        """Run a network on rows, with the judge's own weights where they are given."""
        network = self._values[request["key"]]
        rows, *given = (torch.from_numpy(array.copy()) for array in arrays)
        weights = _weights(network) if isinstance(network, nn.Module) else []
        if isinstance(network, nn.Module):
            network.train(bool(request.get("train")))
        with torch.no_grad():
            for (_, weight), value in zip(weights, given, strict=False):
                weight.copy_(value)
        trace = Trace(belongs)
        trace.follow(rows)
        with _warnings() as seen, alarm(float(request.get("seconds", 0))), trace:
            result = network(rows)
        reply, sent = told(result)
        reply["warnings"] = _texts(seen)
        if isinstance(result, Tensor):
            steps = trace.leading_to(result)
            reply |= self._layers(steps, sent)
            if request.get("gradient"):
                reply["unreached"] = _unreached(result, weights)
        return reply, sent

    def _do_trace(self, request: Mapping[str, Any], _: list[Any]) -> Reply:
        """Say how a tensor of the script was made."""
        value = self._values[request["key"]]
        reply, sent = told(value)
        if self._trace is not None and isinstance(value, Tensor):
            reply |= self._layers(self._trace.leading_to(value), sent)
        return reply, sent

    def _do_value(self, request: Mapping[str, Any], _: list[Any]) -> Reply:
        return told(self._values[request["key"]])

    def _layers(self, steps: list[Any], sent: list[Any]) -> dict[str, Any]:
        found = layers(steps)[:20]
        for layer in found:
            sent += [array_of(layer.inputs), array_of(layer.weight)]
            sent.append(np.zeros(0) if layer.bias is None else array_of(layer.bias))
        return {
            "layers": [placed(layer.place) for layer in found],
            "operations": [{"kind": step.kind, **placed(step.place)} for step in steps[:400]],
        }


def _fitting(kind: Any, choices: Sequence[Sequence[Any]]) -> Sequence[Any]:
    parameters = parameters_of(kind)
    required = sum(item.default is item.empty for item in parameters)
    return next((choice for choice in choices if len(choice) == required), [])


def _weights(network: nn.Module) -> list[tuple[str, Tensor]]:
    """Return the parameters, buffers and other tensors that a network keeps, by name."""
    found = list(network.named_parameters()) + list(network.named_buffers())
    for path, part in network.named_modules():
        found += [(f"{path}.{name}".strip("."), item) for name, item in vars(part).items() if isinstance(item, Tensor)]
    return [(name, value) for name, value in found if value.is_floating_point()]


def _unreached(result: Tensor, weights: list[tuple[str, Tensor]]) -> list[str]:
    asked = [(name, value) for name, value in weights if value.requires_grad]
    if not result.requires_grad or not asked:
        return [name for name, _ in weights]
    slopes = torch.autograd.grad(result.pow(2).sum(), [value for _, value in asked], allow_unused=True)
    reached = {name for (name, _), slope in zip(asked, slopes, strict=True) if slope is not None}
    return [name for name, _ in weights if name not in reached]


def _texts(seen: list[warnings.WarningMessage]) -> list[str]:
    return [str(item.message)[:300] for item in seen[:20]]


def _quietly(action: Callable[[], Any]) -> None:
    try:
        action()
    except BaseException:
        return


def _hide_this_package() -> None:
    """Leave of this package what a learner may import: no solution is copied, no function of ours is replaced."""
    helper, package = sys.modules["sumtoone.helper"], ModuleType("sumtoone")
    vars(package).update(__path__=[], helper=helper)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sumtoone"]:
        del sys.modules[name]
    sys.modules.update({"sumtoone": package, "sumtoone.helper": helper})


@contextmanager
def _warnings() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield seen
