"""The options that say how trained generators are sampled.

python benchmarks/sampling.py [--samples 20000]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, get_args

from common import write

from matgen_core import Registry, discover
from matgen_core.evaluation import judge
from matgen_dice import DiceOptions

SHARES = ("decodable", "valid", "unique", "novel", "yield")
DENSITIES = get_args(DiceOptions.model_fields["density"].annotation)
TEMPERATURES = {"rnn": (0.8, 1.0, 1.3, 1.6), "wgan": (0.8, 0.9, 1.0)}


def measured(
    registry: Registry, component: str, option: str, values: Iterable[Any], samples: int
) -> list[tuple[Any, ...]]:
    """A row for each of a component's weights and each value of its option."""
    rows = []
    for entry in registry.entries("weights"):
        if entry.item.component != component:
            continue
        for value in values:
            options = {component: {option: value}}
            found = judge(registry, entry.item.name, n=samples, options=options, seed=1)
            of_held_out = found.recovered["held_out"].values()
            recovered = sum(row["found"] for row in of_held_out)
            compounds = sum(row["compounds"] for row in of_held_out)
            shares = (found.shares[name] for name in SHARES)
            rows.append((f"{found.name}, `{value}`", *shares, recovered / compounds))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=20_000)
    samples = parser.parse_args().samples
    registry = discover()
    columns = ("", *SHARES, "held-out compounds found")
    write(
        "densities",
        f"Where the autoencoders' codes are drawn from, {samples:,} samples each",
        columns,
        measured(registry, "dice", "density", DENSITIES, samples),
        notes=["`kernel` is the default; see docs/reconstruct.md."],
    )
    write(
        "temperatures",
        f"Temperatures to draw samples at, {samples:,} samples each",
        columns,
        [
            row
            for component, values in TEMPERATURES.items()
            for row in measured(registry, component, "temperature", values, samples)
        ],
        notes=["`1.0` is the default; see docs/beyond.md."],
    )


if __name__ == "__main__":
    main()
