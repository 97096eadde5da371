"""The lesson's notebook as a learner's code finds it, without network, display or files.

:func:`install` changes the process it is called in for good: it belongs into one that is thrown away.
"""

from __future__ import annotations

import collections
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sumtoone.checking.inert import Finder, Inert, InertModule, Progress, enter, trange

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

# What is never really imported: it plots, downloads, shows, or is not installed with PyTorch.
_ROOTS = (
    *("helper", "sumtoone.helper", "sumtoone.plots", "matplotlib", "mpl_toolkits", "pylab", "seaborn", "plotly"),
    *("torchvision", "tqdm", "six", "IPython", "google.colab", "ipywidgets", "torchsummary", "torchviz", "cv2"),
)
_CLASSES = "0123456789"
_FASHION = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle Boot"]


def install(images: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return the names that the lesson's notebook has, and put stand-ins in the place of modules that act.

    Every data set that can be loaded by name holds these images, and gives them in their order, shuffled or not: the
    first batch of 64 is ``images``. What is computed from a batch is computed from ``images`` itself.

    Shape: ``images`` (N, 1, 28, 28), ``labels`` (N,); tensors or arrays.
    """
    import numpy as np
    import torch
    from torch import nn, optim
    from torch.nn import functional as F
    from torch.utils.data import DataLoader

    images, labels = (torch.from_numpy(x) if isinstance(x, np.ndarray) else x for x in (images, labels))
    modules = _modules(images, labels)
    # The rest of google, such as protobuf, may really be there.
    roots = _ROOTS if "google" in sys.modules else (*_ROOTS, "google")
    enter(Finder(roots, InertModule), modules, _ROOTS)
    datasets, transforms = modules["torchvision.datasets"], modules["torchvision.transforms"]
    training, test = datasets.MNIST(train=True), datasets.MNIST(train=False)
    loader = DataLoader(training, batch_size=64, shuffle=True)
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "optim": optim, "np": np, "math": math}
    names |= {"time": time, "random": random, "OrderedDict": collections.OrderedDict}
    names |= {"images": images, "labels": labels, "datasets": datasets, "transforms": transforms}
    names |= {"helper": modules["helper"], "plt": modules["matplotlib.pyplot"], "torchvision": modules["torchvision"]}
    names |= {"trainset": training, "testset": test, "trainloader": loader, "dataiter": iter(loader)}
    names |= {"testloader": DataLoader(test, batch_size=64), "transform": transforms.Compose([])}
    return names | {"get_ipython": Inert(), "display": _nothing}


def _nothing(*_: object, **__: object) -> None: ...


def _given(value: Any = None, *_: object, **__: object) -> Any:
    """Return what was given: images are as the lesson's transforms make them already."""
    return value


def _grid(pictures: Any, *_: object, **__: object) -> Any:
    return pictures[0] if getattr(pictures, "ndim", 0) == 4 else pictures


def _transform(*_: object, **__: object) -> Any:
    return _given


def _data_sets(images: Tensor, labels: Tensor) -> type:
    kept, shape = images.clone(), images.shape

    class Images:
        """A data set of the given images, in their order, whatever index is asked for."""

        classes: Sequence[str] = _CLASSES

        def __init__(
            self, root: object = None, train: bool = True, transform: object = None, *_: object, **__: object
        ) -> None:
            self.root, self.train, self.transform, self.target_transform = root, train, transform, None
            self.targets = self.train_labels = self.test_labels = labels
            self._next = 0

        @property
        def data(self) -> Tensor:
            """The pictures as bytes (N, 28, 28)."""
            import torch

            return ((kept.reshape(-1, 28, 28) + 1) * 127.5).clamp(0, 255).to(torch.uint8)

        train_data = test_data = data

        @property
        def class_to_idx(self) -> dict[str, int]:
            """The number of each class."""
            return {name: number for number, name in enumerate(self.classes)}

        def __len__(self) -> int:
            return len(kept)

        def __getitem__(self, _: object) -> tuple[Tensor, int]:
            place = self._next % len(kept)
            self._next = place + 1
            # The learner's own tensor, so that what depends on it can be seen; unless it was reshaped in place.
            source = images if images.shape == shape else kept
            return source[place], int(labels[place])

        def __iter__(self) -> Iterator[tuple[Tensor, int]]:
            return (self[place] for place in range(len(self)))

    class Fashion(Images):
        classes = _FASHION

    names = ("MNIST", "KMNIST", "QMNIST", "EMNIST", "USPS", "SVHN", "ImageFolder", "CIFAR10", "CIFAR100", "FakeData")
    made = {name: type(name, (Images,), {}) for name in names} | {"FashionMNIST": type("FashionMNIST", (Fashion,), {})}
    return type("DataSets", (), made)


def _modules(images: Tensor, labels: Tensor) -> dict[str, ModuleType]:
    data_sets = {name: value for name, value in vars(_data_sets(images, labels)).items() if isinstance(value, type)}
    shown = ("imshow", "view_classify", "view_recon", "test_network", "load_data", "activation")
    helper = dict.fromkeys(shown, _nothing)
    steps = [
        *("Compose", "ToTensor", "Normalize", "Resize", "CenterCrop", "RandomRotation", "RandomResizedCrop", "Lambda"),
        *("RandomHorizontalFlip", "RandomCrop", "Grayscale", "ToPILImage", "Pad"),
    ]
    bars = {"tqdm": Progress, "trange": trange, "tqdm_notebook": Progress}
    named: dict[str, dict[str, Any]] = {
        "helper": helper,
        "sumtoone.helper": helper,
        "matplotlib": {},
        "matplotlib.pyplot": {},
        "torchvision": {},
        "torchvision.datasets": data_sets,
        "torchvision.transforms": dict.fromkeys(steps, _transform),
        "torchvision.utils": {"make_grid": _grid, "save_image": _nothing},
        **dict.fromkeys(("tqdm", "tqdm.auto", "tqdm.notebook", "tqdm.std"), bars),
        "six": {"PY3": True, "PY2": False},
        "six.moves": {"range": range, "zip": zip, "map": map},
        "IPython": {"get_ipython": Inert()},
        "IPython.display": {"display": _nothing, "clear_output": _nothing},
    }
    return {name: InertModule(name, names) for name, names in named.items()}
