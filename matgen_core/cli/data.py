"""``matgen data``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from matgen_core.cli import options
from matgen_core.cli.render import print_json, print_table, stderr

if TYPE_CHECKING:
    from matgen_core.interfaces import Source

app = typer.Typer(help="Fetch data sets and show how they are cleaned.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of a data source, e.g. oqmd.")]


@app.command()
def fetch(
    name: Name,
    force: Annotated[bool, typer.Option(help="Fetch anew what is there already.")] = False,
) -> None:
    """Bring a data set into the cache, checksum verified."""
    from matgen_core import asking

    path = asking.fetched(_source(name), force=force)
    print(f"{name}: {path}" if path else f"{name} needs no fetching")


@app.command()
def show(name: Name, assignments: options.Set = None, as_json: options.Json = False) -> None:
    """What each cleaning rule drops."""
    from matgen_core import asking
    from matgen_core.config import parse_assignments

    settings = parse_assignments(assignments or [], [name]).get(name)
    dataset = asking.dataset(_source(name, settings))
    if as_json:
        print_json(
            {
                "name": dataset.name,
                "rows_in": dataset.rows_in,
                "steps": [vars(step) for step in dataset.steps],
                "rows_out": len(dataset.compositions),
                "published_count": dataset.published_count,
                "properties": sorted(dataset.properties),
                "attribution": dataset.attribution,
            }
        )
        return
    rows: list[tuple[str, int | None, int]] = [("rows read", None, dataset.rows_in)]
    rows += [(step.rule, step.dropped, step.left) for step in dataset.steps]
    if dataset.published_count is not None:
        rows.append(("the paper, after its own cleaning", None, dataset.published_count))
    print_table(dataset.name, ("rule", "dropped", "left"), rows)
    if dataset.attribution:
        print(dataset.attribution)
    if dataset.rejected is not None and len(dataset.rejected):
        stderr.print(dataset.rejected.to_string(index=False, max_rows=20), highlight=False)


def _source(name: str, settings: dict[str, object] | None = None) -> Source:
    from matgen_core.registry import discover

    source: Source = discover().create("source", name, settings)
    return source
