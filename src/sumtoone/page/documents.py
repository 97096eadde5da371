"""What the page is told of a run: a description, the weights, and rows to try.

Shape suffixes: N rows, D features, H units of a layer.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sumtoone.page.assets import JSON, Content
from sumtoone.storage import finite

if TYPE_CHECKING:
    from torch import nn

    from sumtoone.data.dataset import Dataset
    from sumtoone.runs import Run

# More weights than these, 20 MB, take a browser longer to fetch and to run through than the server to answer.
MOST_WEIGHTS = 5_000_000
MOST_SAMPLES = 200
# Of all samples together, so that rows of a million features do not make a document of gigabytes.
_MOST_VALUES = 2_000_000
_SNAPSHOT = re.compile(r"weights/(0|[1-9][0-9]{0,8})\.bin")


def document(run: Run, folder: Path | None, name: str) -> Content | None:
    """Return what the page asks about a run by this name; None where the run has no such document.

    Deterministic, blocking, and without a download: rows that are not on this machine are not shown.

    Parameters
    ----------
    run
        The run that is shown.
    folder
        Where it lies, for the snapshots of its epochs; None where it lies nowhere.
    name
        ``"model.json"``: the description. ``"weights.bin"`` and ``"weights/3.bin"``: the weights at the end and after
        epoch 3, float32, little endian, for each layer the weight (H, D) row by row, then the bias (H,).
        ``"samples.json"``: up to 200 rows of the run's own test split.

    Raises
    ------
    RunError
        If the snapshot of an epoch cannot be read.
    """
    if name == "model.json":
        return Content(to_bytes(model(run, folder)), JSON)
    if name == "samples.json":
        rows = samples(run)
        return Content(to_bytes({"rows": rows}), JSON) if rows else None
    if name == "weights.bin":
        return Content(weights(run.answering), "application/octet-stream") if in_page(run.answering) else None
    found = _SNAPSHOT.fullmatch(name)
    if found is None or folder is None or not in_page(run.answering) or int(found[1]) not in _epochs(run, folder):
        return None
    from sumtoone import snapshots

    network = run.tempered(snapshots.network(run, folder, int(found[1])))
    return Content(weights(network), "application/octet-stream")


def model(run: Run, folder: Path | None) -> dict[str, Any]:
    """Return the description of a run, as plain values."""
    from sumtoone import run_folder

    here = in_page(run.answering)
    described: Any = run.answering.specification if here else None
    preprocessing = run.preprocessing
    held = run.history.held(early_stopping=run.options.early_stopping is not None)
    return {
        "name": run.name,
        # The page asks with it for the weights of this run, and not of another that took its folder.
        "fingerprint": "" if folder is None else run_folder.fingerprint(run_folder.digests(folder)),
        "classes": run.classes,
        "features": preprocessing.features,
        "sizes": described.sizes if here else None,
        "activation": described.activation if here else None,
        "image_shape": run.image_shape,
        "columns": run.columns,
        "handwriting": run.handwriting,
        "divisor": preprocessing.divisor,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "history": run.history.to_json(),
        "metrics": run.metrics,
        "epoch": None if held is None else held["epoch"],
        "snapshots": _epochs(run, folder),
        "samples": bool(samples(run)),
        "largest": material(run)[1],
        "engine": "page" if here else "server",
    }


def in_page(network: nn.Module) -> bool:
    """Return whether the page can compute this network itself: one of ours, as its description says, and not huge.

    One of float16 or bfloat16 rounds between its layers, and the page, which does not, would answer otherwise.
    """
    import torch

    from sumtoone.network import Network, changed_part

    if type(network) is not Network or changed_part(network) is not None:
        return False
    parameters = tuple(network.parameters())
    if any(parameter.dtype not in (torch.float32, torch.float64) for parameter in parameters):
        return False
    return sum(parameter.numel() for parameter in parameters) <= MOST_WEIGHTS


def weights(network: nn.Module) -> bytes:
    """Return the weights of a :class:`Network`, layer by layer, as little-endian float32."""
    import torch

    return b"".join(
        parameter.detach().to("cpu", torch.float32).contiguous().numpy().astype("<f4").tobytes()
        for parameter in network.parameters()
    )


def samples(run: Run) -> tuple[Mapping[str, Any], ...]:
    """Return some of the run's test rows; none where its data is not here, or is no longer the same."""
    return material(run)[0]


@lru_cache(maxsize=1)
def material(run: Run) -> tuple[tuple[Mapping[str, Any], ...], int | None]:
    """Return :func:`samples`, and the largest pixel of the training rows, None where there are none of either."""
    import torch

    dataset = _dataset(run)
    if dataset is None:
        return (), None
    inputs = dataset.train.inputs
    return _some_rows(run, dataset), int(inputs.max()) if inputs.dtype == torch.uint8 and inputs.numel() else None


def _some_rows(run: Run, dataset: Dataset) -> tuple[Mapping[str, Any], ...]:
    import torch

    split = dataset.test
    count = max(1, min(len(split), MOST_SAMPLES, _MOST_VALUES // run.preprocessing.features))
    rows = []
    # Rows stand class by class, or class after class in turn: taken in steps of the golden ratio they are of all parts.
    for place in sorted(range(len(split)), key=lambda place: place * 0.6180339887498949 % 1)[:count]:
        inputs = split.inputs[place]
        if inputs.dtype == torch.uint8:
            content: dict[str, Any] = {"pixels": base64.b64encode(inputs.numpy().tobytes()).decode()}
        else:
            content = {"values": inputs.tolist()}
        rows.append({"index": place, "label": run.classes[int(split.labels[place])], **content})
    return tuple(rows)


def _dataset(run: Run) -> Dataset | None:
    from sumtoone.data import load, named
    from sumtoone.data.sources import SOURCES
    from sumtoone.errors import SumtooneError

    if run.data in SOURCES and named.find(SOURCES[run.data]) is None:
        return None
    try:
        dataset = load(run.data, label=run.label, weight=run.weight).in_order(run.columns)
    except SumtooneError:
        return None
    # Of other rows, some may be those it was trained on.
    return dataset if dataset.fingerprint == run.fingerprint else None


def _epochs(run: Run, folder: Path | None) -> tuple[int, ...]:
    if folder is None:
        return ()
    from sumtoone import snapshots

    return snapshots.epochs(folder)


def to_bytes(value: object) -> bytes:
    """Return plain values as JSON in which NaN is null."""
    return json.dumps(finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
