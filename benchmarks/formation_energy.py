"""The networks of formation energy on the published test split of OQMD, and on other compounds.

    python benchmarks/formation_energy.py

Reads the public data and the shipped weights only. First it makes sure that no compound it is
judged by, in any polymorph or multiple, is among those trained on or chosen by.
"""

from __future__ import annotations

import numpy as np
from common import write

from matgen_core import discover
from matgen_core.datasets import Dataset
from matgen_core.interfaces import Predictor
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
KEYS = ("n", "mae", "rmse", "r2")


def main() -> None:
    registry = discover()
    oqmd: Dataset = registry.create("source", "oqmd-energy").load()
    test = oqmd[oqmd.split == Known.HELD_OUT]
    trained = oqmd.properties[ENERGY][oqmd.split == Known.TRAINED]
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

        rows.append((f"**{weights.card.name}**, test split", *judged(predictor, test)))
        n_elements = test.compositions.n_elements
        for title, of_size in (
            ("binaries", n_elements == 2),
            ("ternaries", n_elements == 3),
            ("4 or more elements", n_elements > 3),
        ):
            rows.append((f"… {title}", *judged(predictor, test[of_size])))
        unknown = mp[~member(mp.compositions.fingerprints(), np.sort(known.fingerprints))]
        inside = unknown[~np.isnan(predictor.predict(unknown.compositions))]
        rows.append(("… MP compounds that OQMD does not have", *judged(predictor, inside)))
        training = weights.card.training
        notes.append(
            f"{weights.card.name}: trained on {weights.card.data.n_train:,} compounds for "
            f"{training['epochs_seen']:g} epochs in {training['hours']:.2g} hours "
            f"({training['hardware']}), chosen on {weights.card.data.n_validation:,}; {leaked} of "
            "the test compounds are among them."
        )
    actual = test.properties[ENERGY]
    median = regression(np.full(len(actual), np.median(trained)), actual)
    rows.append(("the median of the training split", len(actual), *(median[k] for k in KEYS[1:])))
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


def judged(predictor: Predictor, part: Dataset) -> tuple[float, ...]:
    """Number of compounds, MAE, RMSE, R²."""
    measured = regression(predictor.predict(part.compositions), part.properties[ENERGY])
    return int(measured["n"]), *(measured[key] for key in KEYS[1:])


if __name__ == "__main__":
    main()
