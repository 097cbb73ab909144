"""A transformer: formation energy from composition, by attention among a compound's elements."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from matgen_core import Component, Options, Training, Weights, hookimpl


class Shape(Options):
    """The network's size, which its card notes."""

    width: int = Field(128, ge=8, le=4096, multiple_of=8, description="Numbers an element carries.")
    layers: int = Field(4, ge=1, le=64, description="Blocks, one above the other.")
    heads: Literal[1, 2, 4, 8] = Field(4, description="Ways in which a block attends.")


class TransformerRecipe(Shape):
    """How the network is trained: rates rise at first, then fall linearly to zero."""

    lr: float = Field(1e-3, gt=0, description="AdamW's learning rate at its highest.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's.")
    batch_size: int = Field(256, ge=1, description="Compounds per step.")
    epochs: float = Field(75, gt=0, description="Passes over the training set.")
    averaging: float = Field(
        0.999, ge=0, lt=1, description="Decay of the running average of the weights shipped."
    )
    interval: int = Field(
        2000, ge=1, description="Steps between two looks at the validation compounds."
    )


class TransformerOptions(Options):
    """Options of the predictor `transformer`."""

    batch_size: int = Field(512, ge=1, description="Compositions computed at once.")


WEIGHTS = Path(__file__).parent / "weights"


@hookimpl
def matgen_predictors() -> Iterable[Component]:
    yield Component(
        "transformer",
        "matgen_transformer.predictor:Transformer",
        options=TransformerOptions,
        summary="formation energy per atom, attention among a compound's elements",
        cite="arXiv:1706.03762 (attention)",
        training=Training(
            "matgen_transformer.train:train",
            TransformerRecipe,
            {"default": TransformerRecipe()},
            target="formation_energy",
            domain="matgen_networks.regression:inside",
        ),
        needs_weights=True,
        default_weights="transformer-oqmd",
    )


@hookimpl
def matgen_weights() -> Iterable[Weights]:
    yield from Weights.in_folder(WEIGHTS, "transformer")
