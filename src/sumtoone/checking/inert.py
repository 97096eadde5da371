"""Modules that are there and do nothing: a learner's notebook plots, shows bars and asks for files without effect."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class Inert:
    """Takes every call, index, attribute and operator, and gives another one of its kind."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        # A library that asks for a protocol, such as NumPy for __array__, must not be answered.
        if name.startswith("__"):
            raise AttributeError(name)
        return _shaped.get(name, Inert())

    def __setattr__(self, name: str, value: object) -> None: ...

    def __call__(self, *values: Any, **options: object) -> Any:
        """Return another one; or, as a decorator, the function as it is."""
        plain = len(values) == 1 and not options and callable(values[0]) and not isinstance(values[0], Inert)
        return values[0] if plain else Inert()

    def __getitem__(self, place: object) -> Inert:
        return Inert()

    def __setitem__(self, place: object, value: object) -> None: ...

    def __iter__(self) -> Iterator[Inert]:
        return iter((Inert(),))

    def __enter__(self) -> Inert:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __mro_entries__(self, bases: object) -> tuple[()]:
        return ()

    def __operate(self, *_: object) -> Inert:
        return Inert()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __operate
    __neg__ = __pow__ = __mod__ = __or__ = __and__ = __floordiv__ = __matmul__ = __operate

    def __repr__(self) -> str:
        return "<nothing is shown here>"


def subplots(nrows: int = 1, ncols: int = 1, *_: object, squeeze: bool = True, **__: object) -> tuple[Inert, Any]:
    """Return a figure and axes in as many rows and columns as pyplot's function would."""
    import numpy as np

    axes = np.empty((max(1, min(int(nrows), 100)), max(1, min(int(ncols), 100))), dtype=object)
    for place in np.ndindex(*axes.shape):
        axes[place] = Inert()
    if not squeeze:
        return Inert(), axes
    return Inert(), axes.item() if axes.size == 1 else axes.squeeze()


def _hist(*_: object, **__: object) -> tuple[Inert, Inert, Inert]:
    return Inert(), Inert(), Inert()


class Progress:
    """A bar around an iterable, which it hands on."""

    def __init__(self, iterable: Any = (), *_: object, **__: object) -> None:
        self._iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self._iterable)

    def __len__(self) -> int:
        return len(self._iterable)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Inert()


def trange(*bounds: int, **_: object) -> Progress:
    """Return a bar around a range."""
    return Progress(range(*bounds))


# What a call must give so that it can be taken apart as the lesson does.
_shaped: dict[str, Any] = {"subplots": subplots, "hist": _hist}


class InertModule(ModuleType):
    """A module with every name; those it is given are its own."""

    def __init__(self, name: str, names: dict[str, Any] | None = None) -> None:
        super().__init__(name, "Stands here for a module that is not there.")
        self.__path__: list[str] = []
        self.__version__ = "0"
        self.__dict__.update(names or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _shaped.get(name, Inert())


class Finder(MetaPathFinder, Loader):
    """Finds every module below some roots, and makes it inert."""

    def __init__(self, roots: Sequence[str], make: Callable[[str], ModuleType]) -> None:
        self._roots, self._make = tuple(roots), make

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a module below a root; None leaves it to others."""
        inside = any(fullname == root or fullname.startswith(f"{root}.") for root in self._roots)
        return ModuleSpec(fullname, self, is_package=True) if inside else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        return self._make(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is."""


def enter(finder: Finder, modules: dict[str, ModuleType], roots: Sequence[str]) -> None:
    """Put modules in the place of those that this process has under the roots, for good."""
    # One test with all beginnings: there are thousands of modules, and every submission waits for this.
    below = tuple(f"{root}." for root in roots)
    for name in [name for name in sys.modules if name in roots or name.startswith(below)]:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    sys.modules.update(modules)
    for name, module in modules.items():
        # PyTorch asks for the spec of tqdm before it imports it.
        module.__spec__ = finder.find_spec(name)
        above, _, last = name.rpartition(".")
        home = modules.get(above) or sys.modules.get(above)
        if home is not None:
            setattr(home, last, module)
