"""Cleaned data sets, and how they are split."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matgen_core.compositions import Compositions, splitmix64

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CleaningStep:
    """What one cleaning rule did to a data set."""

    rule: str
    dropped: int
    left: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Cleaned data, one row a reduced formula.

    Attributes:
        name: name of the source it came from.
        compositions: reduced, N rows, all different.
        properties: float64 [N] by property name, e.g. ``formation_energy`` in eV/atom.
        rows_in: rows read before any rule.
        steps: the rules in the order they were applied.
        rejected: the input rows that could not be read, with the columns ``row``, ``formula``
            and ``reason``; None where every row could.
        attribution: whom to credit, and the licence.
        published_count: rows that the paper reports after its own cleaning; None if it has none.
    """

    name: str
    compositions: Compositions
    properties: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    rows_in: int = 0
    steps: tuple[CleaningStep, ...] = ()
    rejected: pd.DataFrame | None = None
    attribution: str = ""
    published_count: int | None = None

    def __getitem__(self, rows: NDArray[Any]) -> Dataset:
        return replace(
            self,
            compositions=self.compositions[rows],
            properties={name: values[rows] for name, values in self.properties.items()},
        )


def held_out(compositions: Compositions, fraction: float = 0.1, seed: int = 0) -> NDArray[np.bool_]:
    """Which compounds are kept from training, bool [N].

    The choice hangs on the reduced formula and the seed alone: no polymorph, multiple or copy
    of a held-out compound can be among the training rows, of this data set or of another.

    Args:
        compositions: N rows; a multiple counts as its reduced formula.
        fraction: share that is held out, 0 <= fraction < 1.
        seed: of the choice.
    """
    salt = splitmix64(np.array([seed], np.uint64))
    draw = splitmix64(compositions.reduced().fingerprints() ^ salt)
    return draw < np.uint64(fraction * 2.0**64)
