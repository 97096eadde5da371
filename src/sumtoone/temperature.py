"""One temperature for a network's logits: the one that makes labels likeliest, and the network that has it built in.

Shape suffixes: N rows, K classes.

References
----------
Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sumtoone.network import Network, changed_part

if TYPE_CHECKING:
    from collections.abc import Iterator

# A temperature outside of these is none that rows tell of: all of them were right, or the network knows nothing.
LOWEST, HIGHEST = 1e-3, 1e3
# Of rows x classes: so many logits are in float64 at a time.
_BLOCK = 2**20


def fitted(logits_NK: NDArray[np.float32], labels_N: NDArray[np.int64]) -> float | None:
    """Return the temperature at which the labels are likeliest; None where that is at neither end of a search.

    The loss is convex in 1 / T. Its slope, the mean over rows of the expected logit less that of the label, rises with
    it and is 0 at one place, or nowhere: rows that are all right call for a temperature of 0, and a network that is
    worse than chance for an infinite one.
    """
    from scipy.optimize import brentq

    def slope(log_sharpness: float) -> float:
        return loss_and_slope(logits_NK, labels_N, float(np.exp(log_sharpness)))[1]

    ends = -np.log(HIGHEST), -np.log(LOWEST)
    if not slope(ends[0]) < 0 < slope(ends[1]):
        return None
    return float(np.exp(-brentq(slope, *ends, xtol=1e-12)))


def loss_and_slope(
    logits_NK: NDArray[np.float32], labels_N: NDArray[np.int64], sharpness: float
) -> tuple[float, float]:
    """Return the mean negative log-likelihood in nats at a temperature of 1 / ``sharpness``, and its slope in that."""
    loss = slope = 0.0
    for z_NK, places_N in _blocks(logits_NK, labels_N):
        own = z_NK[np.arange(len(z_NK)), places_N]
        weights = np.exp(sharpness * z_NK)
        total = weights.sum(axis=1)
        loss += float((np.log(total) - sharpness * own).sum())
        slope += float(((weights * z_NK).sum(axis=1) / total - own).sum())
    return loss / len(labels_N), slope / len(labels_N)


def _blocks(
    logits_NK: NDArray[np.float32], labels_N: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Yield rows in float64, their largest logit 0, and their labels."""
    step = max(1, _BLOCK // logits_NK.shape[1])
    for start in range(0, len(labels_N), step):
        z_NK = logits_NK[start : start + step].astype(np.float64)
        yield z_NK - z_NK.max(axis=1, keepdims=True), labels_N[start : start + step]


class Tempered(nn.Module):
    """A module whose logits are divided by a temperature."""

    def __init__(self, module: nn.Module, temperature: float) -> None:
        super().__init__()
        self.module, self.temperature = module, temperature

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, K) for rows (N, D)."""
        logits: Tensor = self.module(x)
        return logits / self.temperature


def tempered(network: nn.Module, temperature: float) -> nn.Module:
    """Return a network whose logits are those of another, divided by a temperature; itself where that is 1.

    Of a :class:`Network` it is another Network with the last layer divided, so that whatever takes one takes it; of
    any other module, and where that would round or overflow, the module and a division.

    >>> network = Network("2-3")
    >>> bool(torch.allclose(tempered(network, 4.0)(torch.ones(2)), network(torch.ones(2)) / 4))
    True
    """
    if temperature == 1:
        return network
    folded = _folded(network, temperature) if type(network) is Network and changed_part(network) is None else None
    return Tempered(network, temperature).train(network.training) if folded is None else folded


@torch.inference_mode(False)  # what is made for a first answer serves later for gradients, too
def _folded(network: Network, temperature: float) -> Network | None:
    made, last = copy.deepcopy(network), f"layers.{len(network.layers) - 1}"
    for name in ("weight", "bias"):
        parameter = made.get_parameter(f"{last}.{name}")
        divided = (parameter.detach().double() / temperature).to(parameter.dtype)
        if parameter.dtype not in (torch.float32, torch.float64) or not divided.isfinite().all():
            return None
        # In its place, not into it: another layer may share it.
        setattr(made.get_submodule(last), name, nn.Parameter(divided, requires_grad=parameter.requires_grad))
    return made
