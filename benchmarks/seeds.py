"""How much networks differ that were trained alike but for the seed.

    python benchmarks/seeds.py FOLDER

The folder is that of benchmarks/train.sh; the figures are of the cards, 100,000 samples each. Rows
of networks without other seeds there stay as they are: all trainings take a core for hours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import read, write

from matgen_core import discover
from matgen_core.weights import WeightsDir

FIGURES = ("valid", "unique", "novel", "yield", "recovered_train", "recovered_held_out")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    registry = discover()
    rows = {row[0]: row for row in read("seeds")["rows"]}
    for entry in registry.entries("weights"):
        others = sorted(folder.glob(f"{entry.item.name}-[0-9]"))
        cards = [registry.weights(entry.item.name).card, *(WeightsDir(o).card for o in others)]
        if others:
            spread = [[card.metrics[figure] for card in cards] for figure in FIGURES]
            cells = [f"{min(values):.3f} to {max(values):.3f}" for values in spread]
            rows[entry.item.name] = (entry.item.name, len(cards), *cells)
    write(
        "seeds",
        "The same training with other seeds",
        ("", "seeds", *FIGURES),
        [rows[name] for name in sorted(rows)],
        notes=["Least to greatest, of 100,000 samples each. The machine is the newest rows'."],
    )


if __name__ == "__main__":
    main()
