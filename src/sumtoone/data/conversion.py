"""Arrays of every library, as NumPy's: what people hold in memory comes in here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from sumtoone.data import limits
from sumtoone.data.precision import as_float
from sumtoone.errors import DataError, DtypeError, ShapeError, SumtooneError
from sumtoone.language.lines import listed


def plain(value: object) -> NDArray[Any]:
    """Return what ``value`` holds as a NumPy array in this machine's byte order, sharing its memory where that can be.

    Tensors, frames and series, lists, buffers, and whatever has ``__array__`` or ``__dlpack__``. What pandas
    calls missing is None; types that NumPy lacks, such as bfloat16, become float32.

    Raises
    ------
    DtypeError, ShapeError, DataError
        If it holds no array, rows of different lengths, or masked values.

    Examples
    --------
    >>> plain(torch.tensor([1.5, 2], dtype=torch.bfloat16)), plain(np.array([1, 2], ">i2")).dtype.isnative
    (array([1.5, 2. ], dtype=float32), True)
    """
    try:
        array = _converted(value)
    except (SumtooneError, MemoryError):
        raise
    except ValueError:
        raise ShapeError("array-ragged", kind=type(value).__name__) from None
    except Exception:
        # What other libraries raise on the way is open-ended.
        raise DtypeError("array-kind", given=type(value).__name__) from None
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def rows(arrays: Mapping[str, NDArray[Any]], path: object) -> dict[str, tuple[NDArray[Any], tuple[int, ...] | None]]:
    """Return arrays by their keys as rows (N, D) of one type, and the shape of a picture.

    uint8 stays as it is. All other numbers become float32 or, where that takes digits that tell the rows of one of
    them apart, float64. The memory may be the array's own.

    Shape: each (N, D), (N, H, W), or (N, H, W, C) with C 1 or 3.

    Raises
    ------
    DataError
        If the shape is another, or float32 cannot hold a value, or cannot tell different values of a column apart.
    DtypeError
        If it holds something else than numbers.
    """
    found = {key: _rows(array, path, key) for key, array in arrays.items()}
    if len({values.dtype for values, _ in found.values()} - {np.dtype(np.uint8)}) > 1:
        found = {key: _rows(array, path, key, wide=True) for key, array in arrays.items()}
    return found


def _rows(
    value: NDArray[Any], place: object, key: str, *, wide: bool = False
) -> tuple[NDArray[Any], tuple[int, ...] | None]:
    if value.ndim == 4 and value.shape[1] == 1 and value.shape[3] != 1:
        # PyTorch has the channels first: one of them is none.
        value = value[:, 0]
    if not 2 <= value.ndim <= 4 or (value.ndim == 4 and value.shape[3] not in (1, 3)):
        raise DataError("data-npz-shape", path=place, key=key, shape=value.shape)
    size = value.size * (1 if value.dtype == np.uint8 else 4)
    if size > limits.MOST_BYTES:
        raise DataError("data-too-large", path=place, size=size, limit=limits.MOST_BYTES)
    values = value.reshape(len(value), math.prod(value.shape[1:]))
    shape = value.shape[1:3] if value.ndim == 3 or value.shape[3:] == (1,) else value.shape[1:]
    return as_float(values, place, key, wide=wide), None if value.ndim == 2 else shape


def names(value: Any) -> tuple[str, ...] | None:
    """Return the names of a frame's columns, whichever library's it is; None where they are no texts, or it is none.

    >>> names(np.zeros((2, 2))) is None
    True
    """
    # Arrow's tables call the columns themselves so.
    found = getattr(value, "column_names", None)
    found = getattr(value, "columns", None) if found is None else found
    if found is None or isinstance(value, Tensor | np.ndarray):
        return None
    try:
        listed = list(found)
    except TypeError:
        return None
    named = len(set(map(str, listed))) == len(listed) > 0 and all(isinstance(name, str) for name in listed)
    return tuple(map(str, listed)) if named else None


def places(held: Sequence[str], wanted: Sequence[str]) -> NDArray[np.int64]:
    """Return where each of the wanted columns stands among those held.

    Raises
    ------
    DataError
        If one is missing, or there is one that is not wanted.

    Examples
    --------
    >>> places(["b", "a"], ["a", "b"])
    array([1, 0])
    """
    place = {name: number for number, name in enumerate(held)}
    missing = [name for name in wanted if name not in place]
    known = set(wanted)
    extra = [name for name in held if name not in known]
    if missing or extra:
        raise DataError("data-columns", missing=listed(missing), extra=listed(extra), columns=listed(wanted))
    return np.array([place[name] for name in wanted], np.int64)


def in_order(frame: Any, columns: Sequence[str] | None, besides: Sequence[str] = ()) -> Any:
    """Return a frame with these columns in their order, ``besides`` left out; what has no names, as it is."""
    held = names(frame)
    if columns is None or held is None or held == tuple(columns):
        return frame
    known, left = set(columns), set(besides)
    places([name for name in held if name in known or name not in left], columns)
    return frame[list(columns)] if hasattr(frame, "iloc") else frame.select(list(columns))


def one_for_each(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels given as a column (N, 1), or one-hot (N, K), as one for each row (N,); others as they are.

    >>> one_for_each(np.array([[0, 1], [1, 0]]))
    array([1, 0])
    """
    if labels.ndim != 2:
        return labels
    if labels.shape[1] == 1:
        return labels[:, 0]
    if labels.dtype.kind not in "biuf" or not len(labels) or labels.shape[1] > limits.MOST_CLASSES:
        return labels
    ones = labels == 1
    hot = bool((ones.sum(axis=1) == 1).all()) and bool((ones | (labels == 0)).all())
    return ones.argmax(axis=1) if hot else labels


# --- from every library


def _converted(value: Any) -> NDArray[Any]:
    if isinstance(value, Tensor):
        return _from_tensor(value)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise DataError("array-masked", count=int(np.ma.getmaskarray(value).sum()))
    if hasattr(value, "isna") and hasattr(value, "to_numpy"):
        return _from_pandas(value)
    if isinstance(value, list | tuple) and value and isinstance(value[0], Tensor):
        return np.asarray([_converted(each) for each in value])
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return _from_tensor(from_dlpack(value))
    try:
        array = np.asarray(value)
    except (TypeError, RuntimeError):
        # CuPy, for one, gives nothing to NumPy unasked.
        if not hasattr(value, "__dlpack__"):
            raise
        return _from_tensor(from_dlpack(value))
    if array.dtype.kind == "T":
        return array.astype(object)
    # bfloat16 and the small floats, as JAX has them.
    return array.astype(np.float32) if array.dtype.kind == "V" and "float" in array.dtype.name else array


def _from_tensor(tensor: Tensor) -> NDArray[Any]:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise DtypeError("array-kind", given=described(tensor))
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu()
    try:
        return tensor.numpy()
    except TypeError:
        return tensor.float().numpy()


def check_picture(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Refuse pictures whose axes are in another order: they hold as many values, and each in another's place."""
    # A single channel may be an axis or none.
    given, image = ([length for length in axes if length != 1] for axes in (shape, wanted))
    last = given[-len(image) :] if image else []
    if last == image or sorted(last) != sorted(image):
        return
    first = len(wanted) == 3 and last == [image[-1], *image[:-1]]
    raise ShapeError("run-channels" if first else "run-turned", shape=shape, wanted=wanted)


def described(value: object) -> str:
    """Return what a value is, in a few words.

    >>> described(torch.zeros(2).to_sparse()), described([1])
    ('Tensor (torch.float32, sparse_coo, cpu)', 'list')
    """
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"Tensor ({value.dtype}, {str(value.layout).removeprefix('torch.')}, {value.device.type})"


def _from_pandas(value: Any) -> NDArray[Any]:
    if value.ndim == 2:
        kinds = set(value.dtypes)
        if len(kinds) == 1 and all(isinstance(kind, np.dtype) for kind in kinds):
            return np.asarray(value.to_numpy())
        # Together they would be Python's objects.
        return np.stack([_from_pandas(value.iloc[:, place]) for place in range(value.shape[1])], axis=1)
    if not isinstance(value.dtype, np.dtype) and value.isna().any():
        return np.asarray(value.to_numpy(dtype=object, na_value=None))
    return np.asarray(value.to_numpy())
