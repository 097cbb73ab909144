"""Which compounds the shipped autoencoders give back exactly: all of their training and held-out.

python benchmarks/reconstruction.py
"""

from __future__ import annotations

import numpy as np
from common import write

from matgen_core import discover
from matgen_core.reconstruction import ROLES, Reconstructor, Report, exact

SIZES = (2, 3, 4, 5)

registry = discover()
rows, hardest = [], {}
for entry in registry.entries("weights"):
    name = entry.item.name
    if entry.item.component != "dice":
        continue
    model = Reconstructor(registry, name)
    source = registry.weights(name).card.data.source
    compositions = registry.create("source", source).load().compositions
    compositions = compositions[model.encoder.encodable(compositions)]
    report = Report()
    report.add(compositions, model.roles(compositions), exact(compositions, model(compositions)))
    for role in ("trained", "held out"):
        n, same = report.by_size[ROLES.index(role)].T
        large = np.arange(len(n)) >= SIZES[-1]
        shares = [int(same[k]) / max(int(n[k]), 1) for k in SIZES[:-1]]
        shares.append(int(same[large].sum()) / max(int(n[large].sum()), 1))
        rows.append((f"**{name}**, {role}", int(n.sum()), int(same.sum()) / int(n.sum()), *shares))
    hardest[name] = report.as_json() | {"hardest": report.hardest(10)}
write(
    "reconstruction",
    "Compounds that come back exactly from the shipped autoencoders",
    ("", "compounds", "exact", *(f"{n} elements" for n in SIZES[:-1]), f"{SIZES[-1]} or more"),
    rows,
    notes=[
        "Every compound of the data set was encoded, decoded and compared as a reduced formula.",
        *(f"Hardest elements of {name}: {', '.join(c['hardest'])}." for name, c in hardest.items()),
    ],
    counts=hardest,
)
