"""The trained generators in the package: whole, small, and as good as their cards say."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from matgen_core import discover
from matgen_core.registry import Weights
from matgen_core.training import GeneratorJob
from matgen_core.weights import Known

GENERATORS = {
    e.item.name for e in discover().entries("generator") if e.plugin.distribution == "matgen"
}
SHIPPED = [
    entry.item
    for entry in discover().entries("weights")
    if isinstance(entry.item, Weights) and entry.item.component in GENERATORS
]
shipped = pytest.mark.parametrize("item", SHIPPED, ids=lambda item: item.name)


def test_every_generator_learned_from_each_of_the_papers_data_sets() -> None:
    names = {item.name for item in SHIPPED}
    assert {
        f"{generator}-{data}" for generator in GENERATORS for data in ("oqmd", "mp", "icsd")
    } <= names
    assert any(discover().weights(name).card.data.screen for name in names)


@shipped
def test_samples_are_what_the_card_says(item: Weights) -> None:
    """A fresh draw of 4,000 agrees with the card's 100,000 within five standard errors."""
    registry = discover()
    weights = registry.weights(item.name)
    generator = registry.create("generator", item.name, device="cpu")
    encoder = registry.create("encoder", generator.encoder)
    judges = {judge: registry.create("validator", judge) for judge in ("charge", "eneg")}
    judge = SimpleNamespace(encoder=encoder, validators=judges, known=weights.known())
    measured = GeneratorJob.judge(judge, generator.sample, 4000, 12_345)
    assert weights.card.metrics["samples"] == 100_000
    for key in ("decodable", "charge", "eneg", "valid", "novel"):
        share = weights.card.metrics[key]
        error = (share * (1 - share) / 4000) ** 0.5
        assert measured[key] == pytest.approx(share, abs=5 * error + 1e-3), key
    assert measured["unique"] > 0.5  # a collapsed network is not shipped


@shipped
def test_weights_are_whole_and_small(item: Weights) -> None:
    weights = discover().weights(item.name)
    for file in weights.card.sha256:
        weights.verified(file)
    role = weights.known().role
    assert (role == Known.TRAINED).sum() == weights.card.data.n_train
    assert (role == Known.HELD_OUT).sum() == weights.card.data.n_held_out
    assert len(role) == weights.card.data.n_clean
    files = list(item.path.iterdir())
    assert {"card.toml", "metrics.jsonl"} <= {file.name for file in files}
    assert sum(file.stat().st_size for file in files) < 20_000_000
