"""Every built-in name keeps the contract that a third party's must keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_data import PROPERTIES, SOURCES, make_wheel

from matgen_core import Component, discover
from matgen_core.registry import Entry
from matgen_core.testing import contract
from matgen_data import published

REGISTRY = discover()
ROWS = [("NaCl", -2.0), ("Mg2O2", -3.0), ("Fe", 0.0), ("Qq", 0.0), ("Fe2O3", -1.6)]


def bare(entry: Entry) -> bool:
    """Whether a name is that of a network alone: it is tried by the names of its weights."""
    item = entry.item
    return isinstance(item, Component) and item.needs_weights and not item.default_weights


BUILT_IN = [e for e in REGISTRY.entries() if e.plugin.distribution == "matgen"]
TRIED = [(entry.kind, entry.item.name) for entry in BUILT_IN if not bare(entry)]


@pytest.fixture
def published_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ROWS` in the place of the published data, which would have to be fetched."""
    monkeypatch.setenv("MATGEN_HOME", str(tmp_path))
    tables = dict.fromkeys((*SOURCES, *PROPERTIES), ROWS)
    monkeypatch.setattr(published, "WHEEL", make_wheel(tmp_path / "data" / "fake.whl", tables))


@pytest.mark.usefixtures("published_rows")
@pytest.mark.parametrize(("kind", "name"), TRIED)
def test_contract(kind: str, name: str, formulas_csv: Path) -> None:
    contract(REGISTRY, kind, name, {"path": formulas_csv} if name == "csv" else {})


def test_no_network_goes_untried() -> None:
    trained = {e.item.component for e in BUILT_IN if not isinstance(e.item, Component)}
    assert {entry.item.name for entry in BUILT_IN if bare(entry)} <= trained
