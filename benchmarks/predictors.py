"""How fast predictors are, and what they cost in a run.

python benchmarks/predictors.py [--rows 200000]
"""

from __future__ import annotations

import argparse
import time

from common import write

from matgen_core import Compositions, Pipeline, discover
from matgen_core.training import draw

PREDICTORS = ("transformer", "gbrt-gap", "gap-class")
GENERATOR = "wgan-oqmd"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    rows_wanted = parser.parse_args().rows
    registry = discover()
    generator = registry.create("generator", GENERATOR)
    encoder = registry.create("encoder", generator.encoder)
    drawn = draw(generator.sample, encoder, rows_wanted * 5 // 4, seed=0)
    compositions = drawn[drawn.n_elements > 0][:rows_wanted]
    few = Compositions.from_formulas(["NaCl"])
    rows = []
    for name in ("elemnet", *PREDICTORS):
        predictor = registry.create("predictor", name)
        began = time.perf_counter()
        predictor.predict(few)
        first = time.perf_counter() - began
        began = time.perf_counter()
        predictor.predict(compositions)
        spent = time.perf_counter() - began
        rows.append((name, len(compositions), spent, len(compositions) / spent, first))
    write(
        "predictors",
        f"Predictors on {len(compositions):,} generated formulas",
        ("", "formulas", "s", "formulas/s", "first call, s"),
        rows,
    )
    settings = {"generator": GENERATOR, "validators": ["charge", "eneg"], "num": rows_wanted}
    report = Pipeline(registry, **settings, predictors=PREDICTORS).run()
    total = sum(report.seconds.values())
    write(
        "predictors_in_run",
        f"`matgen run -g {GENERATOR} -n {rows_wanted} --validators charge,eneg --predictors "
        f"{','.join(PREDICTORS)}`: time by stage",
        ("stage", "s", "share"),
        [(stage, spent, spent / total) for stage, spent in report.seconds.items()],
        notes=[f"Predictors see the {report.candidates:,} candidates only."],
    )


if __name__ == "__main__":
    main()
