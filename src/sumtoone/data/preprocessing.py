"""The one way from raw inputs to what a network sees, as a value stored with the run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sumtoone.errors import DtypeError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Preprocessing:
    """An affine step per feature, ``(x / divisor - mean) / std``, fitted on training data alone.

    Parameters
    ----------
    features
        D, the number of values in one row.
    divisor
        255 for uint8 pixels, 1 for rows of numbers.
    mean, std
        One number for all features, or D of them.

    Examples
    --------
    The lesson's transform ``Normalize((0.5,), (0.5,))`` takes pixels to [-1, 1]:

    >>> import torch
    >>> lesson = Preprocessing.lesson(features=4)
    >>> lesson(torch.tensor([[0, 51, 102, 255]], dtype=torch.uint8))
    tensor([[-1.0000, -0.6000, -0.2000,  1.0000]])
    """

    features: int
    divisor: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for values in (self.mean, self.std):
            assert len(values) in (1, self.features), "one number, or one for each feature"
        assert all(value > 0 for value in self.std), "a standard deviation is positive"

    @classmethod
    def lesson(cls, features: int = 784) -> Preprocessing:
        """Pixels in [-1, 1], as ``Normalize((0.5,), (0.5,))`` after ``ToTensor()`` gives them."""
        return cls(features, divisor=255.0, mean=(0.5,), std=(0.5,))

    @classmethod
    def fitted(cls, inputs: Tensor) -> Preprocessing:
        """Return the step that gives these training rows mean 0 and standard deviation 1.

        uint8 pixels share one mean and one deviation, so that a picture stays a picture; rows of
        numbers get one for each feature. A feature that never changes keeps deviation 1.

        Shape: ``inputs`` (N, D), uint8 or float; N may be 0.
        """
        features = inputs.shape[1]
        if inputs.dtype == torch.uint8:
            # From the 256 counts: exact, and no float copy of the data set.
            counts = np.bincount(inputs.numpy().ravel(), minlength=256).astype(np.float64)
            levels = np.arange(256) / 255.0
            total = max(counts.sum(), 1.0)
            mean = float((counts * levels).sum() / total)
            deviation = float(np.sqrt((counts * (levels - mean) ** 2).sum() / total))
            return cls(features, 255.0, (mean,), (deviation if np.count_nonzero(counts) > 1 else 1.0,))
        if not len(inputs):
            return cls(features)
        rows = inputs.numpy()
        means = rows.mean(axis=0, dtype=np.float64)
        deviations = rows.std(axis=0, dtype=np.float64)
        # Under this, a column is constant up to the rounding of its own values.
        still = deviations <= 1e-7 * np.maximum(np.abs(means), 1e-30)
        return cls(features, 1.0, tuple(means.tolist()), tuple(np.where(still, 1.0, deviations).tolist()))

    def __call__(self, inputs: Tensor | ArrayLike) -> Tensor:
        """Return float32 network input (N, D) from raw inputs with any leading batch shape.

        The last axes hold the D values: (D,), (N, D), (28, 28), (N, 28, 28) and (N, 1, 28, 28) all do for D = 784.

        Raises
        ------
        ShapeError
            If the number of values is no multiple of D.
        DtypeError
            If the inputs are not numbers.
        """
        x_ND = self.rows(inputs).to(torch.float32)
        scale, shift = self.scale_and_shift(x_ND.device)
        return x_ND.mul(scale).add_(shift)

    def rows(self, inputs: Tensor | ArrayLike) -> Tensor:
        """Return the raw values as rows (N, D), checked as :meth:`__call__` promises, nothing computed yet."""
        x = inputs if isinstance(inputs, Tensor) else self._as_tensor(inputs)
        if x.is_complex() or x.dtype == torch.bool:
            raise DtypeError("preprocessing-dtype", kind=str(x.dtype))
        if x.ndim == 2 and x.shape[1] == self.features:
            return x
        if not self._fits(tuple(x.shape)):
            raise ShapeError("preprocessing-shape", shape=tuple(x.shape), features=self.features)
        return x.reshape(-1, self.features)

    def scale_and_shift(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Return the same step as ``x * scale + shift``: two float32 tensors of shape (1,) or (D,)."""
        mean = torch.tensor(self.mean, dtype=torch.float64)
        std = torch.tensor(self.std, dtype=torch.float64)
        scale, shift = 1.0 / (self.divisor * std), -mean / std
        return scale.float().to(device), shift.float().to(device)

    @cached_property
    def step(self) -> tuple[Tensor, Tensor]:
        """:meth:`scale_and_shift` on the CPU, both of shape (D,), computed once: for reading only."""
        with torch.inference_mode(False):
            scale, shift = self.scale_and_shift()
            return scale.expand(self.features).contiguous(), shift.expand(self.features).contiguous()

    def _fits(self, shape: tuple[int, ...]) -> bool:
        """Whether some number of trailing axes holds exactly D values."""
        held = 1
        for length in reversed(shape):
            held *= length
            if held == self.features:
                return True
        return self.features == 1

    def _as_tensor(self, inputs: ArrayLike) -> Tensor:
        array = np.asarray(inputs)
        if array.dtype.kind not in "uif":
            raise DtypeError("preprocessing-dtype", kind=str(array.dtype))
        return torch.from_numpy(np.ascontiguousarray(array))

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``run.json``."""
        return {"features": self.features, "divisor": self.divisor, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Preprocessing:
        """Return the value that :meth:`to_json` wrote; ``ValueError`` where the document is none."""
        try:
            value = cls(
                int(document["features"]),
                float(document["divisor"]),
                tuple(map(float, document["mean"])),
                tuple(map(float, document["std"])),
            )
            if not (np.isfinite([value.divisor, *value.mean, *value.std]).all() and value.divisor > 0):
                raise ValueError("not finite")
        except (KeyError, TypeError, AssertionError) as error:
            raise ValueError(f"no preprocessing: {error}") from None
        return value
