"""The paper's generator: a Wasserstein GAN over 85×8 grids, and the weights trained with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from matgen_core import Component, Options, Training, Weights, hookimpl
from matgen_networks.tables import COMPACT, LARGE, Network, Width

PAPER = "doi:10.1038/s41524-020-00352-0"

Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=32)]


class Dense(Options):
    """Generator and critic of dense layers, in place of the paper's tables."""

    latent: Width = Field(32, description="Signs, plus or minus one, that a sample is made from.")
    generator: Widths = Field((512, 1024), description="Units of the generator's hidden layers.")
    critic: Widths = Field((512, 512), description="Units of the critic's hidden layers.")


class WganRecipe(Options):
    """How a WGAN is trained. The defaults are the paper's, for all that presets don't set."""

    network: Network | Dense = Field(description="Layers of the two networks.")
    loss: Literal["gradient-penalty", "weight-clipping"] = Field(
        "gradient-penalty",
        description="How the critic is kept 1-Lipschitz: the penalty of the authors' released "
        "code (Gulrajani et al., arXiv:1704.00028), or clipping (Arjovsky et al., "
        "arXiv:1701.07875).",
    )
    metric: Literal["l2", "l1"] = Field(
        "l2",
        description="Between grids, what the gradient penalty lets the score rise by one over: "
        "Euclidean distance (the released code's), or the sum over all cells (Adler & Lunz, "
        "arXiv:1806.06621), by which one element too many is no small thing.",
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
        description="Last share of the training over which learning rates fall linearly to zero.",
    )
    averaging: float = Field(
        0.0, ge=0, lt=1, description="Decay of the running average of generator weights shipped."
    )
    interval: int = Field(
        500, ge=1, description="Generator steps between two evaluations and checkpoints."
    )
    evaluate: int = Field(8192, ge=1, description="Samples drawn at each evaluation.")


class WganOptions(Options):
    """Options of the generator `wgan`."""

    batch_size: int = Field(default=1024, ge=1, description="Samples computed at once.")


PRESETS = {
    # The paper's networks with the paper's hyperparameters.
    "oqmd": WganRecipe(network=LARGE),
    "mp": WganRecipe(network=COMPACT, batch_size=32),
    "icsd": WganRecipe(network=COMPACT, batch_size=32),
    # The paper's smaller network with rates at which it does not collapse on a CPU's budget.
    "compact": WganRecipe(
        network=COMPACT,
        lr_generator=3e-4,
        lr_critic=3e-4,
        batch_size=32,
        critic_steps=3,
        epochs=20,
        decay=0.5,
        averaging=0.998,
    ),
    # No table of the paper's: what gains most from a CPU's budget.
    "dense": WganRecipe(
        network=Dense(),
        metric="l1",
        lr_generator=2e-4,
        lr_critic=1e-3,
        batch_size=64,
        epochs=12,
        decay=1.0,
        averaging=0.998,
        interval=1000,
    ),
}
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
