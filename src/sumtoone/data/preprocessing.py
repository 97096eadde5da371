"""The one way from raw inputs to what a network sees, as a value stored with the run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sumtoone.data import conversion, limits, precision
from sumtoone.errors import DataError, DtypeError, ShapeError, UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# The divisor of pixels.
_LEVELS = 255.0
# So few values may be anything.
_FEW = 16
# Of the values of a data set, counted at a time.
_BLOCK = 2**20
# What PyTorch computes with as NumPy has it.
_SHARED = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


@dataclass(frozen=True)
class Preprocessing:
    """An affine step per feature, ``(x / divisor - mean) / std``, fitted on training data alone.

    Where a mean is far from zero for its deviation, all is computed in float64: times in seconds, large identifiers
    and coordinates keep their digits.

    Parameters
    ----------
    features
        D, the number of values in one row.
    divisor
        255 for uint8 pixels, 1 for rows of numbers.
    mean, std
        One number for all features, or D of them.

    Raises
    ------
    UsageError
        If these are no finite numbers, no such number of them, or ``divisor`` or ``std`` is not positive.

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
        if type(self.features) is not int or not 1 <= self.features <= limits.MOST_FEATURES:
            raise _error("features", f"1 … {limits.MOST_FEATURES}", _given(self.features))
        object.__setattr__(self, "divisor", _finite("divisor", self.divisor))
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not isinstance(values, tuple | list) or len(values) not in {1, self.features}:
                given = f"{len(values)}" if isinstance(values, tuple | list) else type(values).__name__
                raise _error(name, f"(…), 1 | {self.features}", given)
            if set(map(type, values)) != {float} or not np.isfinite(values).all():
                values = (_finite(name, value) for value in values)
            object.__setattr__(self, name, tuple(values))
        with np.errstate(all="ignore"):
            divided = np.multiply(self.divisor, self.std)
            scale, shift = np.float32(1 / divided), np.float32(np.divide(self.mean, self.std))
        # What float32 makes 0 or infinite would make every answer the same, or none.
        if not (self.divisor > 0 and (np.array(self.std) > 0).all() and (scale > 0).all() and np.isfinite(scale).all()):
            raise _error("divisor, std", "> 0", f"{self.divisor}, {min(self.std)} … {max(self.std)}")
        if not np.isfinite(shift).all():
            raise _error("mean / std", "float32", f"{min(self.mean)} … {max(self.mean)}")

    @classmethod
    def lesson(cls, features: int = 784) -> Preprocessing:
        """Pixels in [-1, 1], as ``Normalize((0.5,), (0.5,))`` after ``ToTensor()`` gives them."""
        return cls(features, divisor=_LEVELS, mean=(0.5,), std=(0.5,))

    @classmethod
    def fitted(cls, inputs: Tensor | ArrayLike) -> Preprocessing:
        """Return the step that gives these training rows mean 0 and standard deviation 1.

        uint8 pixels share one mean and one deviation, so that a picture stays a picture; rows of
        numbers get one for each feature. A feature that never changes keeps deviation 1.

        Shape: ``inputs`` (N, D), uint8 or float; N may be 0.

        Raises
        ------
        DtypeError, UsageError, DataError
            If they are no such rows, or a value is not finite.
        """
        rows = conversion.plain(inputs)
        if rows.dtype.kind not in "uif":
            raise DtypeError("preprocessing-dtype", given=str(rows.dtype))
        if rows.ndim != 2:
            raise _error("inputs", "(N, D)", rows.shape)
        features = rows.shape[1]
        if rows.dtype == np.uint8:
            counts = precision.byte_counts(rows)
            levels = np.arange(256) / _LEVELS
            total = max(counts.sum(), 1.0)
            mean = float((counts * levels).sum() / total)
            deviation = float(np.sqrt((counts * (levels - mean) ** 2).sum() / total))
            return cls(features, _LEVELS, (mean,), (deviation if np.count_nonzero(counts) > 1 else 1.0,))
        if not len(rows):
            return cls(features)
        found = precision.not_finite(rows)
        if found is not None:
            where = {"path": "Preprocessing.fitted: inputs", "row": found[0] + 1, "column": found[1] + 1}
            raise DataError("data-finite", **where, value=rows[found])
        return cls.standardising(rows)

    @classmethod
    def standardising(
        cls,
        values: NDArray[Any],
        rows: NDArray[np.intp] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> Preprocessing:
        """Return the step that gives each column of finite numbers (N, D), N > 0, mean 0 and deviation 1.

        Fitted on some of the ``rows`` (M,) where they are named, each as often as its weight (M,) says. A column that
        never changes keeps deviation 1.
        """
        means, deviations = precision.moments(values, rows, weights)
        # Under this, a column is constant up to the rounding of its own values.
        rounding = 1e-7 if precision.holds(values.dtype) else 1e-15
        still = deviations <= rounding * np.maximum(np.abs(means), 1e-30)
        return cls(values.shape[1], 1.0, tuple(means.tolist()), tuple(np.where(still, 1.0, deviations).tolist()))

    def __call__(self, inputs: Tensor | ArrayLike) -> Tensor:
        """Return float32 network input (N, D) from raw inputs with any leading batch shape.

        The last axes hold the D values: (D,), (N, D), (28, 28), (N, 28, 28) and (N, 1, 28, 28) all do for D = 784.

        Arrays of every library, frames and lists do as well. The result is an ordinary tensor, also of what is made in
        ``torch.inference_mode()``.

        Raises
        ------
        ShapeError
            If the number of values is no multiple of D.
        DtypeError
            If the inputs are not numbers, or where pixels from 0 to 255 are wanted (``divisor`` 255) look like pixels
            that were divided or normalised before: 16 values or more, not all zero and not uint8, that all lie
            between 0 and 1, or, where some are negative, between -10 and 10.
        """
        return self.applied(self.rows(inputs))

    def applied(self, x_ND: Tensor) -> Tensor:
        """Return float32 network input (N, D) from some of what :meth:`rows` gave, which is looked at no more.

        Whether values are pixels is seen in all of them together: a dark row by itself looks like one divided by 255.
        """
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False), torch.no_grad():
                return self.applied(x_ND)
        if not self.far:
            scale, shift = self.step if x_ND.device.type == "cpu" else self.scale_and_shift(x_ND.device)
            return x_ND.to(torch.float32).mul(scale).add_(shift)
        mean, std = (torch.tensor(values, dtype=torch.float64, device=x_ND.device) for values in (self.mean, self.std))
        result = torch.empty(x_ND.shape, dtype=torch.float32, device=x_ND.device)
        rows = max(1, _BLOCK // self.features)
        for some, to in zip(x_ND.split(rows), result.split(rows), strict=True):
            to.copy_((some.double() / self.divisor - mean) / std)
        return result

    def prepared(self, rows: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return rows as :meth:`rows` gives them, and the scale and shift (D,) that remain to be applied in float32.

        Where float32 would take their digits, the rows are prepared already, and what remains changes nothing. Only
        rows of uint8 and float32 remain: whatever reads memory next knows no other.
        """
        if not self.far:
            return (rows if rows.dtype == torch.uint8 else rows.float()), self.step
        return self.applied(rows), (torch.ones(self.features), torch.zeros(self.features))

    @cached_property
    def far(self) -> bool:
        """Whether a mean is so far from zero that taking it off in float32 would leave too few digits.

        Whatever repeats this step elsewhere then needs float64 rows, and takes the mean off in float64.
        """
        return bool((np.abs(self.mean) > precision.FAR * np.array(self.std)).any())

    def rows(self, inputs: Tensor | ArrayLike) -> Tensor:
        """Return the raw values as rows (N, D), checked as :meth:`__call__` promises, nothing computed yet."""
        x = self._as_tensor(inputs)
        if x.is_complex() or x.dtype == torch.bool:
            raise DtypeError("preprocessing-dtype", given=str(x.dtype))
        if not (x.ndim == 2 and x.shape[1] == self.features):
            if not self._fits(tuple(x.shape)):
                raise ShapeError("preprocessing-shape", given=tuple(x.shape), features=self.features)
            x = x.reshape(-1, self.features)
        if self.divisor == _LEVELS and x.dtype != torch.uint8:
            _check_pixels(x)
        return x

    def scale_and_shift(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Return the same step as ``x * scale + shift``: two float32 tensors of shape (1,) or (D,)."""
        scale, shift = self._step_in_float64()
        return scale.float().to(device), shift.float().to(device)

    @cached_property
    def step(self) -> tuple[Tensor, Tensor]:
        """:meth:`scale_and_shift` on the CPU, both of shape (D,), computed once: for reading only."""
        with torch.inference_mode(False):
            scale, shift = self.scale_and_shift()
            return scale.expand(self.features).contiguous(), shift.expand(self.features).contiguous()

    def folded(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight (H, D) and bias (H,) of a first layer that takes raw rows: this step and the layer in one.

        In float64. Rounded to float32 they serve as long as no mean is far from zero for its deviation: times in
        seconds need float64 rows as well.

        >>> step, x = Preprocessing(2, mean=(1.0, 2.0), std=(0.5, 4.0)), torch.tensor([[3.0, -2.0]])
        >>> layer = torch.nn.Linear(2, 3)
        >>> weight, bias = step.folded(layer.weight.detach(), layer.bias.detach())
        >>> bool(torch.allclose(x.double() @ weight.T + bias, layer(step(x)).double(), atol=1e-6))
        True
        """
        wide = weight.double()
        scale, shift = (each.to(weight.device) for each in self._step_in_float64())
        return wide * scale, bias.double() + wide @ shift.expand(self.features)

    def _step_in_float64(self) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in (self.mean, self.std))
        return 1.0 / (self.divisor * std), -mean / std

    def _fits(self, shape: tuple[int, ...]) -> bool:
        """Whether some number of trailing axes holds exactly D values."""
        held = 1
        for length in reversed(shape):
            held *= length
            if held == self.features:
                return True
        return self.features == 1

    def _as_tensor(self, inputs: Tensor | ArrayLike) -> Tensor:
        if isinstance(inputs, Tensor):
            if inputs.layout != torch.strided or inputs.is_quantized or inputs.is_meta:
                raise DtypeError("preprocessing-dtype", given=conversion.described(inputs))
            return inputs
        array = conversion.plain(inputs)
        if array.dtype.kind not in "uif":
            raise DtypeError("preprocessing-dtype", given=str(array.dtype))
        if array.dtype.name not in _SHARED:
            # Not float32, which takes digits that a mean far from zero needs.
            with np.errstate(over="ignore"):
                array = array.astype(np.float64)
        # PyTorch knows no negative strides, and warns of memory that may not be written to.
        return torch.from_numpy(array if array.flags.carray else np.array(array, order="C"))

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``run.json``."""
        return {"features": self.features, "divisor": self.divisor, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Preprocessing:
        """Return the value that :meth:`to_json` wrote; ``ValueError`` where the document is none."""
        wanted = ("features", "divisor", "mean", "std")
        if not isinstance(document, dict) or not all(name in document for name in wanted):
            raise ValueError(f"no preprocessing: {', '.join(wanted)}")
        # The error of a value that is none is a ValueError too.
        return cls(*(document[name] for name in wanted))


def _error(name: str, wanted: str, given: object) -> UsageError:
    return UsageError("preprocessing-value", name=name, wanted=wanted, given=given)


def _given(value: object) -> object:
    return value if isinstance(value, int | float) else type(value).__name__


def _finite(name: str, value: Any) -> float:
    """Return a finite number as a float; what else it may be is not printed: it may be nested without end."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, int | float | np.longdouble):
        raise _error(name, "float", type(value).__name__)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _error(name, "float", number if isinstance(value, int) else value)
    return number


def _check_pixels(x_ND: Tensor) -> None:
    """Refuse rows of an image's size or more that are pixels no longer: divided by 255, or normalised."""
    if x_ND.numel() < _FEW:
        return
    if x_ND.device.type == "cpu":
        # NumPy, as PyTorch would begin its threads, which a forked child cannot use.
        values = conversion.plain(x_ND)
        with np.errstate(invalid="ignore"):
            least, most = float(values.min()), float(values.max())
    else:
        least, most = (float(value) for value in torch.aminmax(x_ND.detach()))
    # Normalised as (x - 0.1307) / 0.3081 and the like, pixels lie between -3 and 3.
    if 0 < max(most, -least) <= (1 if least >= 0 else 10):
        raise DtypeError("preprocessing-pixels", count=x_ND.numel(), least=f"{least:.4g}", most=f"{most:.4g}")
