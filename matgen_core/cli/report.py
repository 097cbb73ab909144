"""``matgen report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matgen_core.cli.render import stderr


def report(
    table: Annotated[
        Path, typer.Argument(metavar="RUN", help="The table that `matgen run` wrote.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page.  [default: RUN's name, .html]")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Known compounds to compare with: a data source, or a .csv file.  [default: what "
            "the generator learned from]"
        ),
    ] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            help="Show this too: the JSON of `matgen evaluate -o` or `matgen compare -o`."
        ),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for every plot, as PNG and SVG (needs a Chrome).")
    ] = None,
) -> None:
    """Show a run as one HTML page that opens offline: figures, tables, the best candidates."""
    from matgen_core.report import require_extra

    require_extra("matgen report")
    from matgen_core.errors import InvalidOption
    from matgen_core.locks import claimed
    from matgen_core.registry import discover
    from matgen_core.report import figures as plots
    from matgen_core.report import page
    from matgen_core.report.run import Run, read_evaluations
    from matgen_core.weights import write_atomically

    path = output or table.with_suffix(".html")
    if path.suffix not in (".html", ".htm"):
        raise InvalidOption(f"--output {path}: the suffix must be .html")
    evaluations = read_evaluations(evaluation) if evaluation else []
    with stderr.status("reading the run") as status:
        made = page.build(
            Run.read(table),
            discover(),
            against=against,
            evaluations=evaluations,
            progress=status.update,
        )
        content = made.html.encode()
        with claimed(path):
            write_atomically(path, content)
        if figures is not None:
            status.update("drawing pictures")
            plots.save(made.figures, figures)
    print(f"{path}: {len(content) / 1e6:.1f} MB, opens offline")
    if figures is not None:
        print(f"{len(made.figures)} figures, each as PNG and SVG, in {figures}")
