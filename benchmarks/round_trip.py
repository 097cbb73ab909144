"""The one-hot encoder over every usable compound of OQMD, MP and ICSD: encode, decode, compare.

python benchmarks/round_trip.py
"""

from __future__ import annotations

import time

import numpy as np
from common import write

from matgen_core import discover

BATCH = 20_000

registry = discover()
encoder = registry.create("encoder", "onehot")
rows = []
for name in ("oqmd", "mp", "icsd"):
    compositions = registry.create("source", name).load().compositions
    encodable = encoder.encodable(compositions)
    encoder.decode(encoder.encode(compositions[:1]))  # the first call takes longer
    lost, encoding, decoding = 0, 0.0, 0.0
    for start in range(0, len(compositions), BATCH):
        batch = compositions[start : start + BATCH]
        began = time.perf_counter()
        grids = encoder.encode(batch)
        encoded = time.perf_counter()
        back = encoder.decode(grids)
        decoding += time.perf_counter() - encoded
        encoding += encoded - began
        width = min(batch.numbers.shape[1], back.numbers.shape[1])  # the rest is padding
        same = (back.numbers[:, :width] == batch.numbers[:, :width]).all(axis=1)
        same &= (back.counts[:, :width] == batch.counts[:, :width]).all(axis=1)
        same &= (back.n_elements == batch.n_elements) & (batch.n_elements <= width)
        lost += int(np.count_nonzero(~same))
    n = len(compositions)
    rows.append(
        (name, n, int(encodable.sum()), n - lost, lost, int(n / encoding), int(n / decoding))
    )
write(
    "round_trip",
    "One-hot round trip of every usable compound",
    ("data", "compounds", "encodable", "came back", "lost", "encoded/s", "decoded/s"),
    rows,
)
raise SystemExit(any(lost for *_, lost, _, _ in rows))
