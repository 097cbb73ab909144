"""``matgen screen``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matgen_core.cli import options
from matgen_core.cli.render import print_json, print_table, progress_bar


def screen(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="A CSV with a formula column, a text file, or - for stdin."
        ),
    ],
    validators: Annotated[str, typer.Option(help="Validators to ask.")] = "charge,eneg",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A .csv, .jsonl or .parquet file.  [default: INPUT.screened.csv; CSV on stdout "
            "for -]",
        ),
    ] = None,
    column: Annotated[str, typer.Option(help="Name of the CSV's formula column.")] = "formula",
    assignments: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Validate your own formulas: every row comes back, in order, with its verdicts."""
    from matgen_core import screening
    from matgen_core.config import parse_assignments
    from matgen_core.errors import InvalidOption
    from matgen_core.registry import discover

    registry = discover()
    names = options.names(validators) or []
    settings = parse_assignments(assignments or [], names)
    checks = {name: registry.create("validator", name, settings.get(name)) for name in names}
    if output is None and source != "-":
        output = Path(f"{source.removesuffix(Path(source).suffix)}.screened.csv")
    if output is None and as_json:
        raise InvalidOption("--json: the table goes to stdout already, name a file with --output")
    with progress_bar("screening", None) as advance:
        report = screening.screen(source, checks, output, column=column, progress=advance)
    if as_json:
        print_json(vars(report))
    elif output is not None:
        rows = [("rows", report.rows), ("readable", report.readable), *report.passed.items()]
        print_table(str(source), ("", "rows"), rows)
        print(f"every row with its verdicts: {output}")
