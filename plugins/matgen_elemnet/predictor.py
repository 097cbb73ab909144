"""Predicting formation energies with trained weights."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_core.errors import WeightsError
from matgen_core.interfaces import Predictor
from matgen_core.weights import WeightsDir
from matgen_elemnet import ElemNetOptions, model
from matgen_networks import device as devices
from matgen_networks import stored


class ElemNet(Predictor):
    """A trained ElemNet; NaN for an element it does not know."""

    options: ElemNetOptions
    property: ClassVar[str] = "formation_energy"
    unit: ClassVar[str] = "eV/atom"

    def __init__(
        self, options: ElemNetOptions, weights: WeightsDir | None = None, device: str = "auto"
    ) -> None:
        super().__init__(options, weights, device)
        if weights is None:
            raise WeightsError("elemnet needs weights")
        self.torch_device = devices.resolve(device)
        self.network = model.Network()
        try:
            if weights.card.model.get("elements") != list(model.ELEMENTS):
                raise ValueError("its elements are others")
            stored.fill(self.network, stored.read(weights))
        except ValueError as error:
            raise WeightsError(f"{weights.path} holds no ElemNet: {error}") from error
        self.network.eval().to(self.torch_device)

    def predict(self, compositions: Compositions) -> NDArray[np.float64]:
        """Formation energies in eV/atom, float64 [N]."""
        inside = model.inside(compositions)
        values = np.full(len(compositions), np.nan)
        values[inside] = predict(self.network, compositions[inside], self.options.batch_size)
        return values


@torch.inference_mode()
def predict(
    network: model.Network, compositions: Compositions, batch_size: int
) -> NDArray[np.float64]:
    """Values of N compositions that are all `model.inside`, float64 [N]."""
    device = next(network.parameters()).device
    values = np.empty(len(compositions))
    for start in range(0, len(compositions), batch_size):
        rows = slice(start, start + batch_size)
        x = model.fractions(compositions[rows]).to(device)
        values[rows] = network(x).squeeze(1).cpu().numpy()
    return values
