"""ElemNet: the published layers, and its input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from pymatgen.core import Composition
from test_regression import counts
from torch import nn

from matgen_core import Compositions
from matgen_elemnet import PRESETS, model
from matgen_networks.regression import ELEMENTS, inside


def test_layers_are_the_published_ones() -> None:
    linears = [layer for layer in model.Network() if isinstance(layer, nn.Linear)]
    widths = [1024] * 4 + [512] * 3 + [256] * 3 + [128] * 3 + [64] * 2 + [32, 1]
    assert [layer.in_features for layer in linears] == [86, *widths[:-1]]
    assert [layer.out_features for layer in linears] == widths
    assert sum(p.numel() for p in model.Network().parameters()) == 4_631_361


def test_dropout_stands_after_the_first_four_blocks() -> None:
    layers = list(model.Network())
    places = [i for i, layer in enumerate(layers) if isinstance(layer, model.Dropout)]
    assert [layers[i - 2].out_features for i in places] == [1024, 512, 256, 128]
    assert all(isinstance(layers[i - 1], nn.ReLU) for i in places)
    assert PRESETS["published"].dropout == (0.2, 0.1, 0.3, 0.2)
    assert isinstance(layers[-1], nn.Linear)  # no ReLU: the last layer's value may be negative


def test_dropout_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropout, x = model.Dropout(), torch.full((100_000,), 3.0)
    dropout.share.fill_(0.25)
    assert (dropout.eval()(x) == x).all()
    dropped = dropout.train()(x)
    assert dropped.unique().tolist() == [0, 4]
    assert dropped.mean().item() == pytest.approx(3, abs=0.05)


@given(counts)
def test_fractions_are_pymatgens(batch: list[dict[str, int]]) -> None:
    formulas = ["".join(f"{s}{n}" for s, n in counts.items()) for counts in batch]
    compositions = Compositions.from_formulas(formulas)
    assert inside(compositions).all()
    (ours,) = model.inputs(compositions)
    theirs = [
        [Composition(formula).get_atomic_fraction(symbol) for symbol in ELEMENTS]
        for formula in formulas
    ]
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)
