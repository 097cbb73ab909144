"""``matgen screen``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

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
    predictors: options.Predictors = None,
    where: options.Where = None,
    sort: options.Sort = None,
    top: options.Top = None,
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
    device: options.Device = None,
    assignments: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Validate your own formulas: every row comes back, in order, with its verdicts.

    With --where, --sort or --top only those selected. Predictors see what passed.
    """
    from matgen_core import screening
    from matgen_core.config import parse_assignments
    from matgen_core.errors import InvalidOption
    from matgen_core.locks import claimed
    from matgen_core.registry import discover

    registry = discover()
    components = {
        (kind, name): registry.resolve(kind, name)[0].name
        for kind, given in (("validator", validators), ("predictor", predictors))
        for name in options.names(given) or []
    }
    settings = parse_assignments(assignments or [], components.values())
    created: dict[str, dict[str, Any]] = {"validator": {}, "predictor": {}}
    for (kind, name), component in components.items():
        created[kind][name] = registry.create(
            kind, name, settings.get(component), device=device or "auto"
        )
    if output is None and source != "-":
        output = Path(f"{source.removesuffix(Path(source).suffix)}.screened.csv")
    if output is None and as_json:
        raise InvalidOption("--json: the table goes to stdout already, name a file with --output")
    claim = nullcontext() if output is None else claimed(output)
    with claim, progress_bar("screening", None) as advance:
        report = screening.screen(
            source,
            created["validator"],
            output,
            predictors=created["predictor"],
            where=where or "",
            sort=sort or "",
            top=top,
            column=column,
            progress=advance,
        )
    if as_json:
        print_json(vars(report))
    elif output is not None:
        rows = [("rows", report.rows), ("readable", report.readable), *report.passed.items()]
        if report.passed_where is not None:
            rows.append(("passed --where", report.passed_where))
        print_table(str(source), ("", "rows"), rows)
        if report.rows_written < report.rows:
            print(f"{report.rows_written:,} rows with their verdicts: {output}")
        else:
            print(f"every row with its verdicts: {output}")
