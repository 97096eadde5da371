"""What data is known by: a digest of all of it, and marks of its splits that cost nothing beside a training."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from sumtoone.data.dataset import Dataset
    from sumtoone.data.split import Split

# Rows here and there of which a mark is made.
_SAMPLED = 64


def fingerprint_of(dataset: Dataset) -> str:
    """Return the sha256 over all rows, labels and classes, in hexadecimal: equal exactly for equal data."""
    digest = hashlib.sha256(repr((dataset.classes, dataset.image_shape)).encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        digest.update(repr((tuple(split.inputs.shape), split.inputs.dtype)).encode())
        digest.update(split.inputs.contiguous().numpy().data)
        digest.update(split.labels.contiguous().numpy().data)
    return digest.hexdigest()


def marks_of(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return what a run remembers of the splits of its data set: their rows, counted, and a digest of each."""
    parts = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    return {name: {"rows": len(part), "digest": mark_of(part)} for name, part in parts.items()}


def mark_of(split: Split) -> str:
    """Return a digest over the labels and 64 rows here and there."""
    digest = hashlib.sha256(repr((tuple(split.inputs.shape), split.inputs.dtype)).encode())
    digest.update(split.labels.contiguous().numpy().data)
    places = torch.linspace(0, max(0, len(split) - 1), min(_SAMPLED, len(split))).long()
    digest.update(split.inputs[places].contiguous().numpy().data)
    return digest.hexdigest()
