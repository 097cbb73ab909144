"""ElemNet: formation energy from composition, by a deep network on element fractions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from matgen_core import Component, Options, Training, Weights, hookimpl

PAPER = "doi:10.1038/s41598-018-35934-y"


class ElemNetRecipe(Options):
    """How an ElemNet is trained. The defaults are the published ones."""

    lr: float = Field(1e-4, gt=0, description="Adam's learning rate.")
    batch_size: int = Field(32, ge=1, description="Compounds per step.")
    epochs: float = Field(884, gt=0, description="Passes over the training set.")
    decay: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Last share of the training over which rate and dropout fall linearly to zero.",
    )
    dropout: tuple[float, float, float, float] = Field(
        (0.2, 0.1, 0.3, 0.2), description="Share of units dropped after each of the four blocks."
    )
    averaging: float = Field(
        0.0, ge=0, lt=1, description="Decay of the running average of the weights shipped."
    )
    interval: int = Field(
        2000, ge=1, description="Steps between two looks at the validation compounds."
    )


class ElemNetOptions(Options):
    """Options of the predictor `elemnet`."""

    batch_size: int = Field(512, ge=1, description="Compositions computed at once.")


PRESETS = {
    "published": ElemNetRecipe(),
    # As accurate with a hundredth of the steps: an hour on one CPU core.
    "default": ElemNetRecipe(lr=1e-3, batch_size=256, epochs=60, decay=1.0, averaging=0.999),
}
WEIGHTS = Path(__file__).parent / "weights"


@hookimpl
def matgen_predictors() -> Iterable[Component]:
    yield Component(
        "elemnet",
        "matgen_elemnet.predictor:ElemNet",
        options=ElemNetOptions,
        summary="formation energy per atom, deep network on element fractions",
        cite=PAPER,
        training=Training(
            "matgen_elemnet.train:train",
            ElemNetRecipe,
            PRESETS,
            target="formation_energy",
            domain="matgen_networks.regression:inside",
        ),
        needs_weights=True,
        default_weights="elemnet-oqmd",
    )


@hookimpl
def matgen_weights() -> Iterable[Weights]:
    yield from Weights.in_folder(WEIGHTS, "elemnet")
