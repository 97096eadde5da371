"""Runs a module once and writes down every operation: what it was called, what it took, where it stands.

What is seen are PyTorch's own operators (aten), so that ``F.relu(x)``, ``nn.ReLU()(x)`` and ``x.relu()`` leave the
same trace, and everything that does not depend on the input is simply there, as its value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from sumtoone.adoption.failing import reason
from sumtoone.errors import SumtooneError, UnavailableError, UsageError
from sumtoone.language import text
from sumtoone.private import DISPATCH_MODE, DispatchMode

_TORCH = str(Path(torch.__file__).parent)
_LAYER_FILES = ("linear", "activation", "container", "flatten", "dropout", "module")
_REFUSED_LAYERS = ("Bilinear", "MultiheadAttention", "PReLU", "RReLU", "Dropout1d", "Dropout2d", "Dropout3d")


@dataclass(frozen=True)
class Reference:
    """Stands for a tensor in the recorded arguments: its number in ``Recording.tensors``."""

    number: int


@dataclass(frozen=True)
class Step:
    """One operator: ``kind`` is its aten name, ``name`` what the person called, ``where`` the layer and line."""

    function: Callable[..., Any]
    kind: str
    arguments: Any
    keywords: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str
    where: str


@dataclass(frozen=True)
class Drop:
    """A dropout that evaluation leaves out: the value it stands at, and its share."""

    number: int
    share: float


def replace_tensors(item: Any, kind: type, replace: Callable[[Any], Any]) -> Any:
    """Return nested lists, tuples and dictionaries with everything of ``kind`` replaced."""
    if isinstance(item, kind):
        return replace(item)
    if isinstance(item, list | tuple):
        return tuple(replace_tensors(part, kind, replace) for part in item)
    if isinstance(item, dict):
        return {key: replace_tensors(part, kind, replace) for key, part in item.items()}
    return item


class Numbered(DispatchMode or object):  # type: ignore[misc]
    """Sees every operation while it is entered, and gives each value that a tensor holds a number."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []  # kept alive, so that an id names one tensor
        self.dependent: set[int] = set()
        self._numbers: dict[int, int] = {}

    def follow(self, tensor: Tensor) -> None:
        """Count what is computed from a tensor as dependent."""
        self.dependent.add(self.add(tensor))

    def number(self, tensor: Tensor) -> int:
        """Return the number of the value that a tensor holds now."""
        return self._numbers[id(tensor)] if id(tensor) in self._numbers else self.add(tensor)

    def add(self, tensor: Tensor) -> int:
        """Give the value of a tensor a new number: an operator that works in place makes a new value of an old one."""
        self.tensors.append(tensor)
        self._numbers[id(tensor)] = len(self.tensors) - 1
        return len(self.tensors) - 1


class Recording(Numbered):
    """What happened between the input, which is number 0, and the output."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self.follow(inputs)
        self.steps: list[Step] = []
        self.drops: list[Drop] = []
        self.random: set[int] = set()
        self.called = ""
        self.running: list[nn.Module] = []
        self._paths = {id(part): path for path, part in module.named_modules()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs: list[int] = []

        def refer(tensor: Tensor) -> Reference:
            inputs.append(self.number(tensor))
            return Reference(inputs[-1])

        arguments = replace_tensors(args, Tensor, refer)
        keywords = replace_tensors(kwargs, Tensor, refer)
        kind, name, where = func.overloadpacket.__name__, self.called, self.where()
        if kind == "_local_scalar_dense" and self.dependent.intersection(inputs):
            raise UsageError("adopt-values", where=where)
        result = func(*args, **kwargs)
        outputs: list[int] = []
        replace_tensors(result, Tensor, lambda tensor: outputs.append(self.add(tensor)))
        if self.dependent.intersection(inputs):
            self.dependent.update(outputs)
        if torch.Tag.nondeterministic_seeded in func.tags or self.random.intersection(inputs):
            self.random.update(outputs)
        self.steps.append(
            Step(func, kind, arguments, keywords, tuple(inputs), tuple(outputs), name or kind.strip("_"), where)
        )
        return result

    def where(self) -> str:
        """Return the layer that is running and the person's line of source, as far as they can be told."""
        parts = []
        if self.running and (path := self._paths.get(id(self.running[-1]))):
            parts.append(f"{path} ({type(self.running[-1]).__name__})")
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code is not record.__code__:
            file = frame.f_code.co_filename
            if not file.startswith((_TORCH, "<")) and file != __file__:
                parts.append(f"{Path(file).name}:{frame.f_lineno}")
                break
            frame = frame.f_back
        return ", ".join(parts) or type(self.running[0]).__name__

    def enter(self, part: nn.Module, _: Any) -> None:
        """Note that a layer starts; refuse the kinds that no dense network has."""
        self.running.append(part)
        base = next(kind for kind in type(part).__mro__ if kind.__module__.startswith("torch.nn"))
        if base.__module__.rpartition(".")[2] not in _LAYER_FILES or base.__name__ in _REFUSED_LAYERS:
            raise UsageError("adopt-operation", name=base.__name__, where=self.where())

    def leave(self, *_: Any) -> None:
        """Note that a layer has ended."""
        self.running.pop()


class _Names(TorchFunctionMode):
    """Tells the recording which function the person called, and of dropouts that leave no trace in evaluation."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self.recording = recording

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        if "dropout" in name:
            self._drop(name, args, kwargs)
        before, self.recording.called = self.recording.called, name
        try:
            return func(*args, **kwargs)
        finally:
            self.recording.called = before

    def _drop(self, name: str, args: Any, kwargs: Any) -> None:
        given = dict(zip(("input", "p", "training"), args, strict=False)) | kwargs
        share, training = given.get("p", 0.5), given.get("training", given.get("train", True))
        if not share:
            return
        if training:
            raise UsageError("adopt-random", name=name, where=self.recording.where())
        if name != "dropout":
            raise UsageError("adopt-operation", name=name, where=self.recording.where())
        self.recording.drops.append(Drop(self.recording.number(given["input"]), float(share)))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put every part into evaluation mode inside the block, and each back to its own; leave the random state alone."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def record(module: nn.Module, inputs: Tensor) -> tuple[Recording, Any]:
    """Run the module in evaluation mode and return the recording and what the module returned.

    Raises
    ------
    UsageError
        If the module raises, or does what cannot be adopted whatever comes after it.
    UnavailableError
        If this PyTorch does not show the operations.
    """
    if DispatchMode is None:
        raise UnavailableError("adopt-pytorch", name=DISPATCH_MODE, given=f"PyTorch {torch.__version__}")
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(evaluating(module))
        # Not a leaf, so that the module may change it in place; with a gradient, so that custom functions show.
        taken = inputs.clone().requires_grad_().clone()
        recording = Recording(module, taken)
        for hook in (
            register_module_forward_pre_hook(recording.enter),
            register_module_forward_hook(recording.leave, always_call=True),
        ):
            stack.callback(hook.remove)
        stack.enter_context(_Names(recording))
        stack.enter_context(recording)
        try:
            return recording, module(taken)
        except SumtooneError:
            raise
        except Exception as error:
            shape = tuple(inputs.shape)
            why, hint = reason(error, text("adoption.look", shape=shape))
            raise UsageError("adopt-raises", given=why, name=type(module).__name__, shape=shape, hint=hint) from error
