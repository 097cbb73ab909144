"""Gradient-boosted trees on composition: the paper's band gap, and metal or not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from matgen_core import Component, Options, Training, Weights, hookimpl

PAPER = "doi:10.1038/s41524-020-00352-0"


class TreesRecipe(Options):
    """How trees are grown."""

    iterations: int = Field(ge=1, description="Trees grown at most; validation chooses.")
    learning_rate: float = Field(0.1, gt=0, le=1, description="Share of its step a tree takes.")
    leaves: int = Field(ge=2, le=32_000, description="Leaves of a tree, at most.")
    min_leaf: int = Field(5, ge=1, description="Compounds in a leaf, at least.")
    bins: int = Field(63, ge=2, le=255, description="Values of a descriptor told apart.")
    l2: float = Field(0.0, ge=0, description="Penalty on the leaves' values.")
    interval: int = Field(50, ge=1, description="Trees between two looks at the validation.")


GAP = TreesRecipe(iterations=400, leaves=255)
METAL = TreesRecipe(iterations=300, leaves=63)
WEIGHTS = Path(__file__).parent / "weights"


def _training(function: str, recipe: TreesRecipe) -> Training:
    return Training(
        f"matgen_gbrt.train:{function}",
        TreesRecipe,
        {"default": recipe},
        target="band_gap",
        domain="matgen_gbrt.descriptors:inside",
    )


@hookimpl
def matgen_predictors() -> Iterable[Component]:
    yield Component(
        "gbrt-gap",
        "matgen_gbrt.predictor:Gap",
        summary="band gap of a compound that has one, gradient-boosted trees",
        cite=PAPER,
        training=_training("train_gap", GAP),
        needs_weights=True,
        default_weights="gbrt-gap-mp",
    )
    yield Component(
        "gap-class",
        "matgen_gbrt.predictor:Metal",
        summary="probability of having no band gap, gradient-boosted trees",
        training=_training("train_metal", METAL),
        needs_weights=True,
        default_weights="gap-class-mp",
    )


@hookimpl
def matgen_weights() -> Iterable[Weights]:
    yield Weights("gbrt-gap-mp", "gbrt-gap", WEIGHTS / "gbrt-gap-mp")
    yield Weights("gap-class-mp", "gap-class", WEIGHTS / "gap-class-mp")
