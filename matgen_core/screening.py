"""Validators and predictors over the user's own formulas: every row comes out, in order."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matgen_core import asking
from matgen_core.compositions import Compositions
from matgen_core.errors import DataError, PluginError
from matgen_core.interfaces import Predictor, Validator
from matgen_core.predictors import Predictors
from matgen_core.selection import SelectedRows, Selection
from matgen_core.tables import as_csv, open_table
from matgen_core.textfiles import check_header, lines

if TYPE_CHECKING:
    import pandas as pd

STDIN = 0
CHUNK = 50_000
"""Rows in memory at once."""
CELLS = 2_000_000
"""Cells in memory at once: of a wide table there are fewer rows, or short rows would fill it."""


@dataclass
class Report:
    """Counts of rows.

    Attributes:
        rows: all of the input.
        readable: with a formula that can be read.
        passed: by validator.
        units: of the predicted columns.
        outside_domain: rows that a predictor saw and gave NaN, by column.
        passed_where: rows that passed `where`; None without it.
        rows_written: all, unless a selection was asked for.
    """

    rows: int = 0
    readable: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    outside_domain: dict[str, int] = field(default_factory=dict)
    passed_where: int | None = None
    rows_written: int = 0


def screen(
    source: str,
    checks: Mapping[str, Validator],
    output: Path | None,
    *,
    predictors: Mapping[str, Predictor] | None = None,
    where: str = "",
    sort: str = "",
    top: int | None = None,
    column: str = "formula",
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """Add a column a validator and a predictor, and an ``error`` column, to a table of formulas.

    A row whose formula cannot be read keeps its place: its verdicts are False and ``error``
    holds the reason. Predictors see the rows without error that pass all validators; the others
    get NaN. Rows that are to be sorted are in memory until the end, or with `top` about that
    many.

    Args:
        source: a CSV file with a header, a text file of one formula a line, or ``-`` for
            either of them on stdin.
        checks: validators by name.
        predictors: predictors by name.
        where: rows to write, a `matgen_core.where` expression; the input's columns are text.
        sort: column to sort by; with a leading ``-`` from the greatest down.
        top: how many rows to write.
        output: a ``.csv``, ``.jsonl`` or ``.parquet`` file; None for CSV on stdout.
        column: name of the formula column.
        progress: called after each chunk with the number of rows done.

    Raises:
        DataError: the input is absent, empty, or has no such column; or the output cannot be
            written.
        InvalidOption, UnknownName: the selection names what is not there.
        PluginError: a validator or predictor failed or broke its contract; rows finished before
            that are kept.
    """
    models = Predictors(predictors or {}, taken=checks)
    report = Report(
        passed=dict.fromkeys(checks, 0),
        units=models.units,
        outside_domain=dict.fromkeys(models.units, 0),
    )
    with ExitStack() as stack:
        header, chunks = stack.enter_context(
            reading(source, column, added=(*checks, *models.units, "error"))
        )
        columns: dict[str, type] = dict.fromkeys((*header, "error"), str)
        columns |= dict.fromkeys(checks, bool) | dict.fromkeys(models.units, float)
        selection = Selection(columns, where, sort, top)
        table = stack.enter_context(open_table(output)) if output else Stdout()
        selected = SelectedRows(selection, table.write)
        stack.callback(selected.finish)  # also after Ctrl-C
        for chunk in chunks:
            try:
                frame, asked = _verdicts(header, chunk, checks, models, column)
            except PluginError as error:
                raise PluginError(f"{error}; {report.rows:,} rows were finished before") from error
            selected.add(frame)
            report.rows += len(frame)
            report.readable += int((frame["error"] == "").sum())
            for name in checks:
                report.passed[name] += int(frame[name].sum())
            for name in models.units:
                report.outside_domain[name] += int(frame[name][asked].isna().sum())
            progress(report.rows)
    report.passed_where = selected.passed if where else None
    report.rows_written = table.rows
    return report


@contextmanager
def reading(
    source: str, column: str, added: Iterable[str]
) -> Iterator[tuple[list[str], Iterator[list[list[str]]]]]:
    """Open a table of formulas; yields its header, and its rows `CHUNK` at a time.

    Args:
        source: a CSV file with a header, a text file of one formula a line, or ``-`` for either
            of them on stdin.
        column: name of the formula column.
        added: columns that will be put beside those of the table.

    Raises:
        DataError: the input is absent, empty, has no such column, or one that will be added.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(
                open(
                    STDIN if source == "-" else source,
                    encoding="utf-8-sig",
                    errors="backslashreplace",
                    newline="",
                    closefd=source != "-",
                )
            )
        except OSError as error:
            raise DataError(f"cannot read {source}: {error.strerror}") from error
        header, rows = _rows(source, lines(file, source), column)
        for name in added:
            if name in header:
                raise DataError(f"{source} has a column {name!r} already: rename it first")
        yield header, _chunks(source, rows, min(CHUNK, CELLS // len(header)))


def parsed(
    header: list[str], rows: list[list[str]], column: str
) -> tuple[pd.DataFrame, Compositions, dict[int, str]]:
    """A chunk as a frame of text, its compositions, and by row why one cannot be read."""
    import pandas as pd

    width = len(header)
    frame = pd.DataFrame([(row + [""] * width)[:width] for row in rows], columns=header, dtype=str)
    compositions, errors = Compositions.parse(frame[column])
    for place, row in enumerate(rows):
        if len(row) > width:
            surplus = f"{len(row) - width} fields more than the header: {row[width:]}"
            errors[place] = f"{errors[place]}; {surplus}" if place in errors else surplus
    return frame, compositions, errors


class Stdout:
    """A table on stdout: CSV, header first."""

    rows = 0
    _begun = False

    def write(self, frame: pd.DataFrame) -> None:
        """Print a batch."""
        sys.stdout.write(as_csv(frame, header=not self._begun))
        self._begun = True
        self.rows += len(frame)


def _rows(source: str, lines: Iterator[str], column: str) -> tuple[list[str], Iterator[list[str]]]:
    """Header and rows; a file whose first line does not name the column is plain text."""
    first = next(lines, "")
    if not first.strip():
        raise DataError(f"{source} is empty")
    try:
        header = [name.strip() for name in next(csv.reader([first]))]
    except csv.Error as error:
        raise DataError(f"cannot read {source}: {error}") from error
    check_header(header, source)
    if column in header:
        return header, csv.reader(lines)
    if len(header) > 1 or source.endswith(".csv"):
        raise DataError(
            f"{source} has no column {column!r} but {', '.join(map(repr, header))}: "
            "name the column of formulas with --column"
        )
    return [column], ([line.strip()] for line in chain([first], lines))


def _chunks(source: str, rows: Iterable[list[str]], size: int) -> Iterator[list[list[str]]]:
    """Rows, `size` at a time; at least one chunk, so that a header without rows is a table too."""
    rows = iter(rows)
    try:
        chunk = list(islice(rows, size))
        yield chunk
        while chunk := list(islice(rows, size)):
            yield chunk
    except csv.Error as error:
        raise DataError(f"cannot read {source}: {error}") from error


def _verdicts(
    header: list[str],
    rows: list[list[str]],
    checks: Mapping[str, Validator],
    models: Predictors,
    column: str,
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """The finished rows, and which of them predictors were asked about, bool [N]."""
    frame, compositions, errors = parsed(header, rows, column)
    n = len(frame)
    asked = np.ones(n, np.bool_)
    asked[list(errors)] = False
    for name, validator in checks.items():
        verdict = asking.verdicts(validator, compositions)
        frame[name] = verdict
        asked &= verdict
    for name, values in models.predict(compositions, asked).items():
        frame[name] = values
    frame["error"] = [errors.get(place, "") for place in range(n)]
    return frame, asked
