"""The user's own CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from matgen_core.datasets import Dataset
from matgen_core.errors import DataError
from matgen_core.interfaces import Source
from matgen_core.textfiles import check_header, lines
from matgen_data import CsvOptions
from matgen_data.cleaning import Cleaning, rejected

_MISSING = ("", "-", "na", "n/a", "nan", "none", "null")
"""Cells, in lower case, that stand for a number nobody knows."""


class CsvFile(Source):
    """A column of formulas; every column that is mostly numbers becomes a property.

    Rows that cannot be read are listed in `Dataset.rejected` by their line in the file, the
    first line being 1. Other columns, such as names or comments, are ignored.
    """

    options: CsvOptions

    def load(self) -> Dataset:
        """Read the file and merge rows of one reduced formula; a missing number becomes NaN.

        Raises:
            DataError: it cannot be read, lacks a column that was asked for, or has no good row.
        """
        path = self.options.path.expanduser()
        header, places, rows = _read(path, self.options.delimiter)
        if self.options.formula not in header:
            raise DataError(
                f"{path} has no column {self.options.formula!r}, only {_listed(header)}: "
                "set the option `formula` (or `delimiter`)"
            )
        where = header.index(self.options.formula)
        formulas = [row[where] if where < len(row) else "" for row in rows]
        cleaning = Cleaning(formulas)

        ragged = np.array([len(row) != len(header) for row in rows])
        cleaning.drop("too few or too many cells", ragged[cleaning.rows])
        reasons = {
            int(i): f"{len(rows[i])} cells where the header has {len(header)}"
            for i in np.flatnonzero(ragged)
        }

        whole = np.flatnonzero(~ragged)
        properties: dict[str, NDArray[np.float64]] = {}
        for column, name in enumerate(header):
            if column == where:
                continue
            cells = [rows[i][column].strip() for i in whole]
            numbers, bad = _numbers(cells)
            if numbers is None:
                continue
            properties[name] = np.full(len(rows), np.nan)
            properties[name][whole] = numbers
            reasons |= {
                int(whole[i]): f"{name}: {cells[i]!r} is no number" for i in np.flatnonzero(bad)
            }
            cleaning.drop(f"{name} is no number", np.isin(cleaning.rows, whole[bad]))

        reasons |= cleaning.reasons
        if not len(cleaning.rows):
            worst = min(reasons)
            raise DataError(f"{path} has no readable row; line {places[worst]}: {reasons[worst]}")
        self._merge(cleaning, properties)
        return Dataset(
            name="csv",
            compositions=cleaning.compositions,
            properties={name: values[cleaning.rows] for name, values in properties.items()},
            rows=np.array(places)[cleaning.rows],
            rows_in=len(rows),
            steps=tuple(cleaning.steps),
            rejected=rejected(reasons, places, formulas),
            attribution=f"the user's file {path.name}",
        )

    def _merge(self, cleaning: Cleaning, properties: dict[str, NDArray[np.float64]]) -> None:
        lowest = self.options.lowest
        if lowest is None:
            cleaning.merge("same reduced formula, not the first", np.zeros(len(cleaning.rows)))
            return
        if lowest not in properties:
            raise DataError(
                f"{self.options.path} has no column of numbers {lowest!r}, "
                f"only {_listed(properties) or 'none at all'}: rename a column, or set the "
                "option `lowest`"
            )
        rule = f"same reduced formula, {lowest} not the lowest"
        cleaning.merge(rule, properties[lowest][cleaning.rows])


def _read(path: Path, delimiter: str) -> tuple[list[str], list[int], list[list[str]]]:
    """Header, line number of each row, cells of each row; blank lines are no rows."""
    places: list[int] = []
    rows: list[list[str]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # Strict: a quote that is never closed would otherwise swallow the rest of the file.
            reader = csv.reader(lines(file, path), delimiter=delimiter, strict=True)
            try:
                header = [name.strip() for name in next(reader, [])]
                start = reader.line_num + 1
                for row in reader:
                    if row:
                        places.append(start)
                        rows.append(row)
                    start = reader.line_num + 1
            except csv.Error as error:
                raise DataError(f"{path}, line {reader.line_num}: {error}; mend the file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason}): save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if not any(header):
        raise DataError(f"{path} is empty: its first line must name the columns")
    check_header(header, path)
    if not rows:
        raise DataError(f"{path} has a header, but no rows")
    return header, places, rows


def _numbers(cells: list[str]) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_]]:
    """Values, NaN where missing, and which cells are neither number nor missing.

    The values are None unless more cells are numbers than are something else: a typing error
    among numbers costs its row, a number among comments costs nothing.
    """
    numbers = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(np.float64)
    good = np.isfinite(numbers)
    filled = np.array([cell.lower() not in _MISSING for cell in cells], np.bool_)
    bad = filled & ~good
    if np.count_nonzero(good) <= np.count_nonzero(bad):
        return None, bad
    return np.where(good, numbers, np.nan), bad


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
