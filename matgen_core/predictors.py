"""`Predictors`: the predicted columns of a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from matgen_core import asking
from matgen_core.compositions import Compositions
from matgen_core.errors import InvalidOption, PluginError
from matgen_core.interfaces import Predictor


class Predictors:
    """Some predictors, each of which gives one column: its property.

    Args:
        by_name: the predictors.
        taken: columns that the table has already.

    Attributes:
        units: by column.

    Raises:
        InvalidOption: two of them predict one property.
        PluginError: a property is called like a column that the table has already.
    """

    def __init__(self, by_name: Mapping[str, Predictor], taken: Collection[str]) -> None:
        self._by_name = by_name
        owners: dict[str, str] = {}
        for name, predictor in by_name.items():
            column = predictor.property
            if column in owners:
                raise InvalidOption(
                    f"predictors {owners[column]!r} and {name!r} both give {column!r}: choose one"
                )
            if column in taken:
                raise PluginError(
                    f"{predictor.owner} gives {column!r}, a column that the table has already: "
                    f"{asking.ADVICE}"
                )
            owners[column] = name
        self.units = {predictor.property: predictor.unit for predictor in by_name.values()}

    def predict(
        self, compositions: Compositions, rows: NDArray[np.bool_]
    ) -> dict[str, NDArray[np.float64]]:
        """Float64 [N] by column: NaN where a model does not apply, and off the rows asked for.

        Raises:
            PluginError: a predictor failed or broke its contract; the message names it.
        """
        asked = compositions[rows]
        columns = {}
        for predictor in self._by_name.values():
            values = np.full(len(compositions), np.nan)
            if len(asked):  # models need not know what to do with nothing
                values[rows] = asking.predictions(predictor, asked)
            columns[predictor.property] = values
        return columns
