"""The networks of formation energy on the published test split of OQMD, and on other compounds.

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
NAMES = ("transformer", "elemnet")
ENERGY = "formation_energy"


def main() -> None:
    registry = discover()
    oqmd: Dataset = registry.create("source", "oqmd-energy").load()
    test = oqmd[oqmd.split == Known.HELD_OUT]
    trained = oqmd.properties[ENERGY][oqmd.split == Known.TRAINED]
    actual = test.properties[ENERGY]
    mp: Dataset = registry.create("source", "mp").load()

    rows: list[tuple[object, ...]] = []
    notes = []
    for name in NAMES:
        _, weights = registry.resolve("predictor", name)
        predictor = registry.create("predictor", name)
        known = weights.known()
        seen = known.fingerprints[np.isin(known.role, (Known.TRAINED, Known.VALIDATION))]
        leaked = int(member(test.compositions.fingerprints(), np.sort(seen)).sum())
        assert not leaked, f"{leaked} test compounds were trained on"

        predicted = predictor.predict(test.compositions)
        n_elements = test.compositions.n_elements
        for title, chosen in (
            (f"**{weights.card.name}**, test split", n_elements > 0),
            ("… binaries", n_elements == 2),
            ("… ternaries", n_elements == 3),
            ("… 4 or more elements", n_elements > 3),
        ):
            rows.append((title, *judged(predicted[chosen], actual[chosen])))
        unknown = mp[~member(mp.compositions.fingerprints(), np.sort(known.fingerprints))]
        predicted = predictor.predict(unknown.compositions)
        inside = ~np.isnan(predicted)
        of_mp = judged(predicted[inside], unknown.properties[ENERGY][inside])
        rows.append(("… MP compounds that OQMD does not have", *of_mp))
        training = weights.card.training
        notes.append(
            f"{weights.card.name}: trained on {weights.card.data.n_train:,} compounds for "
            f"{training['epochs_seen']:g} epochs in {training['hours']:.2g} hours "
            f"({training['hardware']}), chosen on {weights.card.data.n_validation:,}; {leaked} of "
            "the test compounds are among them."
        )
    median = judged(np.full(len(actual), np.median(trained)), actual)
    rows.append(("the median of the training split", *median))
    rows += [
        (f"{name} (published)", len(actual), mae, None, None) for name, mae in PUBLISHED.items()
    ]
    notes += [
        "Energies of the Materials Project carry corrections that OQMD's do not, so these rows",
        "are upper bounds of the error on unseen chemistry.",
    ]
    write(
        "formation_energy",
        "Formation energy from composition",
        ("", "compounds", "MAE, eV/atom", "RMSE", "R²"),
        rows,
        notes=notes,
    )


def judged(
    predicted: NDArray[np.float64], actual: NDArray[np.float64]
) -> tuple[int, float, float, float]:
    """Number of compounds, MAE, RMSE, R²."""
    measured = regression(predicted, actual)
    return int(measured["n"]), measured["mae"], measured["rmse"], measured["r2"]


if __name__ == "__main__":
    main()
