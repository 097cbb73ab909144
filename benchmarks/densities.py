"""The autoencoders sampled by each density fitted to their codes.

python benchmarks/densities.py [--samples 20000]
"""

from __future__ import annotations

import argparse
from typing import get_args

from common import write

from matgen_core import discover
from matgen_core.evaluation import judge
from matgen_dice import DiceOptions

SHARES = ("decodable", "valid", "unique", "novel", "yield")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=20_000)
    samples = parser.parse_args().samples
    registry = discover()
    rows = []
    for entry in registry.entries("weights"):
        if entry.item.component != "dice":
            continue
        for density in get_args(DiceOptions.model_fields["density"].annotation):
            options = {"dice": {"density": density}}
            found = judge(registry, entry.item.name, n=samples, options=options, seed=1)
            of_held_out = found.recovered["held_out"].values()
            recovered = sum(row["found"] for row in of_held_out)
            compounds = sum(row["compounds"] for row in of_held_out)
            shares = (found.shares[name] for name in SHARES)
            rows.append((f"{found.name}, `{density}`", *shares, recovered / compounds))
    write(
        "densities",
        f"Where the autoencoders' codes are drawn from, {samples:,} samples each",
        ("", *SHARES, "held-out compounds found"),
        rows,
        notes=["`kernel` is the default; see docs/reconstruct.md."],
    )


if __name__ == "__main__":
    main()
