"""`Predictors`: the predicted columns of a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_core.errors import InvalidOption, PluginError
from matgen_core.interfaces import Predictor, checked


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
                    f"predictor {name!r} gives {column!r}, a column that the table has already"
                )
            owners[column] = name
        self.units = {predictor.property: predictor.unit for predictor in by_name.values()}

    def predict(
        self, compositions: Compositions, rows: NDArray[np.bool_]
    ) -> dict[str, NDArray[np.float64]]:
        """Float64 [N] by column: NaN where a model does not apply, and off the rows asked for.

        Raises:
            PluginError: a predictor broke its contract; the message names it.
        """
        asked = compositions[rows]
        columns = {}
        for name, predictor in self._by_name.items():
            values = np.full(len(compositions), np.nan)
            if len(asked):  # models need not know what to do with nothing
                values[rows] = checked(
                    f"predictor {name!r}", predictor.predict(asked), (len(asked),), "float64", "d"
                )
            columns[predictor.property] = values
        return columns
