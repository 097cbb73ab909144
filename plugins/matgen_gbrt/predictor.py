"""Predicting with trained trees."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from matgen_core.compositions import Compositions
from matgen_core.errors import WeightsError
from matgen_core.interfaces import Options, Predictor
from matgen_core.weights import WeightsDir
from matgen_gbrt import descriptors
from matgen_gbrt.forest import Forest

BATCH = 40_000
"""Compositions described at once: about 100 MB."""


class _Trees(Predictor):
    """What both predictors share: trees over `descriptors`; `finish` tells them apart."""

    def __init__(
        self, options: Options, weights: WeightsDir | None = None, device: str = "auto"
    ) -> None:
        super().__init__(options, weights, device)
        if weights is None:
            raise WeightsError("a predictor of trees needs weights")
        try:
            tensors = load_file(weights.verified(WeightsDir.TENSORS))
            self.forest = Forest.from_tensors(tensors)
            self.forest.check(descriptors.width())
        # KeyError and the like: of a type that numpy does not have.
        except (SafetensorError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise WeightsError(f"{weights.path} holds no trees: {error}") from error
        if weights.card.model.get("descriptors") != descriptors.identity():
            raise WeightsError(
                f"{weights.path} was trained with other data on the elements: "
                f"`pip install SMACT=={weights.card.training.get('SMACT', '4.0.2')}`, or train anew"
            )

    def predict(self, compositions: Compositions) -> NDArray[np.float64]:
        """Values, float64 [N]; NaN for an element of which Magpie does not know all."""
        values = np.full(len(compositions), np.nan)
        inside = np.flatnonzero(descriptors.inside(compositions))
        for start in range(0, len(inside), BATCH):
            rows = inside[start : start + BATCH]
            values[rows] = self.finish(self.forest.sum(descriptors.describe(compositions[rows])))
        return values

    @staticmethod
    def finish(total: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the trees' sum, float64 [N], stands for."""
        raise NotImplementedError


class Gap(_Trees):
    """The band gap that a composition has if it is no metal."""

    property: ClassVar[str] = "band_gap"
    unit: ClassVar[str] = "eV"

    @staticmethod
    def finish(total: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gaps in eV: none is negative."""
        return np.maximum(total, 0.0)


class Metal(_Trees):
    """How probable it is that a composition is a metal."""

    property: ClassVar[str] = "metal"
    unit: ClassVar[str] = "probability"

    @staticmethod
    def finish(total: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities, of log-odds."""
        return np.exp(-np.logaddexp(0.0, -total))
