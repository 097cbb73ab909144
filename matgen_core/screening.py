"""Validators over the user's own formulas: every input row comes out, in order."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from matgen_core.compositions import Compositions
from matgen_core.errors import DataError
from matgen_core.interfaces import Validator
from matgen_core.tables import open_table

if TYPE_CHECKING:
    import pandas as pd

STDIN = 0
CHUNK = 50_000
"""Rows in memory at once."""


@dataclass
class Report:
    """Counts of rows: all, with a readable formula, passed by validator."""

    rows: int = 0
    readable: int = 0
    passed: dict[str, int] = field(default_factory=dict)


def screen(
    source: str,
    checks: Mapping[str, Validator],
    output: Path | None,
    *,
    column: str = "formula",
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """Add a bool column a validator, and an ``error`` column, to a table of formulas.

    A row whose formula cannot be read keeps its place: its verdicts are False and ``error``
    holds the reason.

    Args:
        source: a CSV file with a header, a text file of one formula a line, or ``-`` for
            either of them on stdin.
        checks: validators by name.
        output: a ``.csv``, ``.jsonl`` or ``.parquet`` file; None for CSV on stdout.
        column: name of the formula column.
        progress: called after each chunk with the number of rows done.

    Raises:
        DataError: the input is absent, empty, or has no such column; or the output cannot be
            written.
    """
    report = Report(passed=dict.fromkeys(checks, 0))
    with ExitStack() as stack:
        try:
            lines = stack.enter_context(
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
        header, rows = _rows(source, lines, column)
        for name in (*checks, "error"):
            if name in header:
                raise DataError(f"{source} has a column {name!r} already: rename it first")
        table = stack.enter_context(open_table(output)) if output else None
        for chunk in _chunks(source, rows):
            frame = _verdicts(header, chunk, checks, column)
            if table is None:
                sys.stdout.write(frame.to_csv(index=False, header=not report.rows))
            else:
                table.write(frame)
            report.rows += len(frame)
            report.readable += int((frame["error"] == "").sum())
            for name in checks:
                report.passed[name] += int(frame[name].sum())
            progress(report.rows)
    return report


def _rows(source: str, lines: TextIO, column: str) -> tuple[list[str], Iterator[list[str]]]:
    """Header and rows; a file whose first line does not name the column is plain text."""
    first = next(lines, "")
    if not first.strip():
        raise DataError(f"{source} is empty")
    try:
        header = [name.strip() for name in next(csv.reader([first]))]
    except csv.Error as error:
        raise DataError(f"cannot read {source}: {error}") from error
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{source} has two columns {name!r}: rename one of them")
    if column in header:
        return header, csv.reader(lines)
    if len(header) > 1 or source.endswith(".csv"):
        raise DataError(
            f"{source} has no column {column!r} but {', '.join(map(repr, header))}: "
            "name the column of formulas with --column"
        )
    return [column], ([line.strip()] for line in chain([first], lines))


def _chunks(source: str, rows: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    """Rows by the chunk; at least one chunk, so that a header without rows is a table too."""
    rows = iter(rows)
    try:
        chunk = list(islice(rows, CHUNK))
        yield chunk
        while chunk := list(islice(rows, CHUNK)):
            yield chunk
    except csv.Error as error:
        raise DataError(f"cannot read {source}: {error}") from error


def _verdicts(
    header: list[str], rows: list[list[str]], checks: Mapping[str, Validator], column: str
) -> pd.DataFrame:
    import pandas as pd

    width = len(header)
    frame = pd.DataFrame([(row + [""] * width)[:width] for row in rows], columns=header, dtype=str)
    compositions, errors = Compositions.parse(frame[column])
    for place, row in enumerate(rows):
        if len(row) > width:
            surplus = f"{len(row) - width} fields more than the header: {row[width:]}"
            errors[place] = f"{errors[place]}; {surplus}" if place in errors else surplus
    for name, validator in checks.items():
        frame[name] = validator.check(compositions)
    frame["error"] = [errors.get(place, "") for place in range(len(rows))]
    return frame
