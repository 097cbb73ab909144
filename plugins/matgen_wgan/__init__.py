"""The paper's generator: a Wasserstein GAN over 85×8 grids, and the weights trained with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from matgen_core import Component, Options, Training, Weights, hookimpl

PAPER = "doi:10.1038/s41524-020-00352-0"


class Layer(Options):
    """One convolution of the paper's tables."""

    filters: int
    kernel: int = 3
    stride: tuple[int, int] = (2, 1)


class Network(Options):
    """Layers of generator and critic, in the order of Supplementary Table 1."""

    latent: int = Field(128, description="Width of the random vector a sample is made from.")
    channels: int = Field(description="Channels of the generator's first feature map.")
    deconvolutions: tuple[Layer, ...] = Field(description="The generator's layers.")
    convolutions: tuple[Layer, ...] = Field(description="The critic's layers.")


class WganRecipe(Options):
    """How a WGAN is trained. The defaults are the paper's, for all that presets don't set."""

    network: Network
    loss: Literal["gradient-penalty", "weight-clipping"] = Field(
        "gradient-penalty",
        description="How the critic is kept 1-Lipschitz: the penalty of the authors' released "
        "code (Gulrajani et al., arXiv:1704.00028), or clipping (Arjovsky et al., "
        "arXiv:1701.07875).",
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


_OQMD = Network(
    channels=256,
    deconvolutions=(
        Layer(filters=128, kernel=5, stride=(2, 2)),
        Layer(filters=128),
        Layer(filters=64, stride=(1, 1)),
        Layer(filters=64),
        Layer(filters=32, stride=(1, 1)),
        Layer(filters=32),
        Layer(filters=1, stride=(1, 1)),
    ),
    convolutions=(
        Layer(filters=32, stride=(1, 1)),
        Layer(filters=32),
        Layer(filters=64, stride=(1, 1)),
        Layer(filters=64),
        Layer(filters=128, stride=(1, 1)),
        Layer(filters=128),
        Layer(filters=256, kernel=5, stride=(2, 2)),
    ),
)
_COMPACT = Network(
    channels=128,
    deconvolutions=(
        Layer(filters=64, kernel=5, stride=(2, 2)),
        Layer(filters=32),
        Layer(filters=16),
        Layer(filters=1),
    ),
    convolutions=(
        Layer(filters=16),
        Layer(filters=32),
        Layer(filters=64),
        Layer(filters=128, kernel=5, stride=(2, 2)),
    ),
)
PRESETS = {
    # The paper's networks with the paper's hyperparameters.
    "oqmd": WganRecipe(network=_OQMD),
    "mp": WganRecipe(network=_COMPACT, batch_size=32),
    "icsd": WganRecipe(network=_COMPACT, batch_size=32),
    # The paper's smaller network with rates at which it does not collapse on a CPU's budget.
    "compact": WganRecipe(
        network=_COMPACT,
        lr_generator=3e-4,
        lr_critic=3e-4,
        batch_size=32,
        critic_steps=3,
        epochs=20,
        decay=0.5,
        averaging=0.998,
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
    for card in sorted(WEIGHTS.glob("*/card.toml")):
        yield Weights(card.parent.name, "wgan", card.parent)
