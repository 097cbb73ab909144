"""A matgen plugin: what it provides, by name. Nothing heavy is imported until it is used."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from matgen_core import Component, Options, hookimpl


class RandomOptions(Options):
    """Options of the generator `random`."""

    max_elements: int = Field(5, ge=2, le=8, description="Most elements in a composition.")


@hookimpl
def matgen_generators() -> Iterable[Component]:
    """The generator `random`."""
    yield Component(
        "random",
        "matgen_random.generator:UniformRandom",
        options=RandomOptions,
        summary="elements and counts drawn uniformly: the baseline to beat",
    )


@hookimpl
def matgen_validators() -> Iterable[Component]:
    """The validator `no-radioactive`."""
    yield Component(
        "no-radioactive",
        "matgen_random.validator:NoRadioactive",
        summary="every element has a stable isotope, or bismuth's",
    )


@hookimpl
def matgen_predictors() -> Iterable[Component]:
    """The predictor `molar-mass`."""
    yield Component(
        "molar-mass", "matgen_random.predictor:MolarMass", summary="mass of a formula unit"
    )
