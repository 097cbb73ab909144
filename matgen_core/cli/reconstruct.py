"""``matgen reconstruct``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from matgen_core.cli import options
from matgen_core.cli.render import print_json, print_table, progress_bar

HARDEST = 12
"""Elements shown in the table; all of them are in the JSON."""


def reconstruct(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A CSV with a formula column, a text file, - for stdin, or a data source: mp.",
        ),
    ],
    generator: Annotated[
        str, typer.Option("--generator", "-g", help="Weights of an autoencoder, or their folder.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A .csv, .jsonl or .parquet file.  [default: INPUT.reconstructed.csv; CSV on "
            "stdout for -]",
        ),
    ] = None,
    column: Annotated[str, typer.Option(help="Name of the CSV's formula column.")] = "formula",
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Send formulas through an autoencoder: does each come back, and what came back instead.

    What the autoencoder cannot give back, a GAN trained on the same data will hardly generate.
    """
    from matgen_core import reconstruction
    from matgen_core.errors import InvalidOption
    from matgen_core.locks import claimed
    from matgen_core.registry import discover

    registry = discover()
    model = reconstruction.Reconstructor(registry, generator, device or "auto")
    if output is None and source != "-":
        output = Path(f"{source.removesuffix(Path(source).suffix)}.reconstructed.csv")
    if output is None and as_json:
        raise InvalidOption("--json: the table goes to stdout already, name a file with --output")
    claim = nullcontext() if output is None else claimed(output)
    with claim, progress_bar("reconstructing", None) as advance:
        report = reconstruction.reconstruct_table(
            registry, source, model, output, column=column, progress=advance
        )
    counts = report.as_json()
    if as_json:
        print_json(counts)
    elif output is not None:
        totals = ("rows", "readable", "encodable", "exact")
        print_table(source, ("", "rows"), [(name, counts[name]) for name in totals])
        sizes = {f"{n} elements": group for n, group in counts["by_n_elements"].items()}
        _print_shares("came back exactly", sizes | {"all": counts["by_role"]})
        hardest = {symbol: counts["by_element"][symbol] for symbol in report.hardest(HARDEST)}
        _print_shares("the elements hardest to bring back", hardest)
        print(f"every row with what came back: {output}")


def _print_shares(title: str, groups: dict[str, dict[str, dict[str, int]]]) -> None:
    roles = list(dict.fromkeys(role for group in groups.values() for role in group))
    columns = [name for role in roles for name in (role, "exact")]
    rows = []
    for label, group in groups.items():
        cells: list[Any] = [label]
        for role in roles:
            counts = group.get(role)
            cells += [counts["rows"], counts["exact"] / counts["rows"]] if counts else [None] * 2
        rows.append(cells)
    print_table(title, ("", *columns), rows)
