"""Cleaning rules, each of which says how many rows it dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_core.datasets import CleaningStep


class Cleaning:
    """The rows of a table that are left after the rules applied so far.

    Attributes:
        reasons: why a formula could not be read, by its row in the input.
        rows: rows of the input that are left, int [N].
        compositions: their reduced compositions, N rows.
        steps: what each rule did.
    """

    def __init__(self, formulas: Iterable[str]) -> None:
        """Read the formulas: the first rule drops those that cannot be read."""
        parsed, self.reasons = Compositions.parse(formulas)
        self.compositions = parsed.reduced()
        self.rows: NDArray[np.intp] = np.arange(len(parsed))
        self.steps: list[CleaningStep] = []
        self.drop("unreadable formula", self.compositions.n_elements == 0)

    def drop(self, rule: str, bad: NDArray[np.bool_]) -> None:
        """Drop the rows where `bad`, bool [N], is true."""
        self._keep(rule, np.flatnonzero(~bad))

    def merge(self, rule: str, values: NDArray[np.float64]) -> None:
        """Keep one row a formula: the lowest of `values` [N], the first of equals, NaN last.

        The formulas left stand in the order of their first appearance.
        """
        _, first, group = np.unique(
            self.compositions.fingerprints(), return_index=True, return_inverse=True
        )
        order = np.lexsort((values, group))  # stable
        lowest = order[np.searchsorted(group[order], np.arange(len(first)))]
        self._keep(rule, lowest[np.argsort(first)])

    def _keep(self, rule: str, places: NDArray[np.intp]) -> None:
        dropped = len(self.rows) - len(places)
        self.rows = self.rows[places]
        self.compositions = self.compositions[places]
        self.steps.append(CleaningStep(rule, dropped, len(places)))


def rejected(
    reasons: Mapping[int, str], lines: Sequence[int], formulas: Sequence[str]
) -> pd.DataFrame | None:
    """The table `Dataset.rejected` of the rows with a reason; None if there is none.

    Args:
        reasons: by row of the input.
        lines: the number a user knows each row by.
        formulas: as they were written.
    """
    rows = sorted(reasons)
    if not rows:
        return None
    return pd.DataFrame(
        {
            "row": [lines[row] for row in rows],
            "formula": [formulas[row] for row in rows],
            "reason": [reasons[row] for row in rows],
        }
    )
