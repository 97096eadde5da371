"""What the older lesson takes from torchvision, for where torchvision is not installed.

Its data sets, read by :func:`sumtoone.load`, and its three transforms; no more of torchvision than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sumtoone.errors import ShapeError

Transform = Callable[[Any], Any]


class MNIST(torch.utils.data.Dataset[tuple[Any, int]]):
    """The pictures of a named data set one by one, each with the number of its class.

    Shape: ``data`` (N, 28, 28), uint8; ``targets`` (N,). Rows kept for validation count as training rows here.

    Parameters
    ----------
    root, download
        As torchvision takes them. The files are searched where ``load`` searches, and fetched if they are not there.
    train
        The training rows, or else the test rows.
    transform, target_transform
        What becomes of a picture (of PIL) and of a class.

    Raises
    ------
    DataError, UnavailableError
        If the files are not here and cannot be fetched, as ``load`` says.
    """

    name = "mnist"

    def __init__(
        self,
        root: object = None,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        from sumtoone.data import load

        data = load(self.name)
        parts = [data.train, data.validation] if train else [data.test]
        self.data = torch.cat([part.inputs for part in parts]).view(-1, 28, 28)
        self.targets = torch.cat([part.labels for part in parts])
        self.classes = list(data.classes)
        self.train, self.transform, self.target_transform = train, transform, target_transform

    def __getitem__(self, place: int) -> tuple[Any, int]:
        picture: Any = Image.fromarray(self.data[place].numpy())
        target: Any = int(self.targets[place])
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target

    def __len__(self) -> int:
        return len(self.targets)


class FashionMNIST(MNIST):
    """The same of Fashion-MNIST."""

    name = "fashion-mnist"


class Compose:
    """Transforms, one after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = transforms

    def __call__(self, picture: Any) -> Any:
        """Return what they make of a picture."""
        for transform in self.transforms:
            picture = transform(picture)
        return picture


class ToTensor:
    """Bytes from 0 to 255 become float32 from 0 to 1.

    >>> ToTensor()(Image.new("L", (28, 28), 255)).shape
    torch.Size([1, 28, 28])
    """

    def __call__(self, picture: Any) -> Tensor:
        """Return a picture (H, W) or (H, W, C) of PIL or NumPy as a tensor (C, H, W)."""
        pixels = torch.from_numpy(np.array(picture))
        pixels = pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
        return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


class Normalize:
    """``(x - mean) / std`` in each channel.

    Equal values for three channels are taken for one of a grey picture too, as in the lesson's first version.

    >>> Normalize((0.5,), (0.5,))(torch.tensor([[[0.0, 1.0]]]))
    tensor([[[-1.,  1.]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = mean, std

    def __call__(self, picture: Tensor) -> Tensor:
        """Return a picture (C, H, W), normalised.

        Raises
        ------
        ShapeError
            If there are other channels than values.
        """
        mean, std = (self._of_channels(values, len(picture)) for values in (self.mean, self.std))
        return (picture - mean) / std

    def _of_channels(self, values: Sequence[float], channels: int) -> Tensor:
        chosen = list(values)[:1] if len(set(values)) == 1 else list(values)
        if len(chosen) not in (1, channels):
            raise ShapeError("normalize-channels", given=len(chosen), channels=channels)
        return torch.tensor(chosen).view(-1, 1, 1)


def modules() -> dict[str, ModuleType]:
    """Return ``torchvision``, ``torchvision.datasets`` and ``torchvision.transforms`` with what the lesson needs."""
    held: dict[str, tuple[type, ...]] = {
        "datasets": (MNIST, FashionMNIST),
        "transforms": (Compose, ToTensor, Normalize),
    }
    whole = _module("torchvision")
    made = {"torchvision": whole}
    for name, kinds in held.items():
        part = made[f"torchvision.{name}"] = _module(f"torchvision.{name}")
        vars(part).update({kind.__name__: kind for kind in kinds})
        setattr(whole, name, part)
    return made


def _module(name: str) -> ModuleType:
    module = ModuleType(name, __doc__)
    # Whoever asks whether there is a torchvision looks here.
    module.__spec__ = ModuleSpec(name, None, origin=__name__)
    return module
