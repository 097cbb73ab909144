"""Tables as people see them, and JSON as programs do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

# What is shown may come from a file: [/b] in its name is no markup, :pig: no picture.
console = Console(markup=False, emoji=False)
stderr = Console(stderr=True, markup=False, emoji=False)


def print_json(content: Any) -> None:
    """JSON on stdout, plain."""
    print(json.dumps(content, indent=2, default=str))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str | None = None
) -> None:
    """A table on stdout; numbers stand on the right."""
    rows = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for place, column in enumerate(columns):
        numeric = any(isinstance(row[place], int | float) for row in rows)
        table.add_column(
            column, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric
        )
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.1%}" if isinstance(value, float) else str(value)


@contextmanager
def progress_bar(name: str, total: int | None) -> Iterator[Any]:
    """A bar on stderr; yields a function that takes the number done so far."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda done: bar.update(task, completed=done)
