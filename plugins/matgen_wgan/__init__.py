"""The paper's generator: a Wasserstein GAN over 85×8 grids, and the weights trained with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from matgen_core import Component, Options, Training, Weights, hookimpl
from matgen_networks.tables import COMPACT, LARGE, Network, Width

PAPER = "doi:10.1038/s41524-020-00352-0"


class WganRecipe(Options):
    """How a WGAN is trained. The defaults are the paper's, for all that presets don't set.

    Rounds may follow, in which its own new candidates are what the critic takes for real.
    """

    network: Network = Field(description="Layers of the two networks.")
    loss: Literal["gradient-penalty", "weight-clipping"] = Field(
        "gradient-penalty",
        description="How the critic is kept 1-Lipschitz: the penalty of the authors' released "
        "code (Gulrajani et al., arXiv:1704.00028), or clipping (Arjovsky et al., "
        "arXiv:1701.07875).",
    )
    generator: tuple[Width, ...] = Field(
        (),
        max_length=16,
        description="Widths of a generator of dense layers, instead of the network's transposed "
        "convolutions; the elements of a sample share a number drawn from known compounds'.",
    )
    critic: tuple[Width, ...] = Field(
        (),
        max_length=16,
        description="Widths of a critic of dense layers, instead of the network's convolutions.",
    )
    penalty: float = Field(10.0, gt=0, description="Weight of the gradient penalty.")
    clip: float = Field(0.01, gt=0, description="Bound of the critic's weights when clipping.")
    lr_generator: float = Field(1e-3, gt=0, description="Adam's learning rate, generator.")
    lr_critic: float = Field(1e-2, gt=0, description="Adam's learning rate, critic.")
    betas: tuple[float, float] = Field((0.5, 0.9), description="Adam's decay rates.")
    batch_size: int = Field(512, ge=2, description="Compounds per critic step.")
    critic_steps: int = Field(1, ge=1, description="Critic steps per generator step.")
    epochs: float = Field(1000, gt=0, description="Passes of the critic over the training set.")
    decay: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Last share of the training over which learning rates fall linearly to zero. "
        "In each round they fall again.",
    )
    averaging: float = Field(
        0.0, ge=0, lt=1, description="Decay of the running average of generator weights shipped."
    )
    rounds: int = Field(
        0,
        ge=0,
        le=100,
        description="How often the network, after its epochs, goes on to learn from its own "
        "samples: from the new candidates among them (Gulcehre et al., arXiv:2308.08998).",
    )
    drawn: int = Field(
        100_000, ge=1, description="Samples drawn for a round, and samples learned from in it."
    )
    interval: int = Field(
        500, ge=1, description="Generator steps between two evaluations and checkpoints."
    )
    evaluate: int = Field(8192, ge=1, description="Samples drawn at each evaluation.")


class WganOptions(Options):
    """Options of the generator `wgan`."""

    exact: bool = Field(
        False,
        description="Set exactly as many elements as drawn, each with one count: samples have the "
        "numbers of elements of the known compounds, and fewer are different. Of generators of "
        "dense layers only.",
    )
    batch_size: int = Field(512, ge=1, description="Samples computed at once.")


PRESETS = {
    # The paper's networks with the paper's hyperparameters.
    "oqmd": WganRecipe(network=LARGE),
    "mp": WganRecipe(network=COMPACT, batch_size=32),
    "icsd": WganRecipe(network=COMPACT, batch_size=32),
    # What learned most in a CPU's time.
    "dense": WganRecipe(
        network=COMPACT,
        generator=(2048,),
        critic=(512, 512),
        lr_generator=3e-4,
        lr_critic=3e-4,
        batch_size=160,
        critic_steps=5,
        epochs=80,
        decay=0.5,
        averaging=0.998,
    ),
}
# The same, told by the validators what passes.
PRESETS["novel"] = PRESETS["dense"].model_copy(update={"rounds": 4})
WEIGHTS = Path(__file__).parent / "weights"


@hookimpl
def matgen_generators() -> Iterable[Component]:
    yield Component(
        "wgan",
        "matgen_wgan.generator:Wgan",
        options=WganOptions,
        summary="Wasserstein GAN over one-hot grids",
        cite=PAPER,
        training=Training("matgen_wgan.train:train", WganRecipe, PRESETS),
        needs_weights=True,
    )


@hookimpl
def matgen_weights() -> Iterable[Weights]:
    yield from Weights.in_folder(WEIGHTS, "wgan")
