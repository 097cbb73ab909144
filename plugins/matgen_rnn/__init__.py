"""A recurrent network that writes compositions element by element, and the weights trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from matgen_core import Component, Options, Training, Weights, hookimpl


class RnnRecipe(Options):
    """How the network is trained: the likelihood of the known compounds is maximised.

    Rounds may follow, in which that of its own new candidates is.
    """

    width: int = Field(256, ge=2, le=8192, multiple_of=2, description="Units of a layer.")
    layers: int = Field(2, ge=1, le=16, description="Recurrent layers, one above the other.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Between the layers, while training.")
    lr: float = Field(2e-3, gt=0, description="AdamW's learning rate.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's.")
    batch_size: int = Field(64, ge=1, description="Compounds per step.")
    epochs: float = Field(6, gt=0, description="Passes over the training set.")
    decay: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Last share of the training over which the rate falls linearly to zero.",
    )
    rounds: int = Field(
        0,
        ge=0,
        le=100,
        description="How often the network, once it has learned the known compounds, goes on to "
        "learn from its own samples: from the new candidates among them (Gulcehre et al., "
        "arXiv:2308.08998).",
    )
    drawn: int = Field(
        200_000, ge=1, description="Samples drawn for a round, and samples learned from in it."
    )
    temperature: float = Field(
        1.5, gt=0, le=10, description="What logits are divided by when these are drawn."
    )
    interval: int = Field(1000, ge=1, description="Steps between two evaluations and checkpoints.")
    evaluate: int = Field(4096, ge=1, description="Samples drawn at each evaluation.")


class RnnOptions(Options):
    """Options of the generator `rnn`."""

    temperature: float = Field(
        1.0,
        gt=0,
        le=10,
        description="What logits are divided by. Below 1: likelier compositions, more of them "
        "valid and known; above 1: more of them new.",
    )
    batch_size: int = Field(512, ge=1, description="Samples computed at once.")


PRESETS = {
    "default": RnnRecipe(),
    # Few of its samples are known compounds.
    "novel": RnnRecipe(rounds=3),
}
WEIGHTS = Path(__file__).parent / "weights"


@hookimpl
def matgen_generators() -> Iterable[Component]:
    yield Component(
        "rnn",
        "matgen_rnn.generator:Rnn",
        options=RnnOptions,
        summary="recurrent network that writes compositions element by element",
        cite="arXiv:1406.1078 (the gated recurrent unit)",
        training=Training("matgen_rnn.train:train", RnnRecipe, PRESETS),
        needs_weights=True,
    )


@hookimpl
def matgen_weights() -> Iterable[Weights]:
    yield from Weights.in_folder(WEIGHTS, "rnn")
