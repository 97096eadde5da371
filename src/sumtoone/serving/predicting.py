"""``POST /predict``: pixels, vectors, named columns or a picture in; labels and probabilities out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from io import BytesIO
from time import monotonic
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from sumtoone.errors import DataError, UnavailableError, UsageError
from sumtoone.language import text
from sumtoone.language.lines import listed
from sumtoone.runs import check_finite
from sumtoone.serving.answers import Answer
from sumtoone.serving.model import Model
from sumtoone.serving.threads import OneThread

Values = NDArray[Any]
# A vector, a picture with channels, several of them: nothing is nested deeper.
_DEEPEST = 4
_KINDS = ("pixels", "vectors", "vector", "columns", "rows")


def read_json(body: bytes) -> Any:
    """Return a JSON document.

    Raises
    ------
    DataError
        ``serve-json`` if it is none: also where it is nested without end, or holds NaN.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        line, column = error.lineno, error.colno
    # Outside of the block: the document itself, which the error holds, goes no further.
    raise DataError("serve-json", line=line, column=column)


def json_rows(body: bytes, model: Model) -> tuple[Values, bool]:
    """Return the rows (N, D) in a JSON body, and whether several were asked for.

    Raises
    ------
    DataError, ShapeError, DtypeError
        If it holds no rows of this model.

    Examples
    --------
    >>> from sumtoone import Dataset, Network, fit
    >>> import pyarrow
    >>> table = pyarrow.table({name: np.arange(40.0) % place for name, place in zip("abcd", (2, 3, 5, 7))})
    >>> data = Dataset.from_arrays(table, [0, 1] * 20)
    >>> model = Model(fit(Network("4-2"), data, epochs=1))
    >>> json_rows(b'{"vector": [1, 2, 3, 4]}', model)
    (array([[1., 2., 3., 4.]], dtype=float32), False)
    >>> json_rows(b'{"rows": [{"d": 4, "a": 1, "b": 2, "c": 3}]}', model)
    (array([[1., 2., 3., 4.]], dtype=float32), True)
    """
    document = read_json(body)
    if not isinstance(document, dict) or len(document) != 1 or next(iter(document)) not in _KINDS:
        given = listed(list(document)) if isinstance(document, dict) else type(document).__name__
        raise DataError("serve-document", given=given if document else "{}")
    ((kind, value),) = document.items()
    if kind == "columns":
        return _columns(value, model)
    if kind == "rows":
        return _records(value, model), True
    if kind == "pixels" and not model.takes_images:
        raise DataError("serve-no-pixels", features=model.features)
    values = numbers(value)
    one = model.is_one(values.shape)
    if kind != "pixels" and one != (kind == "vector"):
        raise DataError("serve-vectors", name=kind, given=list(values.shape))
    return model.rows(values), not one


def numbers(value: Any, name: str = "") -> Values:
    """Return nested lists of numbers as an array: uint8 where they all are whole numbers from 0 to 255.

    Parameters
    ----------
    value
        The lists, or one number.
    name
        Of the column they are, for errors.

    Raises
    ------
    DataError
        If they are something else: texts, truth values and null are no numbers.

    Examples
    --------
    >>> numbers([[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]], dtype=uint8)
    >>> numbers([0.5])
    array([0.5])
    """
    shape: list[int] = []
    level = [value]
    said = f"{name[:40]}: " if name else ""
    while level and type(level[0]) is list:
        length = len(level[0])
        if len(shape) == _DEEPEST or any(type(item) is not list or len(item) != length for item in level):
            raise DataError("serve-numbers", given=f"{said}[[…], …]")
        shape.append(length)
        level = level[0] if len(level) == 1 else [inner for item in level for inner in item]
    kinds = set(map(type, level))
    if not kinds <= {int, float}:
        given = next(item for item in level if type(item) not in (int, float))
        raise DataError("serve-numbers", given=said + orjson.dumps(given)[:40].decode(errors="replace"))
    return _flat(level, kinds).reshape(shape)


def _flat(level: list[Any], kinds: set[type]) -> Values:
    if kinds == {int}:
        try:
            # A picture as a rule: six times faster than to look at each number for its size.
            return np.frombuffer(bytes(level), np.uint8)
        except ValueError:
            pass
    return np.array(level, np.float64)


def _columns(value: Any, model: Model) -> tuple[Values, bool]:
    """Return the rows in ``{"name": value}`` or ``{"name": [values]}``."""
    if not isinstance(value, dict) or not value:
        raise DataError("serve-columns", given=type(value).__name__)
    several = any(type(item) is list for item in value.values())
    columns = [numbers(item, name) for name, item in value.items()]
    if len({column.shape for column in columns}) != 1 or columns[0].ndim != int(several):
        raise DataError("serve-columns", given=listed([f"{n}: {c.shape}" for n, c in zip(value, columns, strict=True)]))
    table = np.stack([column.reshape(-1) for column in columns], axis=1)
    return model.from_columns(list(value), table), several


def _records(value: Any, model: Model) -> Values:
    """Return the rows in ``[{"name": value}, …]``."""
    if not isinstance(value, list) or not value or any(type(record) is not dict or not record for record in value):
        raise DataError("serve-columns", given=type(value).__name__)
    names = list(value[0])
    for record in value:
        if record.keys() != value[0].keys():
            raise DataError("serve-columns", given=listed(list(record)))
    table: Values | None = None
    with contextlib.suppress(DataError):
        table = numbers([[record[name] for name in names] for record in value])
    if table is None or table.ndim != 2:
        # Column by column, which takes longer: the error then names one.
        return _columns({name: [record[name] for record in value] for name in names}, model)[0]
    return model.from_columns(names, table)


def answer(model: Model, probabilities: Values, several: bool) -> Answer:
    """Return probabilities (N, K) with their labels, as ``POST /predict`` gives them.

    Raises
    ------
    DataError
        ``serve-no-answer`` if the network gave something else than numbers.
    """
    check_finite(probabilities)
    classes = model.classes
    rows: list[list[float]] = probabilities.tolist()
    found = [
        {"label": classes[row.index(max(row))], "probabilities": dict(zip(classes, row, strict=True))} for row in rows
    ]
    if several:
        return Answer(orjson.dumps({"model": model.name, "predictions": found}))
    return Answer(orjson.dumps({"model": model.name, **found[0]}))


class Pictures:
    """Makes rows of pictures, one at a time, in a thread.

    Parameters
    ----------
    model
        Whose rows they become.
    most_pixels
        So many pixels may a picture have.
    most_waiting
        So many pictures may wait for the one that is being decoded.
    """

    def __init__(self, model: Model, most_pixels: int, most_waiting: int) -> None:
        self._model = model
        self._most_pixels = most_pixels
        self.thread = OneThread("sumtoone-pictures", most_waiting)
        # In the language of whoever starts it: threads do not know it.
        self._name = text("serving.picture")

    async def rows(self, picture: bytes, deadline: float) -> Values:
        """Return the row (1, D) of a picture in a file's bytes.

        Raises
        ------
        DataError
            If it is no picture, too large, or empty, or the model takes none.
        UnavailableError
            If too many pictures are waiting, or the deadline passed before this one was looked at.
        """
        if not self._model.takes_images:
            raise DataError("serve-no-pixels", features=self._model.features)
        return (await self.thread.run(self._prepared, picture, deadline)).reshape(1, -1)

    def _prepared(self, picture: bytes, deadline: float) -> Values:
        # With the first picture: a server is to be ready soon.
        from sumtoone.data import images
        from sumtoone.photos import prepare

        if monotonic() > deadline:
            raise UnavailableError("serve-late")
        with images.decoding(self._name):
            width, height = images.opened(BytesIO(picture), self._name).size
        if width * height > self._most_pixels:
            raise DataError("serve-image-pixels", size=f"{width} x {height}", limit=self._most_pixels)
        shape = self._model.run.image_shape
        assert shape is not None
        return prepare(picture, tuple(shape), digits=self._model.run.handwriting, name=self._name)


async def one_file(content_type: bytes, body: bytes) -> bytes:
    """Return the one file in a form's body.

    Raises
    ------
    DataError
        ``serve-form`` if it is no form with one file and nothing else.
    """
    from starlette.datastructures import Headers, UploadFile
    from starlette.formparsers import MultiPartException, MultiPartParser

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    headers = Headers(raw=[(b"content-type", content_type)])
    try:
        form = await MultiPartParser(headers, stream(), max_files=1, max_fields=0).parse()
    except (MultiPartException, KeyError, UnicodeError, LookupError) as error:
        what = getattr(error, "message", type(error).__name__)
        raise DataError("serve-form", given=what) from None
    try:
        found = [value for _, value in form.multi_items()]
        if len(found) != 1 or not isinstance(found[0], UploadFile):
            raise DataError("serve-form", given=f"{len(found)}")
        return await found[0].read()
    finally:
        await form.close()


def media_type(headers: Mapping[bytes, bytes]) -> str:
    """Return what a body is said to be: ``json``, ``image`` or ``form``; ``serve-media-type`` if something else."""
    given = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if given == b"application/json":
        return "json"
    if given.startswith(b"image/"):
        return "image"
    if given == b"multipart/form-data":
        return "form"
    raise UsageError("serve-media-type", given=given.decode("latin-1")[:80] or "-")
