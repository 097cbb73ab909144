"""What recipes of the WGAN give in about the same time, from nothing.

    python benchmarks/recipes.py [--data icsd]

All learn from the data's valid compounds; where layers are not dense, they are the paper's smaller
network's.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import write

from matgen_core import discover
from matgen_core.training import prepare
from matgen_core.weights import WeightsDir

RECIPES = {
    "the paper's rates": ("mp", {"epochs": 3}),
    "our rates": (
        "dense",
        {"generator": [], "critic": [], "batch_size": 32, "critic_steps": 3, "epochs": 5},
    ),
    "our rates, a dense critic": ("dense", {"generator": [], "batch_size": 32, "epochs": 10}),
    "our rates, both dense": ("dense", {"epochs": 50}),
}
"""Preset, and what is changed of it, so many epochs that the time is about the same."""
FIGURES = ("decodable", "valid", "unique", "novel", "yield", "recovered_held_out")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="icsd")
    data = parser.parse_args().data
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (preset, changed)) in enumerate(RECIPES.items()):
            out = Path(folder, str(number))
            prepare(
                discover(),
                "wgan",
                data=data,
                out=out,
                preset=preset,
                options={"wgan": changed},
                screen=["charge", "eneg"],
            ).run()
            card = WeightsDir(out).card
            minutes, seen = 60 * card.training["hours"], card.training["samples_seen"]
            rows.append((name, minutes, seen, *(card.metrics[figure] for figure in FIGURES)))
    write(
        "recipes",
        f"Recipes of the WGAN, from nothing, on valid compounds of `{data}`",
        ("", "minutes", "samples seen", *FIGURES),
        rows,
        notes=["The best of each training by its yield, 100,000 samples."],
    )


if __name__ == "__main__":
    main()
