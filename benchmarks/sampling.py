"""The options that say how trained generators are sampled.

python benchmarks/sampling.py [--samples 20000]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from common import write

from matgen_core import Registry, discover
from matgen_core.evaluation import Evaluation, judge
from matgen_core.weights import Card
from matgen_dice import DiceOptions

SHARES = ("decodable", "charge", "valid", "unique", "novel", "yield")
DENSITIES = get_args(DiceOptions.model_fields["density"].annotation)
DISTANCES = ("n_elements", "elements", "counts")
TEMPERATURES = (0.7, 0.8, 1.0, 1.3, 1.6)
COLUMNS = ("", *SHARES, "held-out compounds found")


def trained(registry: Registry, component: str) -> list[Card]:
    """Cards of a component's weights."""
    cards = (registry.weights(entry.item.name).card for entry in registry.entries("weights"))
    return [card for card in cards if card.component == component]


def judged(
    registry: Registry, cards: Iterable[Card], option: str, values: Iterable[Any], samples: int
) -> Iterator[tuple[str, Evaluation]]:
    """Weights with each value of their component's option, and what is made with it."""
    for card in cards:
        for value in values:
            options = {card.component: {option: value}}
            yield (
                f"{card.name}, `{str(value).lower()}`",
                judge(registry, card.name, n=samples, options=options, seed=1),
            )


def row(label: str, found: Evaluation) -> tuple[Any, ...]:
    """What `COLUMNS` say."""
    of_held_out = found.recovered["held_out"].values()
    recovered = sum(size["found"] for size in of_held_out)
    compounds = sum(size["compounds"] for size in of_held_out)
    return (label, *(found.shares[name] for name in SHARES), recovered / compounds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=20_000)
    samples = parser.parse_args().samples
    registry = discover()
    dice, rnn = trained(registry, "dice"), trained(registry, "rnn")
    # The paper's generator draws no number of elements to be exact about.
    dense = [card for card in trained(registry, "wgan") if card.model["generator"]]
    write(
        "densities",
        f"Where the autoencoders' codes are drawn from, {samples:,} samples each",
        COLUMNS,
        [row(*one) for one in judged(registry, dice, "density", DENSITIES, samples)],
        notes=["`kernel` is the default; see docs/reconstruct.md."],
    )
    write(
        "temperatures",
        f"Temperatures to draw samples at, {samples:,} samples each",
        COLUMNS,
        [row(*one) for one in judged(registry, rnn, "temperature", TEMPERATURES, samples)],
        notes=["`1.0` is the default; see docs/beyond.md."],
    )
    write(
        "exact",
        f"The WGANs with `exact` numbers of elements or without, {samples:,} samples each",
        (*COLUMNS, "distance of number of elements", "of elements", "of counts"),
        [
            (*row(label, found), *(found.distances[of] for of in DISTANCES))
            for label, found in judged(registry, dense, "exact", (False, True), samples)
        ],
        notes=["`false` is the default; see docs/beyond.md."],
    )


if __name__ == "__main__":
    main()
