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
        rows: number of each row in the input, as a user counts it, int64 [N]; None where
            the source has no rows to speak of.
        split: the part that each compound plays in a published split, uint8 [N] of the roles of
            `matgen_core.weights.Known`; None where there is none.
        rows_in: rows read before any rule.
        steps: the rules in the order they were applied.
        rejected: the input rows that cannot be used, with the columns ``row``, ``formula``
            and ``reason``; None where every row can.
        attribution: whom to credit, and the licence.
        published_count: rows that the paper reports after its own cleaning; None if it has none.
    """

    name: str
    compositions: Compositions
    properties: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    rows: NDArray[np.int64] | None = None
    split: NDArray[np.uint8] | None = None
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
            rows=None if self.rows is None else self.rows[rows],
            split=None if self.split is None else self.split[rows],
        )

    def without(self, bad: NDArray[np.bool_], rule: str) -> Dataset:
        """The rows that are not `bad`, bool [N]; the others move to `rejected`, none is lost."""
        if not bad.any():
            return self
        import pandas as pd

        aside = pd.DataFrame(
            {
                "row": [None] * int(bad.sum()) if self.rows is None else self.rows[bad],
                "formula": self.compositions[bad].to_formulas(),
                "reason": rule,
            }
        )
        step = CleaningStep(rule, len(aside), int(np.count_nonzero(~bad)))
        return replace(
            self[~bad],
            steps=(*self.steps, step),
            rejected=aside
            if self.rejected is None
            else pd.concat([self.rejected, aside], ignore_index=True),
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
