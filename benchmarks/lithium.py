"""The paper's question: which unknown, valid, probably stable lithium semiconductors?

    python benchmarks/lithium.py [--generator dice-oqmd] [--samples 200000]

It is the command in the title of its table, counted stage by stage.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import write

from matgen_core import Pipeline, discover

STABLE, SEMICONDUCTING, METAL = -1.0, 1.5, 0.5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--generator", default="dice-oqmd")
    parser.add_argument("--samples", type=int, default=200_000)
    arguments = parser.parse_args()
    pipeline = Pipeline(
        discover(),
        generator=arguments.generator,
        validators=["charge", "eneg"],
        predictors=["elemnet", "gbrt-gap", "gap-class"],
        num=arguments.samples,
        require=["Li"],
    )
    funnel = dict.fromkeys(("generated", "decodable", "different", "valid", "novel", "with Li"), 0)
    frames = []
    for batch in pipeline.batches():
        stage = np.ones(len(batch.compositions), np.bool_)
        for name, passed in (
            ("generated", stage),
            ("decodable", batch.compositions.n_elements > 0),
            ("different", batch.first),
            ("valid", batch.valid),
            ("novel", batch.novel),
            ("with Li", batch.wanted),
        ):
            stage = stage & passed
            funnel[name] += int(stage.sum())
        frames.append(batch.to_frame(batch.candidates))
    import pandas as pd

    table = pd.concat(frames, ignore_index=True)
    energy, gap = (pipeline.predictors.units[c] for c in ("formation_energy", "band_gap"))
    stable = table["formation_energy"] < STABLE
    semiconducting = stable & (table["band_gap"] > SEMICONDUCTING)
    funnel[f"formation energy < {STABLE:g} {energy}"] = int(stable.sum())
    funnel[f"band gap > {SEMICONDUCTING:g} {gap}"] = int(semiconducting.sum())
    chosen = semiconducting & (table["metal"] < METAL)
    funnel[f"probability of a metal < {METAL:g}"] = int(chosen.sum())
    write(
        "lithium_funnel",
        f"`matgen run -g {arguments.generator} -n {arguments.samples} --validators charge,eneg "
        "--predictors elemnet,gbrt-gap,gap-class --require Li --where "
        f'"formation_energy < {STABLE:g} and band_gap > {SEMICONDUCTING:g} and metal < {METAL:g}"`',
        ("left after each stage", "compositions"),
        list(funnel.items()),
    )
    top = table[chosen].sort_values("formation_energy").head(20)
    columns = ("formula", "formation_energy", "band_gap", "metal")
    write(
        "lithium_top",
        "Its 20 candidates of lowest predicted formation energy",
        ("formula", f"formation energy, {energy}", f"band gap, {gap}", "probability of a metal"),
        top[list(columns)].to_numpy(object).tolist(),
        notes=[
            "Predicted from composition alone. A low formation energy is not stability: that",
            "needs the energies of all competing phases.",
        ],
    )


if __name__ == "__main__":
    main()
