"""Which rows of a table come out, and in which order: ``where``, ``sort`` and ``top``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from matgen_core.errors import InvalidOption, UnknownName
from matgen_core.where import Where

if TYPE_CHECKING:
    import pandas as pd


class Selection:
    """What was asked for, checked against the columns there will be.

    Args:
        columns: the type of each column: float, str or bool.
        where: an expression (see `matgen_core.where`) that rows must pass; "" for all.
        sort: a column to sort by, with a leading ``-`` from the greatest down; "" for none.
        top: how many rows to keep; None for all.

    Raises:
        WhereError: the expression cannot be understood.
        UnknownName: there is no such column to sort by.
        InvalidOption: `top` is not positive.
    """

    def __init__(
        self, columns: Mapping[str, type], where: str = "", sort: str = "", top: int | None = None
    ) -> None:
        self.where = Where(where, columns) if where else None
        self.sort = sort.removeprefix("-")
        self.descending = sort.startswith("-")
        self.top = top
        if sort and self.sort not in columns:
            raise UnknownName.of("column to sort by", self.sort, columns)
        if top is not None and top < 1:
            raise InvalidOption(f"top = {top}: keep at least one row")


class SelectedRows:
    """Takes the rows of a table batch by batch and writes those selected.

    Unsorted rows are written as they come. Sorted ones wait for `finish`: all of them, or with
    `Selection.top` never more than twice so many and a batch.

    Args:
        selection: what to write.
        write: takes each batch of rows.

    Attributes:
        passed: rows so far that passed `Selection.where`.
    """

    def __init__(self, selection: Selection, write: Callable[[pd.DataFrame], object]) -> None:
        self.passed = 0
        self._selection = selection
        self._write = write
        self._waiting: list[pd.DataFrame] = []

    def add(self, frame: pd.DataFrame) -> None:
        """Take the next batch."""
        where, top = self._selection.where, self._selection.top
        if where is not None:
            frame = frame[where(frame)]
        if self._selection.sort:
            if len(frame) or not self._waiting:  # of nothing but empty ones, one has the columns
                self._waiting.append(frame)
            if top is not None and sum(map(len, self._waiting)) > 2 * top:
                self._waiting = [self._sorted()]
        else:
            self._write(frame if top is None else frame.head(max(top - self.passed, 0)))
        self.passed += len(frame)

    def finish(self) -> None:
        """Write the rows that wait; there are none unless they are to be sorted."""
        if self._waiting:
            self._write(self._sorted())

    def _sorted(self) -> pd.DataFrame:
        """The rows that wait, in order and cut at the top; ties as they came, NaN last."""
        import pandas as pd

        frame = pd.concat(self._waiting, ignore_index=True).sort_values(
            self._selection.sort, ascending=not self._selection.descending, kind="stable"
        )
        return frame[: self._selection.top]
