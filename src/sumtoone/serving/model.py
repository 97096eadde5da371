"""What a server asks of a run: rows that are checked, and probabilities for them.

Shape suffixes: N rows, D values in a row, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sumtoone import run_folder
from sumtoone.data import conversion
from sumtoone.errors import DataError, RunError, ShapeError
from sumtoone.language.lines import listed
from sumtoone.network import Network
from sumtoone.runs import Run
from sumtoone.serving.limits import url_name

_LEVELS = 255


@dataclass(frozen=True, eq=False)
class Model:
    """A run as it is served.

    Parameters
    ----------
    run
        The trained network with its preprocessing.
    folder
        Where it was opened, for what the page shows of its training; None where it is in no folder.
    most_rows
        So many rows may come in one request.
    called
        What it is called in addresses; the run's name where nothing is said.
    digests
        Those that :func:`sumtoone.run_folder.digests` gave of the folder before the run was opened from it: what
        took its place in between is another run then. None where it is in no folder.
    """

    run: Run
    folder: Path | None = None
    most_rows: int = 4096
    called: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """What the page knows its answers by, of :func:`sumtoone.run_folder.fingerprint`; empty in no folder."""
        return run_folder.fingerprint(self.digests)

    def is_in_folder(self) -> bool:
        """Whether the folder holds this run still, and not another one or none."""
        try:
            return self.folder is None or run_folder.digests(self.folder) == self.digests
        except RunError:
            return False

    @cached_property
    def name(self) -> str:
        """What it is called in addresses: ASCII letters, digits, ``.``, ``_`` and ``-``."""
        return url_name(self.called or self.run.name)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The name of each output."""
        return tuple(map(str, self.run.classes))

    @cached_property
    def features(self) -> int:
        """D, the values of a row."""
        return self.run.preprocessing.features

    @cached_property
    def pixels(self) -> bool:
        """Whether a row holds uint8 pixels from 0 to 255, and so whether a photo can become one."""
        return self.run.preprocessing.divisor == _LEVELS

    @cached_property
    def takes_images(self) -> bool:
        """Whether a picture can be made a row."""
        return self.pixels and self.run.image_shape is not None

    @cached_property
    def compiled(self) -> bool:
        """Whether the compiled kernels may compute it: fast enough to do so in the event loop."""
        return type(self.run.answering) is Network

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of one row: (D,), or one picture, whose single channel may be an axis."""
        picture = self.run.image_shape
        if picture is None:
            return ((self.features,),)
        channel = ((*picture, 1),) if len(picture) == 2 else ()
        return ((self.features,), tuple(picture), *channel)

    def is_one(self, shape: tuple[int, ...]) -> bool:
        """Whether values of this shape are one row."""
        return shape in self.shapes

    def rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values as rows (N, D) of a type that :meth:`probabilities` takes, checked whole.

        Values of uint8 are pixels where pixels belong, however dark.

        Parameters
        ----------
        values
            Numbers of shape (D,), (N, D), or one or more pictures.

        Raises
        ------
        ShapeError, DtypeError, DataError
            If they are no such rows, too many, none, not finite, or no pixels where pixels belong.
        """
        x_ND = self._shaped(values)
        if x_ND.dtype.kind == "f" and not np.isfinite(x_ND).all():
            raise DataError("serve-finite")
        return self._as_pixels(x_ND) if self.pixels else self._as_numbers(x_ND)

    def from_columns(self, names: Sequence[str], values: NDArray[Any]) -> NDArray[Any]:
        """Return :meth:`rows` of values (N, D) whose columns have names: names decide, never positions."""
        columns = self.run.columns
        if columns is None:
            raise DataError("serve-no-columns", features=self.features)
        if set(names) != set(columns):
            missing = [name for name in columns if name not in set(names)]
            extra = [name for name in names if name not in set(columns)]
            raise DataError("data-columns", missing=listed(missing), extra=listed(extra), columns=listed(columns))
        return self.rows(values[:, conversion.places(list(names), list(columns))])

    def probabilities(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return float32 probabilities (N, K) of rows that :meth:`rows` gave, whose memory is the caller's own."""
        return self.run.probabilities_of(torch.from_numpy(rows)).numpy()

    def _shaped(self, values: NDArray[Any]) -> NDArray[Any]:
        shape = values.shape
        # As PyTorch has pictures of one channel: with it in front.
        one = shape[2:] if len(shape) == 4 and shape[1] == 1 else shape[1:]
        if not (self.is_one(shape) or (shape and (self.is_one(shape[1:]) or self.is_one(one)))):
            picture = self.run.image_shape
            wanted = [(self.features,), ("N", self.features)]
            wanted += [] if picture is None else [tuple(picture), ("N", *picture)]
            shown = ", ".join(f"[{', '.join(map(str, one))}]" for one in wanted)
            raise ShapeError("serve-shape", given=list(shape[:8]), wanted=shown)
        count = values.size // self.features
        if count > self.most_rows:
            raise DataError("serve-rows", count=count, limit=self.most_rows)
        if count == 0:
            raise DataError("serve-no-rows")
        return values.reshape(count, self.features)

    def _as_pixels(self, x_ND: NDArray[Any]) -> NDArray[Any]:
        if x_ND.dtype == np.uint8:
            return x_ND
        least, most = x_ND.min(), x_ND.max()
        if least < 0 or most > _LEVELS:
            raise DataError("serve-pixels", least=f"{float(least):.4g}", most=f"{float(most):.4g}")
        pixels = x_ND.astype(np.float32, copy=False)
        # Its own words on pixels that were divided; what is dark altogether passes.
        self.run.preprocessing.rows(pixels)
        return pixels if x_ND.dtype.kind == "f" else x_ND.astype(np.uint8)

    def _as_numbers(self, x_ND: NDArray[Any]) -> NDArray[Any]:
        kind = np.float64 if self.run.preprocessing.far else np.float32
        with np.errstate(over="ignore"):
            narrow = x_ND.astype(kind, copy=False)
        if kind is np.float32 and x_ND.dtype != np.float32 and not np.isfinite(narrow).all():
            raise DataError("serve-finite")
        return narrow
