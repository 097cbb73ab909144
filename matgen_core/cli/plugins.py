"""``matgen plugins``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from matgen_core.cli import options, weights
from matgen_core.cli.render import print_json, print_table
from matgen_core.interfaces import Options
from matgen_core.registry import KINDS, Entry, Weights, discover

app = typer.Typer(
    help="See what is installed, or begin a plugin of your own.", no_args_is_help=True
)


@app.command("list")
def list_(as_json: options.Json = False) -> None:
    """Every component and all weights, by kind, and every plugin that did not load."""
    registry = discover()
    entries = [entry for kind in (*KINDS, "weights") for entry in registry.entries(kind)]
    if as_json:
        broken = [{"plugin": str(b.plugin), "reason": b.reason} for b in registry.broken]
        print_json({"names": [_summary(entry) for entry in entries], "broken": broken})
        return
    rows = [tuple(_summary(entry).values()) for entry in entries]
    print_table("installed", ("kind", "name", "summary", "plugin"), rows)
    if registry.broken:
        rows = [(str(b.plugin), b.reason) for b in registry.broken]
        print_table("not loaded", ("plugin", "reason"), rows)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a component or of weights.")],
    as_json: options.Json = False,
) -> None:
    """A component's options and recipes, with their defaults."""
    registry = discover()
    entries = registry.entries()
    entry = next((e for e in entries if e.item.name == name), None)
    if entry is None:
        raise registry.unknown("name", name, entries)
    if entry.kind == "weights":
        weights.show(name, as_json)
        return
    component = registry.component(entry.kind, name)
    training = component.training
    if as_json:
        print_json(
            _summary(entry)
            | {
                "cite": component.cite,
                "options": component.options.model_json_schema(),
                "recipe": training.recipe.model_json_schema() if training else None,
                "presets": {k: v.model_dump() for k, v in training.presets.items()}
                if training
                else {},
            }
        )
        return
    for key, value in (_summary(entry) | {"cite": component.cite}).items():
        if value:
            print(f"{key:8} {value}")
    _print_options(f"options: --set {name}.OPTION=VALUE", component.options)
    if training:
        _print_options(f"recipe: matgen train {name} --set {name}.OPTION=VALUE", training.recipe)
        print(f"presets: {', '.join(training.presets)}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the package and its folder.")],
    kind: Annotated[str, typer.Option(help=f"What it provides: {', '.join(KINDS)}.")],
) -> None:
    """Write a plugin package of your own, with tests that pass."""
    from matgen_core.template import write_package

    package = write_package(name, kind, Path(), discover())
    print(f"{package.folder} holds the {kind} {package.name!r} in {package.files} files. Next:\n")
    for command in package.commands:
        print(f"    {command}")


def _print_options(title: str, model: type[Options]) -> None:
    rows = [
        (name, "required" if field.is_required() else repr(field.default), field.description or "")
        for name, field in model.model_fields.items()
    ]
    if rows:
        print_table(title, ("option", "default", "meaning"), rows)


def _summary(entry: Entry) -> dict[str, Any]:
    item = entry.item
    summary = f"weights of {item.component}" if isinstance(item, Weights) else item.summary
    return {
        "kind": entry.kind,
        "name": item.name,
        "summary": summary,
        "plugin": str(entry.plugin),
    }
