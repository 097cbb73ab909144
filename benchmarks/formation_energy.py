"""ElemNet on the published test split of OQMD, and on compounds of another data base.

    python benchmarks/formation_energy.py

Reads the public data and the shipped weights only. First it makes sure that no compound it is
judged by, in any polymorph or multiple, is among those trained on or chosen by.
"""

from __future__ import annotations

import numpy as np
from common import write
from numpy.typing import NDArray

from matgen_core import discover
from matgen_core.datasets import Dataset
from matgen_core.metrics import regression
from matgen_core.weights import Known, member

PUBLISHED = {
    "ElemNet, as retrained by CrabNet's authors": 0.0489,
    "random forest on Magpie": 0.0834,
    "Roost": 0.0315,
    "CrabNet": 0.0311,
}
"""MAE in eV/atom, from the predictions that CrabNet's authors published for the same split."""
KEYS = ("n", "mae", "rmse", "r2")


def main() -> None:
    registry = discover()
    _, weights = registry.resolve("predictor", "elemnet")
    predictor = registry.create("predictor", "elemnet")
    known = weights.known()
    seen = known.fingerprints[np.isin(known.role, (Known.TRAINED, Known.VALIDATION))]

    oqmd: Dataset = registry.create("source", "oqmd-energy").load()
    test = oqmd[oqmd.split == Known.HELD_OUT]
    leaked = int(member(test.compositions.fingerprints(), np.sort(seen)).sum())
    assert not leaked, f"{leaked} test compounds were trained on"
    trained = oqmd.properties["formation_energy"][oqmd.split == Known.TRAINED]

    mp: Dataset = registry.create("source", "mp").load()
    mp = mp[~member(mp.compositions.fingerprints(), np.sort(known.fingerprints))]

    def judged(data: Dataset, rows: NDArray[np.bool_]) -> tuple[float, ...]:
        part = data[rows]
        measured = regression(
            predictor.predict(part.compositions), part.properties["formation_energy"]
        )
        return int(measured["n"]), *(measured[key] for key in KEYS[1:])

    everything = np.ones(len(test.compositions), np.bool_)
    rows = [(f"**{weights.card.name}**, test split", *judged(test, everything))]
    for title, of_size in (
        ("binaries", test.compositions.n_elements == 2),
        ("ternaries", test.compositions.n_elements == 3),
        ("4 or more elements", test.compositions.n_elements > 3),
    ):
        rows.append((f"… {title}", *judged(test, of_size)))
    actual = test.properties["formation_energy"]
    measured = regression(np.full(len(actual), np.median(trained)), actual)
    rows.append(("the median of the training split", len(actual), *(measured[k] for k in KEYS[1:])))
    rows += [(f"{name} (published)", len(actual), mae, None, None)
             for name, mae in PUBLISHED.items()]  # fmt: skip
    inside = ~np.isnan(predictor.predict(mp.compositions))
    rows.append(("MP compounds that OQMD does not have", *judged(mp, inside)))
    training = weights.card.training
    write(
        "formation_energy",
        "Formation energy from composition: `elemnet`",
        ("", "compounds", "MAE, eV/atom", "RMSE", "R²"),
        rows,
        notes=[
            f"Trained on {weights.card.data.n_train:,} compounds for {training['epochs_seen']:g} "
            f"epochs in {training['hours']:.2g} hours ({training['hardware']}), chosen on "
            f"{weights.card.data.n_validation:,}; {leaked} of the test compounds are among them.",
            "Energies of the Materials Project carry corrections that OQMD's do not, so the last",
            "row is an upper bound of the error on unseen chemistry.",
        ],
    )


if __name__ == "__main__":
    main()
