"""``matgen weights``."""

from __future__ import annotations

from typing import Annotated

import typer

from matgen_core.cli import options
from matgen_core.cli.render import print_json, print_table, stderr
from matgen_core.errors import MatgenError
from matgen_core.registry import discover

app = typer.Typer(help="See which trained weights there are.", no_args_is_help=True)


@app.command("list")
def list_(as_json: options.Json = False) -> None:
    """All installed weights with their measured quality."""
    registry = discover()
    cards = []
    for entry in registry.entries("weights"):
        try:
            cards.append(registry.weights(entry.item.name).card)
        except MatgenError as error:  # the others are listed all the same
            stderr.print(f"{entry.item.name}: {error}", highlight=False, soft_wrap=True)
    if as_json:
        print_json([card.model_dump() for card in cards])
        return
    shown = ("valid", "unique", "novel", "yield")
    generators = [card for card in cards if card.encoder]
    print_table(
        "generators, by shares of raw samples",
        ("name", "data", "train", *shown),
        [
            (c.name, c.data.source, c.data.n_train, *(c.metrics.get(k) for k in shown))
            for c in generators
        ],
    )
    predictors = [card for card in cards if not card.encoder]
    print_table(
        "predictors, by held-out compounds",
        ("name", "data", "train", "held out", "measured"),
        [
            (c.name, c.data.source, c.data.n_train, c.data.n_held_out, _errors(c.metrics))
            for c in predictors
        ],
    )


def _errors(metrics: dict[str, float]) -> str:
    of_held_out = {k: v for k, v in metrics.items() if k != "n" and not k.startswith("validation")}
    return "  ".join(f"{name} {value:.4f}" for name, value in of_held_out.items())


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of weights, or a folder that holds some.")],
    as_json: options.Json = False,
) -> None:
    """The card: data, recipe, hardware, measured quality, checksums; the files are verified."""
    weights = discover().weights(name)
    for file in weights.card.sha256:
        weights.verified(file)
    if as_json:
        print_json(weights.card.model_dump())
    else:
        print((weights.path / weights.CARD).read_text(encoding="utf-8"), end="")
