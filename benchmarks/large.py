"""The paper's large network, trained by several recipes: see benchmarks/gpu.sh.

    python benchmarks/large.py WEIGHTS ...

Each folder is one that `matgen train wgan --preset oqmd` left.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import write
from sampling import DISTANCES, SHARES

from matgen_core import discover
from matgen_core.evaluation import judge
from matgen_core.weights import WeightsDir

SAMPLES = 20_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path, nargs="+")
    rows = []
    for folder in parser.parse_args().weights:
        card = WeightsDir(folder).card
        found = judge(discover(), str(folder), n=SAMPLES, seed=1)
        rows.append(
            (
                card.name,
                card.training["hardware"],
                60 * card.training["hours"],
                card.training["samples_seen"],
                *(found.shares[share] for share in SHARES),
                *(found.distances[of] for of in DISTANCES),
            )
        )
    write(
        "large",
        f"The paper's large generator, {SAMPLES:,} samples each",
        ("", "hardware", "minutes", "samples seen", *SHARES, "distance of number of elements",
         "of elements", "of counts"),
        rows,
        notes=[
            "The generator is Supplementary Table 1's for OQMD; `paper`: its critic and rates; "
            "`large`: a dense critic and our rates; `screened`: valid compounds only. The best "
            "of each training by its yield, at the time given."
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
