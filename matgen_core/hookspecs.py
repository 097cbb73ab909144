"""The hooks a plugin may implement: one a kind, none takes an argument.

Each yields descriptors; nothing heavy may be imported to make them. A plugin is a module, named
by an entry point in the group ``matgen``, that holds functions of these names marked `hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from matgen_core.registry import Component, Weights

PROJECT = "matgen"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def matgen_sources() -> Iterable[Component]:  # type: ignore[empty-body]
    """Data sets: `matgen_core.Source`."""


@hookspec
def matgen_encoders() -> Iterable[Component]:  # type: ignore[empty-body]
    """Compositions to arrays and back: `matgen_core.Encoder`."""


@hookspec
def matgen_generators() -> Iterable[Component]:  # type: ignore[empty-body]
    """New samples: `matgen_core.Generator`."""


@hookspec
def matgen_validators() -> Iterable[Component]:  # type: ignore[empty-body]
    """Chemical sense: `matgen_core.Validator`."""


@hookspec
def matgen_predictors() -> Iterable[Component]:  # type: ignore[empty-body]
    """Properties: `matgen_core.Predictor`."""


@hookspec
def matgen_weights() -> Iterable[Weights]:  # type: ignore[empty-body]
    """Trained weights that the plugin ships."""
