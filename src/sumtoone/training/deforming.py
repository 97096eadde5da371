"""Pictures deformed many at a time: displacement fields as two small matrix products, then one bilinear look-up.

Shape suffixes: N rows, B pictures of a block, D values of a row, C channels, H height, W width, R factors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sumtoone.deformation import Deformation

# Of the variance of the elastic field so much is drawn; what is left out is finer than its smoothness.
_KEPT = 0.999
# More pictures at a time leave the processor's caches.
_AT_ONCE = 512


class Deformer:
    """Deforms pictures of one shape.

    A picture's value at p comes from p + d(p), with the nearest pixel's beyond the border: the background goes on, be
    it black or white. The displacement in both directions is ``rows @ coefficients @ columns``. The affine part is
    such a product of (1, y) and (1, x), and so is a Gaussian field with covariance exp(-|p - q|² / 4σ²), which is
    white noise smoothed by a Gaussian of σ (Simard, Steinkraus & Platt 2003), once the covariance of a column and of
    a row are split into their eigenvectors.

    Parameters
    ----------
    deformation
        The amounts.
    image_shape
        (H, W) or (H, W, C) of a row.
    """

    def __init__(self, deformation: Deformation, image_shape: tuple[int, ...], device: torch.device) -> None:
        self._deformation, self._device = deformation, device
        self._height, self._width, self._channels = (*image_shape, 1)[:3]
        smoothness = deformation.smoothness if deformation.elastic else None
        self._rows_HR, self._columns_RW = (_factors(size, smoothness).to(device) for size in image_shape[:2])
        self._columns_RW = self._columns_RW.T.contiguous()
        # grid_sample counts from -1 to 1: only on sides of a power of two is each pixel's middle a float32.
        self._padding = [_power_of_two(size) - size for size in (self._height, self._width)]
        sides = [_power_of_two(size) for size in (self._width, self._height)]
        self._middles_2HW = torch.stack(
            torch.meshgrid(
                *(
                    (2 * torch.arange(size) + 1) / side - 1
                    for size, side in zip(image_shape[:2], sides[::-1], strict=True)
                ),
                indexing="ij",
            )[::-1]
        ).to(device)
        self._units_2 = 2 / torch.tensor(sides, dtype=torch.float32)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the coefficients (B, 2, R, R) of ``count`` displacement fields in pixels, first of x, then of y."""
        amounts = self._deformation
        across, down, turn, wide, high, slant = (2 * torch.rand(6, count, generator=generator) - 1).unbind()
        angle, slant = math.radians(amounts.rotation) * turn, amounts.shear * slant
        sine, cosine = angle.sin(), angle.cos()
        wide, high = 1 + amounts.scaling * wide, 1 + amounts.scaling * high
        shape = (count, 2, self._rows_HR.shape[1], self._columns_RW.shape[0])
        fields = torch.zeros(shape)
        if amounts.elastic:
            elastic = torch.randn((count, 2, shape[2] - 2, shape[3] - 2), generator=generator)
            fields[..., 2:, 2:] = amounts.elastic * elastic
        # Rotation times shear times the inverse of the scaling, less the picture where it is.
        fields[:, 0, 0, 0], fields[:, 1, 0, 0] = amounts.shift * across, amounts.shift * down
        fields[:, 0, 0, 1], fields[:, 0, 1, 0] = cosine / wide - 1, (cosine * slant - sine) / high
        fields[:, 1, 0, 1], fields[:, 1, 1, 0] = sine / wide, (sine * slant + cosine) / high - 1
        return fields

    def displacements(self, coefficients: Tensor) -> Tensor:
        """Return the displacement fields (B, 2, H, W) in pixels, first along x, then along y."""
        return self._rows_HR @ (coefficients @ self._columns_RW)

    def deformed(self, rows_ND: Tensor, coefficients: Tensor) -> Tensor:
        """Return rows of pictures deformed, in their own range: float32, or float64 of float64.

        Shape: ``rows_ND`` (N, D) uint8 or float; ``coefficients`` (N, 2, R, R) as :meth:`draw` gives them.
        """
        dtype = torch.float64 if rows_ND.dtype == torch.float64 else torch.float32
        result = torch.empty(rows_ND.shape, dtype=dtype, device=self._device)
        blocks = (tensor.split(_AT_ONCE) for tensor in (rows_ND, coefficients, result))
        for rows_BD, some, to_BD in zip(*blocks, strict=True):
            to_BD.copy_(self._block(rows_BD.to(dtype), some))
        return result

    def _block(self, rows_BD: Tensor, coefficients: Tensor) -> Tensor:
        shape = (self._channels, self._height, self._width)
        # Of one channel no value is moved.
        pictures = rows_BD.view(len(rows_BD), -1, self._channels).transpose(1, 2).reshape(-1, *shape)
        padded = F.pad(pictures, (0, self._padding[1], 0, self._padding[0]), mode="replicate")
        fields = self.displacements((coefficients * self._units_2[:, None, None]).to(self._device))
        grid = fields.add_(self._middles_2HW).permute(0, 2, 3, 1).to(rows_BD.dtype)
        sampled = F.grid_sample(padded, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return sampled.flatten(2).transpose(1, 2).reshape(len(rows_BD), -1)


def _factors(size: int, smoothness: float | None) -> Tensor:
    """Return (size, R): a column of ones, the places from the middle, and the factors of a smooth field."""
    places = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    affine = torch.stack([torch.ones_like(places), places], dim=1)
    if smoothness is None:
        return affine.float()
    covariance = (-((places[:, None] - places) ** 2) / (4 * smoothness**2)).exp()
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0), vectors.flip(1)
    kept = int((values.cumsum(0) < _KEPT * size).sum()) + 1
    return torch.cat([affine, vectors[:, :kept] * values[:kept].clamp(min=0).sqrt()], dim=1).float()


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()
