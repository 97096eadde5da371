"""What the files of a run hold, and the way back: format 2, with a reader for format 1.

A finished folder holds ``model.safetensors``, ``history.jsonl`` and ``run.json``; the last is written last and carries
the digests of the others, so that a folder with a ``run.json`` is whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from sumtoone import snapshots
from sumtoone.calibration import Calibration, still_true
from sumtoone.data.names import checked_columns, checked_weight
from sumtoone.data.preprocessing import Preprocessing
from sumtoone.description import check_keepable, describe, load_size, needed, restored, specification_of
from sumtoone.errors import RunError, SumtooneError
from sumtoone.history import MOST_ROW, History
from sumtoone.options import TrainingOptions
from sumtoone.run_folder import MOST_JSON, check_finished, held, read_file, remove_parts, told
from sumtoone.storage import json_from_bytes, json_to_bytes, tensors_from_bytes, tensors_to_bytes, write_atomically

if TYPE_CHECKING:
    from sumtoone.runs import Run

FORMAT = 2
WEIGHTS = "model.safetensors"
_KNOWN = (1, FORMAT)


def write(run: Run, folder: Path) -> None:
    """Write the three files of a finished run into a folder whose lock is held, ``run.json`` last."""
    check_keepable(run.network)
    try:
        History.from_json(run.history.to_json())
    except ValueError as error:
        raise RunError("run-history", given=str(error)) from None
    with told(folder):
        weights = tensors_to_bytes(run.network.state_dict())
        digests = {
            "model.safetensors": write_atomically(folder / "model.safetensors", weights),
            "history.jsonl": write_atomically(folder / "history.jsonl", run.history.to_bytes()),
            **snapshots.digests(folder),
        }
        document = {
            "format": FORMAT,
            **describe(run.network, run.preprocessing.features),
            "preprocessing": run.preprocessing.to_json(),
            "classes": list(run.classes),
            "options": run.options.to_json(),
            "data": {
                "source": run.data,
                "label": run.label,
                "fingerprint": run.fingerprint,
                "image_shape": run.image_shape,
                "columns": run.columns,
                "handwriting": run.handwriting,
                "splits": run.splits,
                "weight": run.weight,
            },
            "calibration": None if run.calibration is None else run.calibration.to_json(),
            "metrics": dict(run.metrics),
            **({"estimator": dict(run.estimator)} if run.estimator else {}),
            "environment": dict(run.environment),
            "digests": digests,
        }
        write_atomically(folder / "run.json", json_to_bytes(document))
        remove_parts(folder)


def add_metrics(folder: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Keep more measured numbers in a run's folder beside those that are there, and return them all."""
    with held(folder, wait=True):
        document = read_document(folder)
        document["metrics"] = {**document["metrics"], **metrics}
        with told(folder):
            write_atomically(folder / "run.json", json_to_bytes(document))
    return dict(document["metrics"])


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Put a calibration into the finished run in a folder whose lock is held, in place of one that is there.

    What was measured with another temperature goes from its metrics.
    """
    document, kept = read_document(folder), None
    if document.get("calibration") is not None:
        kept = Calibration.from_json(document["calibration"])
    document["metrics"] = still_true(document["metrics"], kept, calibration)
    document["calibration"] = calibration.to_json()
    with told(folder):
        write_atomically(folder / "run.json", json_to_bytes(document))


def read(folder: Path, network: nn.Module | None) -> dict[str, Any]:
    """Return what the run in a folder is made of, by the names that :class:`sumtoone.Run` gives it.

    Raises
    ------
    RunError
        If there is no run, it is unfinished, of a format that is not known, or damaged; if it needs a module.
    """
    check_finished(folder)
    document = read_document(folder)
    if document.get("format") not in _KNOWN:
        raise RunError("run-format", path=str(folder), given=document.get("format"), known=FORMAT)
    try:
        return _parts(folder, document, network)
    except (RunError, MemoryError):
        raise
    except Exception as error:
        # Whatever is in a file whose digest somebody put right: what reading it raises is open-ended.
        said = error.message if isinstance(error, SumtooneError) else str(error) or type(error).__name__
        raise RunError("run-damaged", given=f"{folder / 'run.json'}: {said.splitlines()[0]}") from None


def read_document(folder: Path) -> dict[str, Any]:
    """Return what stands in ``run.json``; :class:`RunError` if it is damaged or may not be read."""
    return read_file(folder / "run.json", MOST_JSON, json_from_bytes)


def _parts(folder: Path, document: Mapping[str, Any], network: nn.Module | None) -> dict[str, Any]:
    options = TrainingOptions.from_json(document["options"])
    preprocessing = Preprocessing.from_json(document["preprocessing"])
    classes = tuple(document["classes"])
    if not all(isinstance(name, str) for name in classes) or len(set(classes)) < len(classes):
        raise ValueError("classes without a name of their own")
    digests, data = document["digests"], document["data"]
    if document["specification"] is None:
        needed(document["module"]["class"], network, str(folder))
    else:
        sizes = specification_of(document["specification"])
        if (preprocessing.features, len(classes)) != (sizes.inputs, sizes.outputs):
            raise ValueError(f"{len(classes)} classes and {preprocessing.features} features for {sizes}")
    most = load_size(document, network)
    tensors = read_file(folder / "model.safetensors", most, tensors_from_bytes, str(digests["model.safetensors"]))
    most = MOST_ROW * options.epochs
    history = read_file(folder / "history.jsonl", most, History.from_bytes, str(digests["history.jsonl"]))
    metrics, measured_on, kept = document["metrics"], document["environment"], document.get("estimator", {})
    if not (isinstance(metrics, dict) and isinstance(measured_on, dict) and isinstance(kept, dict)):
        raise ValueError("metrics, environment or estimator without names")
    image_shape = None if data["image_shape"] is None else _image_shape(data["image_shape"], preprocessing.features)
    texts = [data["source"], data["label"], data["fingerprint"]]
    handwriting = data["handwriting"] if document["format"] > 1 else _was_handwriting(data["source"])
    if not all(isinstance(text, str) for text in texts) or type(handwriting) is not bool:
        raise ValueError("data without a name")
    # Runs of old have none of these.
    columns, calibration = data.get("columns"), document.get("calibration")
    return {
        "network": restored(document, tensors, network, preprocessing.features, str(folder)).eval(),
        "preprocessing": preprocessing,
        "classes": classes,
        "history": history,
        "options": options,
        "name": folder.resolve().name,
        "data": data["source"],
        "label": data["label"],
        "fingerprint": data["fingerprint"],
        "image_shape": image_shape,
        "columns": None if columns is None else checked_columns(columns, preprocessing.features),
        "handwriting": handwriting,
        "calibration": None if calibration is None else Calibration.from_json(calibration),
        "splits": _splits(data.get("splits", {})),
        "weight": checked_weight(data.get("weight")),
        "metrics": metrics,
        "environment": measured_on,
        "estimator": kept,
    }


def _splits(given: Any) -> dict[str, Any]:
    """Return what is known of a run's splits: all three of them, or nothing."""
    splits = {name: dict(given[name]) for name in ("train", "validation", "test")} if given else {}
    for known in splits.values():
        if type(known["rows"]) is not int or known["rows"] < 0 or not isinstance(known["digest"], str):
            raise ValueError("splits without rows")
    return splits


def _was_handwriting(source: Any) -> bool:
    """Format 1 did not say it: a data set's name did."""
    from sumtoone.data import named, sources

    return source == named.BUILT_IN or (source in sources.SOURCES and sources.SOURCES[source].handwriting)


def _image_shape(given: Any, features: int) -> tuple[int, ...]:
    shape = tuple(given)
    sizes = all(type(size) is int and size > 0 for size in shape)
    if not sizes or len(shape) not in (2, 3) or math.prod(shape) != features:
        raise ValueError(f"images of {shape} for {features} features")
    return shape
