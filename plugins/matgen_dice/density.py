"""Where in the space of codes compounds lie: densities fitted to the training codes.

All of them are mixtures of Gaussians, from a single one (``gaussian``) to one around each of many
training codes (``kernel``), so one class stores and samples them all.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

PREFIX = "density."
"""Of the names under which densities are stored beside the networks."""
NAMES = ("gaussian", "mixture", "kernel")
COMPONENTS = 32
"""Gaussians of ``mixture``."""
CENTRES = 8192
"""Training codes of ``kernel``."""
BANDWIDTH = 0.8
"""Width of a kernel as a share of the codes' own spread: near 0 training compounds come back, at
1 nothing is left of them but mean and covariance. Chosen by the yield of new valid candidates."""


@dataclass(frozen=True)
class Density:
    """A mixture of K Gaussians over codes of width D.

    Attributes:
        shares: of the components, float32 [K].
        means: float32 [K, D].
        factors: L of each covariance L·Lᵀ, float32 [K, D, D], or [1, D, D] for one they share.
    """

    shares: Tensor
    means: Tensor
    factors: Tensor

    def sample(self, n: int, random: torch.Generator) -> Tensor:
        """`n` codes, float32 [n, D]."""
        drawn = torch.multinomial(self.shares, max(n, 1), replacement=True, generator=random)
        component = drawn[:n]  # multinomial refuses to draw none
        noise = torch.randn(n, self.means.shape[1], generator=random)
        codes = self.means[component]
        if len(self.factors) == 1:
            return codes + noise @ self.factors[0].T
        for k, factor in enumerate(self.factors):
            codes[component == k] += noise[component == k] @ factor.T
        return codes


def fit(codes: NDArray[np.float32], seed: int) -> dict[str, Density]:
    """Every density of `matgen_dice.DiceOptions.density`.

    Args:
        codes: of training compounds, [N, D].
        seed: of the mixture's first guess and of the choice of centres.
    """
    from sklearn.exceptions import ConvergenceWarning  # slow to import, and not needed to sample
    from sklearn.mixture import GaussianMixture

    width = codes.shape[1]
    covariance = np.cov(codes.T)
    # Directions that no code uses keep a little width, or there would be no factor.
    floor = 1e-4 * covariance.trace() / width
    factor = np.linalg.cholesky(covariance + floor * np.eye(width))[None]
    mixture = GaussianMixture(
        min(COMPONENTS, len(codes)), reg_covar=floor, max_iter=30, tol=1e-2, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # thirty steps come near enough
        mixture.fit(codes)
    factors = np.linalg.cholesky(mixture.covariances_)
    # Drawn towards the mean, so that the smoothed density keeps the codes' covariance
    # (Silverman and Young, Biometrika 74:469, 1987).
    mean = codes.mean(axis=0)
    centres = np.random.default_rng(seed).permutation(codes)[:CENTRES]
    centres = mean + math.sqrt(1 - BANDWIDTH**2) * (centres - mean)
    return {
        "gaussian": _density([1.0], mean[None], factor),
        "mixture": _density(mixture.weights_, mixture.means_, factors),
        "kernel": _density(np.ones(len(centres)) / len(centres), centres, BANDWIDTH * factor),
    }


def _density(*arrays: ArrayLike) -> Density:
    # Rounded as it is stored, so that what is measured is what is shipped.
    return Density(*(torch.from_numpy(np.asarray(a, np.float16)).float() for a in arrays))


def stored(densities: Mapping[str, Density]) -> dict[str, Tensor]:
    """Densities as tensors by name."""
    return {
        f"{PREFIX}{name}.{field}": tensor
        for name, density in densities.items()
        for field, tensor in asdict(density).items()
    }


def load(tensors: Mapping[str, Tensor], width: int) -> dict[str, Density]:
    """Every density among `stored` tensors, of codes of a width.

    Raises:
        ValueError: one is not there, or is no density of such codes.
    """
    densities = {name: _load(tensors, name, width) for name in NAMES}
    known = {f"{PREFIX}{name}.{field.name}" for name in NAMES for field in fields(Density)}
    if surplus := tensors.keys() - known:
        raise ValueError(f"{', '.join(sorted(surplus))} is no part of a density")
    return densities


def _load(tensors: Mapping[str, Tensor], name: str, width: int) -> Density:
    names = [f"{PREFIX}{name}.{field.name}" for field in fields(Density)]
    if absent := [name for name in names if name not in tensors]:
        raise ValueError(f"{', '.join(absent)} is missing")
    density = Density(*(tensors[name] for name in names))
    n = len(density.shares) if density.shares.ndim else 0
    shapes = [tuple(t.shape) for t in (density.shares, density.means, density.factors)]
    if shapes not in [[(n,), (n, width), (k, width, width)] for k in (1, n)]:
        raise ValueError(f"the density {name} has the shapes {shapes} for codes of {width}")
    if any(not t.is_floating_point() for t in (density.shares, density.means, density.factors)):
        raise ValueError(f"the density {name} is not of floating point")
    if not n or not (density.shares >= 0).all() or not density.shares.sum() > 0:
        raise ValueError(f"the density {name} has no shares")
    return density
