"""Magpie's descriptors beside matminer: the same values, and how much faster.

pip install --no-deps matminer    # declares pandas < 3, works with 3
python benchmarks/featuriser.py
"""

from __future__ import annotations

import statistics
import time

import common
import numpy as np
from matminer.featurizers.composition import ElementProperty

from matgen_core import discover
from matgen_magpie import magpie

COMPARED = 1_000
N = 200_000
ROUNDS = 5


def main() -> None:
    compounds = discover().create("source", "mp-gap").load().compositions
    rng = np.random.default_rng(0)
    sample = compounds[rng.choice(len(compounds), COMPARED, replace=False)]
    many = compounds[rng.integers(len(compounds), size=N)]
    matminer = ElementProperty.from_preset("magpie", impute_nan=False)
    objects = sample.to_pymatgen()
    ours = magpie(sample)  # compiled, or loaded, before the clock starts

    # In turns, so that whatever else the machine does slows down both.
    rates: list[tuple[float, float]] = []
    largest = 0.0
    for part in np.array_split(np.arange(COMPARED), ROUNDS):
        begin = time.perf_counter()
        theirs = np.array([matminer.featurize(objects[i]) for i in part], np.float64)
        middle = time.perf_counter()
        magpie(many)
        end = time.perf_counter()
        rates.append((len(part) / (middle - begin), N / (end - middle)))
        largest = max(largest, float(np.abs(ours[part] - theirs).max()))
    assert largest <= 1e-6, largest
    slow, fast = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(b / a for a, b in rates)
    common.write(
        "featuriser",
        "Magpie's descriptors",
        ["featuriser", "formulas per s", f"s for {N:,}", "ratio"],
        [
            ["matminer, `ElementProperty.featurize`", round(slow), round(N / slow, 1), 1],
            ["`matgen_magpie.magpie`", round(fast), round(N / fast, 2), round(ratio)],
        ],
        notes=[
            f"On {COMPARED:,} compounds drawn from the Materials Project the two differ by at most "
            f"{largest:.1e} in any of the 132 values. Matminer from pymatgen's objects and in one "
            f"process; ours from arrays, {N:,} formulas at once, a thread a core; in turns, "
            f"medians of {ROUNDS}.",
        ],
        largest_difference=largest,
    )


if __name__ == "__main__":
    main()
