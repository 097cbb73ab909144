"""Runs as `matgen run` leaves them, made up: for the tests of the report and its page."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from conftest import CARD, Install

from matgen_core.compositions import Compositions
from matgen_core.tables import open_table
from matgen_core.weights import Known, write_weights

CATIONS, ANIONS = ("Li", "Na", "K", "Rb", "Cs"), ("F", "Cl", "Br", "I")
CANDIDATES = [f"{a}{b}{c}3" for a, b, c in product(CATIONS, ("Sc", "Y"), ANIONS)]
"""Forty formulas of three elements each."""
KNOWN = [a + b for a, b in product(CATIONS, ANIONS)]
"""Twenty formulas, of which the weights `salty` were trained on all but the last two."""
ENERGY = [-2.0 + 0.05 * i for i in range(len(KNOWN))]
EVIL = "<img src=x onerror=alert(1)>"
"""What must never become a part of a page."""

SALTS = f"""
from pathlib import Path
import numpy as np
from matgen_core import Component, Compositions, Dataset, Generator, Source, Weights, hookimpl
from matgen_core.errors import DataError

class Salts(Source):
    def load(self):
        salts = Compositions.from_formulas({KNOWN})
        return Dataset("salts", salts, {{"formation_energy": np.array({ENERGY})}},
                       attribution="Lot's wife")

class Absent(Source):
    def load(self):
        raise DataError("absent is not there: matgen data fetch absent")

class Salty(Generator):
    encoder = "onehot"
    def sample(self, n, seed): ...

@hookimpl
def matgen_sources():
    yield Component("salts", "salty:Salts")
    yield Component("absent", "salty:Absent")

@hookimpl
def matgen_generators():
    yield Component("saltgan", "salty:Salty")

@hookimpl
def matgen_weights():
    yield Weights("salty-weights", "saltgan", Path(__file__).parent / "weights")
    yield Weights("orphan", "saltgan", Path(__file__).parent / "orphan")
"""


def install_salts(install: Install) -> None:
    """The sources `salts` and `absent`, and weights trained on each of them."""
    folder = install("salty", SALTS, "matgen-salty")
    compounds = Compositions.from_formulas(KNOWN)
    role = pd.Series([Known.TRAINED] * 18 + [Known.HELD_OUT] * 2).to_numpy("uint8")
    index = {"known.safetensors": Known(compounds.fingerprints(), role).tensors()}
    for name, source in (("weights", "salts"), ("orphan", "absent")):
        card = CARD | {
            "name": name,
            "component": "saltgan",
            "data": CARD["data"] | {"source": source},
        }
        write_weights(folder / name, card, index)


def candidates(formulas: list[str] = CANDIDATES, **columns: Any) -> pd.DataFrame:
    """A table of candidates with energies that fall, and a gap that is unknown for every third."""
    n = len(formulas)
    content: dict[str, Any] = {
        "formula": pd.Series(formulas, dtype="str"),
        "n_elements": [3] * n,
        "charge": [True] * n,
        "novel": [True] * n,
        "formation_energy": [1.0 - 0.1 * i for i in range(n)],
        "band_gap": [None if i % 3 == 0 else 0.25 * i for i in range(n)],
    }
    frame = pd.DataFrame(content | columns)
    frame["band_gap"] = frame["band_gap"].astype(float)
    return frame


def write_run(path: Path, table: pd.DataFrame | None = None, **report: Any) -> Path:
    """A table and its report; what is given replaces what the report would say."""
    table = candidates() if table is None else table
    with open_table(path) as file:
        file.write(table)
    config = {"generator": "salty-weights", "validators": ["charge"], "num": 100, "seed": 7}
    content: dict[str, Any] = {
        "generated": 100, "decodable": 90, "unique": 80, "novel": 70, "passed": {"charge": 60},
        "valid": 60, "candidates": len(table), "rows_written": len(table), "finished": True,
        "units": {"formation_energy": "eV/atom", "band_gap": "eV"}, "seconds": {"generate": 1.5},
        "provenance": {
            "matgen": "0.1", "python": "3.11", "plugins": {"salty": "matgen-salty 1.0"},
            "weights": {"salty-weights": {"weights.safetensors": "a1" * 32}},
        },
    }  # fmt: skip
    content |= report
    content["config"] = config | report.get("config", {})
    path.with_name(f"{path.name}.report.json").write_text(json.dumps(content))
    return path
