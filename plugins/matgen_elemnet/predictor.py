"""Predicting formation energies with trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matgen_elemnet import ElemNetOptions, model
from matgen_networks.regression import EnergyPredictor


class ElemNet(EnergyPredictor):
    """A trained ElemNet; NaN for an element it does not know."""

    options: ElemNetOptions
    method = "ElemNet"
    inputs = staticmethod(model.inputs)

    @staticmethod
    def network_of(described: Mapping[str, Any]) -> model.Network:
        """The one network there is; its blocks stand on the card for the reader."""
        return model.Network()
