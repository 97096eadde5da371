"""Whether an exported file answers as its run does, held against it on rows that matter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from sumtoone.errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sumtoone.data.preprocessing import Preprocessing
    from sumtoone.runs import Run

# The largest difference of a probability that a file may be handed over with.
TOLERANCE = 1e-5
ROWS = 256
_LEVELS = 255
# Of values at a time: a network of ten million inputs is held against itself row by row.
_MOST_VALUES = 2**22
# Deviations from the mean: what most rows keep within, and what few exceed.
_USUAL, _EXTREME = 3.0, 6.0

Answers = Callable[[Tensor], Tensor]
_Number = TypeVar("_Number", bound=np.generic)


def raw_type(preprocessing: Preprocessing) -> str:
    """Return the type of the raw rows that a file takes: uint8 for pixels, float64 for numbers that float32 would cut.

    >>> from sumtoone import Preprocessing
    >>> raw_type(Preprocessing.lesson()), raw_type(Preprocessing(2)), raw_type(Preprocessing(1, mean=(1e9,)))
    ('uint8', 'float32', 'float64')
    """
    if preprocessing.divisor == _LEVELS:
        return "uint8"
    return "float64" if preprocessing.far else "float32"


def checked(run: Run, answers: Answers, what: str) -> float:
    """Return the largest difference between a run's probabilities (N, K) and those of a file, on 256 rows.

    Parameters
    ----------
    run
        What was exported.
    answers
        The file's probabilities (N, K) for raw rows (N, D).
    what
        What to call it in an error.

    Raises
    ------
    RunError
        If they differ by more than 1e-5, or are no numbers.
    """
    largest = 0.0
    for some in rows(run.preprocessing):
        difference = float((run.probabilities(some).double() - answers(some).double()).abs().max())
        if math.isnan(difference) or difference > TOLERANCE:
            raise RunError("export-differs", what=what, given=f"{difference:.2g}", most=TOLERANCE)
        largest = max(largest, difference)
    return largest


def rows(preprocessing: Preprocessing) -> Iterator[Tensor]:
    """Give 256 raw rows (N, D) some at a time, the same every time.

    Pixels: noise, strokes on black, black and white, and rows of one level from 0 to 255. Numbers: 0, the usual and the
    extreme for the mean and deviation of each column, and rows that are as far from it everywhere. So are pixels that
    hardly change: noise would be hundreds of deviations from what the network has seen.
    """
    generator = np.random.default_rng(0)
    step = max(1, _MOST_VALUES // preprocessing.features)
    for start in range(0, ROWS, step):
        some = _pixels if raw_type(preprocessing) == "uint8" and not preprocessing.far else _numbers
        yield torch.from_numpy(some(preprocessing, np.arange(start, min(ROWS, start + step)), generator))


def _pixels(
    preprocessing: Preprocessing, places: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.uint8]:
    noise = generator.integers(0, _LEVELS + 1, (len(places), preprocessing.features), dtype=np.uint8)
    strokes = np.where(generator.random(noise.shape, np.float32) < 0.2, noise, np.uint8(0))
    level = np.broadcast_to((places * _LEVELS // (ROWS - 1)).astype(np.uint8)[:, None], noise.shape)
    kinds = [noise, strokes, np.where(noise > _LEVELS // 2, np.uint8(_LEVELS), np.uint8(0)), level]
    return _in_turn(places, kinds)


def _numbers(
    preprocessing: Preprocessing, places: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.generic]:
    shape = len(places), preprocessing.features
    normal, uniform = generator.standard_normal(shape), generator.uniform(-_USUAL, _USUAL, shape)
    signs = np.where(uniform < 0, -_EXTREME, _EXTREME)
    level = np.broadcast_to(_EXTREME * (2 * places / (ROWS - 1) - 1)[:, None], shape)
    deviations = _in_turn(places, [normal, uniform, signs, level])
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    values = preprocessing.divisor * (deviations * std + mean)
    if not preprocessing.far:
        values[places == 0] = 0.0
    if raw_type(preprocessing) == "uint8":
        values = values.round().clip(0, _LEVELS)
    raw: NDArray[np.generic] = values.astype(raw_type(preprocessing))
    return raw


def _in_turn(places: NDArray[np.int64], kinds: list[NDArray[_Number]]) -> NDArray[_Number]:
    """Return row after row from one kind (N, D) after the other."""
    chosen: NDArray[_Number] = np.choose(places[:, None] % len(kinds), kinds)
    return chosen
