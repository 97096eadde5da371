"""Files that answer like a run, for those who have no sumtoone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from sumtoone.description import check_keepable, class_name
from sumtoone.errors import DtypeError, RunError, UsageError
from sumtoone.exporting import agreement, onnx_graph, source, target, triton
from sumtoone.memory import enough_memory
from sumtoone.network import Network
from sumtoone.run_folder import as_path
from sumtoone.runs import Run
from sumtoone.specification import not_among

FORMATS = ("onnx", "triton", "html", "pytorch")
STYLES = source.STYLES
# What protobuf can write, with room for all but the weights.
_MOST_BYTES = 2**31 - 2**24


@dataclass(frozen=True)
class Written:
    """What was exported.

    Parameters
    ----------
    path
        The file or folder.
    bytes
        How many there are, of all its files.
    difference
        The largest difference between its probabilities and the run's, on 256 rows; None of a page, which is looked at
        in a browser.
    """

    path: Path
    bytes: int
    difference: float | None


def export(run: Run, out: str | Path, format: str, *, style: str | None = None) -> Path:  # noqa: A002
    """Write a file or folder that answers like a run, and return its path.

    What comes of ``onnx``, ``triton`` and ``pytorch`` is held against ``run.probabilities`` on 256 rows before it takes
    its place. Made twice, it has the same bytes.

    Parameters
    ----------
    run
        Whose network is a :class:`sumtoone.Network` of float32 or float64.
    out
        Where it goes; nothing may be there, and folders above it are made.
    format
        ``"onnx"``: one file that takes raw rows. ``"triton"``: the folder of a model that Triton and KServe load, with
        the same file in it. ``"html"``: the drawing page in one file. ``"pytorch"``: a folder with the weights and a
        Python file that needs no sumtoone.
    style
        Of the Python file: ``"class"``, where every operation is a module, or ``"functional"``.

    Raises
    ------
    DtypeError
        If ``run`` is none.
    UsageError
        If there is no such format or style, a style is given for another format, or ``out`` cannot be written.
    RunError
        If the network cannot be written so, or the file does not answer as the run does.
    UnavailableError
        If a package is missing: ``pip install 'sumtoone[onnx]'``.

    Examples
    --------
    >>> import sumtoone as s1
    >>> data = s1.Dataset.from_arrays([[0.0], [1.0]] * 20, ["left", "right"] * 20)
    >>> run = s1.fit(s1.Network("1-2"), data, epochs=1)
    >>> sorted(path.name for path in s1.export(run, "sides", "pytorch").iterdir())
    ['model.py', 'model.safetensors']
    """
    return write(run, out, format, style=style).path


def write(run: Run, out: str | Path, format: str, *, style: str | None = None) -> Written:  # noqa: A002
    """Do what :func:`export` does, and return also what was measured."""
    path = as_path(out)
    if not isinstance(run, Run):
        what = {"function": "export", "name": "run", "wanted": "Run", "given": type(run).__name__}
        raise DtypeError("argument-type", **what, hint='export(open_run("runs/first"), out, format)')
    if format not in FORMATS:
        raise not_among("format", format, FORMATS)
    if style is not None and style not in STYLES:
        raise not_among("style", style, STYLES)
    if style is not None and format != "pytorch":
        raise UsageError("export-style", style=style, format=format)
    target.check_free(path)
    _check_writable(run, format)
    with enough_memory():
        if format == "html":
            return _html(run, path)
        if format == "onnx":
            return _onnx(run, path)
        if format == "triton":
            return _triton(run, path)
        return _pytorch(run, path, style or STYLES[0])


def refusal(kind: str) -> RunError:
    """Return the error for a run whose network is a module of one's own, of a class called ``kind``."""
    return RunError("export-module", kind=kind)


def _check_writable(run: Run, format: str) -> None:  # noqa: A002
    network = run.network
    if type(network) is not Network:
        raise refusal(class_name(network))
    size = network.specification.parameters * next(network.parameters()).element_size()
    if format in ("onnx", "triton") and size > _MOST_BYTES:
        raise RunError("export-large", given=f"{size:,}", most=f"{_MOST_BYTES:,}")
    check_keepable(network)
    dtype = next(network.parameters()).dtype
    if dtype not in (torch.float32, torch.float64):
        raise RunError("export-dtype", given=str(dtype).removeprefix("torch."))


def _onnx(run: Run, path: Path) -> Written:
    content, difference = _checked_model(run)
    target.put_file(path, content)
    return Written(path, len(content), difference)


def _triton(run: Run, path: Path) -> Written:
    content, difference = _checked_model(run)
    files = triton.files(run, content)
    with target.new_folder(path, files):
        return Written(path, sum(map(len, files.values())), difference)


def _checked_model(run: Run) -> tuple[bytes, float]:
    content = onnx_graph.model(run)
    return content, agreement.checked(run, onnx_graph.session(content), "onnxruntime")


def _html(run: Run, path: Path) -> Written:
    from sumtoone import page

    content = page.single_file(run)
    target.put_file(path, content)
    return Written(path, len(content), None)


def _pytorch(run: Run, path: Path, style: str) -> Written:
    files = source.files(run, style)
    with target.new_folder(path, files) as folder:
        difference = agreement.checked(run, source.answers(folder), "model.py")
    return Written(path, sum(map(len, files.values())), difference)
