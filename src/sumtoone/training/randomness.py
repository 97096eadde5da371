"""The one seeded source that every engine draws its batch order and its dropout from."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derived_seed(seed: int, purpose: str, epoch: int) -> int:
    """Return a seed of its own for each purpose and epoch, so that an epoch can be drawn without those before it."""
    digest = hashlib.sha256(f"{seed} {purpose} {epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def batch_order(seed: int, epoch: int, rows: int) -> Tensor:
    """Return the order (N,) in which an epoch visits the training rows, the same for every engine and device.

    >>> batch_order(seed=0, epoch=1, rows=5).sort().values
    tensor([0, 1, 2, 3, 4])
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "order", epoch))
    return torch.randperm(rows, generator=generator)


class Orders:
    """The orders of a training's epochs, of which the latest is kept."""

    def __init__(self, seed: int, rows: int, device: torch.device) -> None:
        self._seed, self._rows, self._device = seed, rows, device
        self._epoch, self._order_N = -1, torch.empty(0, dtype=torch.int64)

    def of(self, epoch: int) -> Tensor:
        """Return :func:`batch_order` of an epoch, on the device."""
        if epoch != self._epoch:
            self._epoch, self._order_N = epoch, batch_order(self._seed, epoch, self._rows).to(self._device)
        return self._order_N
