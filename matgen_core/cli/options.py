"""Command-line options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.  [default: auto]")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="COMPONENT.OPTION=VALUE", help="Set an option; repeatable."),
]
Predictors = Annotated[
    str | None, typer.Option(help="Predictors (or their weights), a column each.")
]
Where = Annotated[
    str | None,
    typer.Option(
        metavar="EXPRESSION", help="Keep rows that pass, e.g. 'band_gap > 1.5 and not eneg'."
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Sort by a column; -COLUMN for the greatest first."),
]
Top = Annotated[int | None, typer.Option(help="Keep only so many rows: the first when sorted.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def names(text: str | None) -> list[str] | None:
    """The comma-separated names of an option, None where it was not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
