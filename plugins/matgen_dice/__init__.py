"""The paper's autoencoder: 85×8 grids to 128-wide codes and back, and a density of the codes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from matgen_core import Component, Options, Training, Weights, hookimpl
from matgen_networks.tables import COMPACT, LARGE, Layer, Network

PAPER = "doi:10.1038/s41524-020-00352-0"


class DiceRecipe(Options):
    """How an autoencoder is trained. The defaults are the paper's."""

    network: Network = Field(description="Layers of the two networks.")
    lr: float = Field(1e-3, gt=0, description="Adam's learning rate.")
    batch_size: int = Field(1024, ge=2, description="Compounds per step.")
    epochs: float = Field(1000, gt=0, description="Passes over the training set.")
    decay: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Last share of the training over which the rate falls linearly to zero.",
    )
    interval: int = Field(500, ge=1, description="Steps between two evaluations and checkpoints.")
    evaluate: int = Field(
        4096, ge=1, description="Compounds reconstructed, and samples drawn, at each evaluation."
    )


class DiceOptions(Options):
    """Options of the generator `dice`."""

    density: Literal["gaussian", "mixture", "kernel"] = Field(
        "kernel",
        description="Where codes are sampled: one Gaussian fitted to the training codes, a "
        "mixture of Gaussians, or around training codes, smoothed.",
    )
    batch_size: int = Field(256, ge=1, description="Samples computed at once.")


# Supplementary Table 2: the layers of GAN-OQMD, but a first feature map of 5×4. On the short axis
# two zeros are added, on the long one a single.
_INNERMOST = {"kernel": 5, "stride": (2, 2), "padding": (1, 2)}
_PAPER = LARGE.model_copy(
    update={
        "deconvolutions": (Layer(filters=128, **_INNERMOST), *LARGE.deconvolutions[1:]),
        "convolutions": (*LARGE.convolutions[:-1], Layer(filters=256, **_INNERMOST)),
    }
)
PRESETS = {
    **dict.fromkeys(("oqmd", "mp", "icsd"), DiceRecipe(network=_PAPER)),
    # A sixth of the operations, and the many small steps that a CPU's budget needs.
    "compact": DiceRecipe(
        network=COMPACT, lr=3e-3, batch_size=64, epochs=4, decay=0.5, interval=1000, evaluate=2048
    ),
}
WEIGHTS = Path(__file__).parent / "weights"


@hookimpl
def matgen_generators() -> Iterable[Component]:
    yield Component(
        "dice",
        "matgen_dice.generator:Dice",
        options=DiceOptions,
        summary="autoencoder trained with the Dice loss, sampled around its codes",
        cite=PAPER,
        training=Training("matgen_dice.train:train", DiceRecipe, PRESETS),
        needs_weights=True,
    )


@hookimpl
def matgen_weights() -> Iterable[Weights]:
    yield from Weights.in_folder(WEIGHTS, "dice")
