"""Predicting formation energies with trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from matgen_networks.regression import EnergyPredictor
from matgen_transformer import Shape, TransformerOptions, model


class Transformer(EnergyPredictor):
    """A trained transformer; NaN for an element that it does not know."""

    options: TransformerOptions
    method = "transformer"
    inputs = staticmethod(model.inputs)

    @staticmethod
    def network_of(described: Mapping[str, Any]) -> model.Network:
        """The network of a card's size, on the device ``meta``."""
        with torch.device("meta"):  # no memory before the tensors are known to fit
            return model.Network(Shape(**described))
