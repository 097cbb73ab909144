"""``matgen run``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matgen_core.cli import options
from matgen_core.cli.render import print_json, print_table, progress_bar, stderr

if TYPE_CHECKING:
    from matgen_core.pipeline import Report


def run(
    generator: Annotated[
        str | None,
        typer.Option("--generator", "-g", help="Trained weights (or their folder) to sample."),
    ] = None,
    validators: Annotated[
        str | None, typer.Option(help="Validators that must pass, e.g. charge,eneg.")
    ] = None,
    predictors: options.Predictors = None,
    where: options.Where = None,
    sort: options.Sort = None,
    top: options.Top = None,
    num: Annotated[
        int | None, typer.Option("--num", "-n", help="Samples to generate.  [default: 10000]")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A .csv, .jsonl or .parquet file.  [default: matgen-DATE-TIME.csv]",
        ),
    ] = None,
    require: Annotated[
        str | None, typer.Option(help="Elements every candidate must have, e.g. Li,O.")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option(help="Elements no candidate may have, e.g. Pb.")
    ] = None,
    keep_rejected: Annotated[
        bool | None,
        typer.Option("--keep-rejected", help="Keep rows that are invalid, known or unwanted."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same file.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in memory at once.")] = None,
    device: options.Device = None,
    assignments: options.Set = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="A run.toml; what is given here overrides it."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Generate compositions, keep the valid and unknown ones, and write them to a table.

    Predictors see candidates only: what is valid, new and wanted.
    """
    from matgen_core.config import merge_options, parse_assignments
    from matgen_core.locks import claimed
    from matgen_core.pipeline import Pipeline, RunFailed
    from matgen_core.registry import discover
    from matgen_core.textfiles import read_toml

    given: dict[str, Any] = {
        "generator": generator,
        "validators": options.names(validators),
        "predictors": options.names(predictors),
        "where": where,
        "sort": sort,
        "top": top,
        "num": num,
        "seed": seed,
        "batch_size": batch_size,
        "device": device,
        "keep_rejected": keep_rejected,
        "require": options.names(require),
        "exclude": options.names(exclude),
    }
    settings = read_toml(config) if config else {}
    settings |= {name: value for name, value in given.items() if value is not None}
    if assignments:
        changes = parse_assignments(assignments)
        settings["options"] = merge_options(settings.get("options", {}), changes)

    path = output or Path(f"matgen-{datetime.now():%Y%m%d-%H%M%S}.csv")
    pipeline = Pipeline(discover(), **settings)
    with claimed(path):  # table, report and settings are of one run
        try:
            with progress_bar("generating", pipeline.config.num) as advance:
                report = pipeline.run(path, advance)
        except RunFailed as failure:
            if failure.report.generated:
                _write_beside(path, failure.report)
            raise
        _write_beside(path, report)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report, path)
    if not report.finished:
        stderr.print(
            f"matgen: interrupted after {report.generated:,} of {pipeline.config.num:,} samples; "
            f"{path} holds the {report.rows_written:,} rows finished by then",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(130)


def _write_beside(path: Path, report: Report) -> None:
    """What was counted, and the settings that repeat it, beside the table."""
    from matgen_core.weights import write_atomically

    counts = json.dumps(report.to_dict(), indent=2).encode()
    write_atomically(path.with_name(f"{path.name}.report.json"), counts)
    toml = report.config.to_toml().encode()
    write_atomically(path.with_name(f"{path.name}.run.toml"), toml)


def _print_report(report: Report, path: Path) -> None:
    spent = sum(report.seconds.values())
    counts = [
        ("generated", report.generated),
        ("decodable", report.decodable),
        ("unique", report.unique),
        ("novel", report.novel),
        *((f"passed {name}", n) for name, n in report.passed.items()),
        ("passed all", report.valid) if len(report.passed) > 1 else ("", None),
        ("candidates", report.candidates),
        ("passed --where", report.passed_where),
    ]
    rows = [(name, n, n / max(report.generated, 1)) for name, n in counts if n is not None]
    title = f"{report.config.generator}, seed {report.config.seed}"
    print_table(title, ("", "samples", "of all"), rows)
    if spent:
        print(f"{report.generated / spent:,.0f} samples/s")
    kept = "compositions, rejected ones too," if report.config.keep_rejected else "candidates"
    print(f"{report.rows_written:,} {kept} in {path}")
