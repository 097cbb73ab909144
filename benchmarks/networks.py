"""Every shipped network, by the data it learned from, beside its training compounds.

    python benchmarks/networks.py [--samples 100000] [--seed 1]

The tables are those of `matgen compare`; the last column judges as many of the training compounds
as there are, as if they had been generated: it is what a network that learned its data by heart
would give.
"""

from __future__ import annotations

import argparse
import json

from common import RESULTS, machine

from matgen_core import discover, tabulate
from matgen_core.evaluation import Evaluation, Reference, evaluate, judge
from matgen_core.weights import Known

SOURCES = {"oqmd": "OQMD", "mp": "Materials Project", "icsd": "AFLOW's ICSD catalogue"}
VALIDATORS = ("charge", "eneg")
PREDICTORS = ("elemnet", "gbrt-gap")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    registry = discover()
    checks = {name: registry.create("validator", name) for name in VALIDATORS}
    models = {name: registry.create("predictor", name) for name in PREDICTORS}
    by_source: dict[str, list[Evaluation]] = {source: [] for source in SOURCES}
    for entry in registry.entries("weights"):
        card = registry.weights(entry.item.name).card
        if card.encoder is not None:
            print(f"evaluating {card.name}")
            result = judge(
                registry,
                card.name,
                n=arguments.samples,
                validators=VALIDATORS,
                predictors=PREDICTORS,
                seed=arguments.seed,
            )
            by_source[card.data.source].append(result)
    parts = [
        f"# Shipped networks, {arguments.samples:,} raw samples each",
        f"Measured on {machine()}.",
    ]
    for source, results in by_source.items():
        reference = Reference.of(registry, source)
        trained = reference.of_role(Known.TRAINED)
        known = evaluate("training compounds", [trained], reference, checks, predictors=models)
        results.append(known)
        text = tabulate.markdown(tabulate.tables(results)).replace("\n## ", "\n### ")
        parts.append(f"## {SOURCES[source]}\n\n#{text}".strip())
    (RESULTS / "networks.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    content = {source: [r.to_dict() for r in results] for source, results in by_source.items()}
    record = {"machine": machine(), "seed": arguments.seed, "evaluations": content}
    (RESULTS / "networks.json").write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
