"""Every shipped network on 100,000 raw samples, beside its training data and random formulas.

    python benchmarks/networks.py [--samples 100000] [--seed 1]

Shares are of all samples; one that does not decode counts as a failure. Random formulas have 2
to 5 different elements of the 85, each number of elements as likely, and counts of 1 to 8.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import write

from matgen_core import Compositions, discover
from matgen_core.metrics import quality
from matgen_core.training import draw
from matgen_core.weights import Known

COLUMNS = ("decodable", "charge", "eneg", "valid", "unique", "novel", "yield")
SIZES = ("2 elements", "3 elements", "4 or more")


def random_formulas(n: int, seed: int) -> Compositions:
    from matgen_core.elements import ATOMIC_NUMBER
    from matgen_onehot.encoder import ALPHABET

    rng = np.random.default_rng(seed)
    chosen = rng.random((n, len(ALPHABET))).argsort(axis=1)[:, :5]
    numbers = np.array([ATOMIC_NUMBER[s] for s in ALPHABET], np.uint8)[chosen]
    absent = np.arange(5) >= rng.integers(2, 6, n)[:, None]
    counts = rng.integers(1, 9, numbers.shape).astype(np.uint16)
    numbers[absent] = 255  # sorts last
    order = numbers.argsort(axis=1)
    numbers, counts = (np.take_along_axis(a, order, axis=1) for a in (numbers, counts))
    absent = numbers == 255
    numbers[absent], counts[absent] = 0, 0
    return Compositions(numbers, counts).reduced()


def recovered(held_out: Compositions, generated: Compositions) -> list[float]:
    """Share of the held-out compounds that were generated, by number of elements."""
    found = np.isin(held_out.fingerprints(), generated.fingerprints())
    size = np.clip(held_out.n_elements, 2, 4)
    return [float(found[size == n].mean()) for n in (2, 3, 4)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    registry = discover()
    judges = {name: registry.create("validator", name) for name in ("charge", "eneg")}
    encoder = registry.create("encoder", "onehot")

    def measure(compositions: Compositions, known: Known) -> dict[str, float]:
        verdicts = {name: judge.check(compositions) for name, judge in judges.items()}
        return quality(compositions, verdicts, known)

    rows = []
    for entry in registry.entries("weights"):
        name = entry.item.name
        weights = registry.weights(name)
        if weights.card.encoder is None:
            continue
        generator, known = registry.create("generator", name), weights.known()
        source = weights.card.data.source
        compositions = registry.create("source", source).load().compositions
        role = known.role[np.searchsorted(known.fingerprints, compositions.fingerprints())]
        held_out = compositions[role == Known.HELD_OUT]
        generated = draw(generator.sample, encoder, arguments.samples, arguments.seed)
        trained_on = compositions[role == Known.TRAINED]
        uniform = random_formulas(arguments.samples, arguments.seed)
        for title, batch in (
            (f"**{name}**", generated),
            (f"its {len(trained_on):,} training compounds", trained_on),
            ("random formulas", uniform),
        ):
            measured = measure(batch, known)
            found = recovered(held_out, batch) if batch is not trained_on else (None,) * len(SIZES)
            rows.append((title, *(measured[c] for c in COLUMNS), *found))
    write(
        "networks",
        f"Shipped networks, {arguments.samples:,} raw samples each",
        ("", *COLUMNS, *(f"held-out found, {size}" for size in SIZES)),
        rows,
        notes=[
            "`valid` passes both tests, `novel` is not in the cleaned data set (held-out compounds",
            "count as known), `yield` is valid, novel and different from every earlier sample.",
            "The last columns say which share of the compounds kept from training was generated,",
            "by number of elements. A quarter of the random formulas are binaries, of which there",
            "are few: those are found by exhaustion. Ternaries and above tell the networks apart.",
        ],
    )


if __name__ == "__main__":
    main()
