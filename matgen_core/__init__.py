"""matgen: generate hypothetical inorganic compositions and keep the chemically valid ones."""

from __future__ import annotations

from matgen_core.compositions import Compositions
from matgen_core.datasets import Dataset
from matgen_core.errors import MatgenError
from matgen_core.hookspecs import hookimpl
from matgen_core.interfaces import Encoder, Generator, Options, Predictor, Source, Validator
from matgen_core.pipeline import Pipeline
from matgen_core.registry import Component, Registry, Training, Weights, discover

__version__ = "0.1.0"

__all__ = [
    "Component",
    "Compositions",
    "Dataset",
    "Encoder",
    "Generator",
    "MatgenError",
    "Options",
    "Pipeline",
    "Predictor",
    "Registry",
    "Source",
    "Training",
    "Validator",
    "Weights",
    "discover",
    "hookimpl",
]
