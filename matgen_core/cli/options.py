"""Command-line options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.  [default: auto]")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="COMPONENT.OPTION=VALUE", help="Set an option; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def names(text: str | None) -> list[str] | None:
    """The comma-separated names of an option, None where it was not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
