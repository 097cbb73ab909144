"""``matgen reconstruct`` and the library behind it, with an autoencoder whose faults are known."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import CARD, Cli, Install
from hypothesis import given
from hypothesis import strategies as st

from matgen_core import Compositions, discover, reconstruction, screening
from matgen_core.errors import PluginError
from matgen_core.reconstruction import ADDED, Reconstructor, Report, exact, reconstruct
from matgen_core.weights import Known, write_weights
from matgen_onehot import OneHotOptions
from matgen_onehot.encoder import OneHot

ECHO = '''
import numpy as np
from pathlib import Path
from matgen_core import Component, Compositions, Dataset, Source, Weights, hookimpl
from matgen_core.interfaces import Autoencoder

class Echo(Autoencoder):
    """Its codes are the grids themselves, but it is blind to chlorine (row 14)."""
    encoder = "onehot"
    def encode(self, grids):
        return grids.reshape(len(grids), -1).astype(np.float32)
    def decode(self, codes):
        cells = codes.reshape(-1, 85, 8).copy()
        cells[:, 14] = 0
        return cells
    def sample(self, n, seed):
        return np.zeros((n, 85, 8), np.float32)

class Wrong(Echo):
    def decode(self, codes):
        return codes

class Minerals(Source):
    def load(self):
        return Dataset("minerals", Compositions.from_formulas(["Fe2O3", "NaCl", "U20Pb", "SiO2"]))

@hookimpl
def matgen_generators():
    yield Component("echo", "echo:Echo")
    yield Component("wrong", "echo:Wrong")

@hookimpl
def matgen_sources():
    yield Component("minerals", "echo:Minerals")

@hookimpl
def matgen_weights():
    yield Weights("echo-minerals", "echo", Path(__file__).parent / "weights")
'''
ENCODER = OneHot(OneHotOptions())
Rows = list[dict[str, str]]


@pytest.fixture(autouse=True)
def _echo(install: Install) -> None:
    """The plugin; its weights were trained on Fe2O3 and NaCl, with SiO2 held out, FeO unused."""
    folder = install("echo", ECHO)
    compounds = Compositions.from_formulas(["Fe2O3", "NaCl", "SiO2", "FeO"])
    known = Known(compounds.fingerprints(), np.array([0, 0, 1, 2], np.uint8))
    card = CARD | {"name": "echo-minerals", "component": "echo"}
    write_weights(folder / "weights", card, {"known.safetensors": known.tensors()})


def rows_of(text: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def columns(rows: Rows) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in ("formula", "reconstruction", "exact")) for row in rows]


INPUT = """id,formula
1,Fe2O3
2,NaCl
3,Xx
4,H20O
5,Fe2OCl
6,
7,Si2O4
8,FeO
9,FeO,surplus
"""


def test_every_row_comes_out_in_order_with_what_came_back(cli: Cli) -> None:
    Path("in.csv").write_text(INPUT)
    answer = cli("reconstruct", "in.csv", "-g", "echo-minerals")
    assert answer.code == 0, answer.err
    rows = rows_of(Path("in.reconstructed.csv").read_text())
    assert list(rows[0]) == ["id", "formula", *ADDED]
    assert [row["id"] for row in rows] == list("123456789")
    assert columns(rows) == [
        ("Fe2O3", "Fe2O3", "True"),
        ("NaCl", "", "False"),
        ("Xx", "", "False"),
        ("H20O", "", "False"),
        ("Fe2OCl", "Fe2O", "False"),
        ("", "", "False"),
        ("Si2O4", "SiO2", "True"),
        ("FeO", "FeO", "True"),
        ("FeO", "", "False"),
    ]
    roles = ["trained", "trained", "", "", "unknown", "", "held out", "not used", ""]
    assert [row["role"] for row in rows] == roles
    errors = [row["error"] for row in rows]
    assert [bool(error) for error in errors] == [bool(not role) for role in roles]
    assert "'Xx'" in errors[2]
    assert errors[3] == "the encoder 'onehot' cannot represent it"
    assert errors[5] == "empty formula"
    assert "surplus" in errors[8]
    for text in ("came back exactly", "3 elements", "in.reconstructed.csv", "Cl"):
        assert text in answer.out


def test_the_summary(cli: Cli) -> None:
    Path("in.csv").write_text(INPUT)
    answer = cli("reconstruct", "in.csv", "-g", "echo-minerals", "--json")
    hit, miss = {"rows": 1, "exact": 1}, {"rows": 1, "exact": 0}
    both = {"rows": 2, "exact": 1}
    assert json.loads(answer.out) == {
        "rows": 9,
        "readable": 6,
        "encodable": 5,
        "exact": 3,
        "by_role": {"trained": both, "held out": hit, "not used": hit, "unknown": miss},
        "by_n_elements": {
            "2": {"trained": both, "held out": hit, "not used": hit},
            "3": {"unknown": miss},
        },
        "by_element": {
            "O": {"trained": hit, "held out": hit, "not used": hit, "unknown": miss},
            "Na": {"trained": miss},
            "Si": {"held out": hit},
            "Cl": {"trained": miss, "unknown": miss},
            "Fe": {"trained": hit, "not used": hit, "unknown": miss},
        },
    }


def test_the_elements_that_come_back_least_often_are_named_first() -> None:
    report = Report()
    batch = Compositions.from_formulas(["NaCl", "NaF", "KF", "KCl", "KF"])
    report.add(batch, np.zeros(5, np.intp), np.array([False, True, True, False, True]))
    assert report.hardest(9) == ["Cl", "Na", "K", "F"]
    assert report.hardest(2) == ["Cl", "Na"]
    assert Report().hardest(3) == []


def test_without_weights_every_compound_is_unknown(cli: Cli) -> None:
    Path("in.txt").write_text("Fe2O3\nSiO2\n")
    answer = cli("reconstruct", "in.txt", "-g", "echo", "--json", "-o", "x.jsonl")
    assert json.loads(answer.out)["by_role"] == {"unknown": {"rows": 2, "exact": 2}}
    table = [json.loads(line) for line in Path("x.jsonl").read_text().splitlines()]
    assert table == [
        {"formula": f, "reconstruction": f, "exact": True, "role": "unknown", "error": ""}
        for f in ("Fe2O3", "SiO2")
    ]


def test_a_data_source_by_name(cli: Cli) -> None:
    answer = cli("reconstruct", "minerals", "-g", "echo-minerals")
    assert answer.code == 0, answer.err
    rows = rows_of(Path("minerals.reconstructed.csv").read_text())
    assert [row["formula"] for row in rows] == ["Fe2O3", "NaCl", "U20Pb", "SiO2"]
    assert [row["exact"] for row in rows] == ["True", "False", "False", "True"]


@pytest.mark.parametrize("source", ["minerals", "in.csv"])
def test_rows_beyond_one_chunk(cli: Cli, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    Path("in.csv").write_text("formula\nFe2O3\nNaCl\nU20Pb\nSiO2\n")
    cli("reconstruct", source, "-g", "echo-minerals", "-o", "whole.csv")
    monkeypatch.setattr(screening, "CHUNK", 2)
    monkeypatch.setattr(reconstruction, "BATCH", 1)
    cli("reconstruct", source, "-g", "echo-minerals", "-o", "parts.csv")
    assert Path("parts.csv").read_text() == Path("whole.csv").read_text()


def test_standard_input() -> None:
    command = [sys.executable, "-m", "matgen_core.cli", "reconstruct", "-", "-g", "echo-minerals"]
    done = subprocess.run(command, input=b"FeO\n??\n", capture_output=True, check=True)
    assert columns(rows_of(done.stdout.decode())) == [("FeO", "FeO", "True"), ("??", "", "False")]


def test_another_column(cli: Cli) -> None:
    Path("in.csv").write_text("formula,pretty\nx,MgO\n")
    cli("reconstruct", "in.csv", "-g", "echo", "--column", "pretty")
    rows = rows_of(Path("in.reconstructed.csv").read_text())
    assert [(row["pretty"], row["reconstruction"]) for row in rows] == [("MgO", "MgO")]


def test_a_table_without_a_row_that_can_be_encoded(cli: Cli) -> None:
    for content in ("formula\n", "formula\nXx\nFe\n"):
        Path("in.csv").write_text(content)
        answer = cli("reconstruct", "in.csv", "-g", "echo-minerals")
        assert answer.code == 0, answer.err
        rows = rows_of(Path("in.reconstructed.csv").read_text())
        assert [row["exact"] for row in rows] == ["False"] * content.count("\n", 8)


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.usefixtures("toy")
def test_a_generator_that_is_no_autoencoder(
    mistake: Callable[..., str], wgan_weights: Path
) -> None:
    Path("in.csv").write_text(INPUT)
    for name in ("pick", "tape-salts", str(wgan_weights)):
        line = mistake("reconstruct", "in.csv", "-g", name)
        assert f"{name!r} is no autoencoder" in line
        assert "dice" in line or "plugins list" in line
    assert not Path("in.reconstructed.csv").exists()


def test_other_mistakes(mistake: Callable[..., str]) -> None:
    Path("in.csv").write_text("formula,role\nFeO,x\n")
    assert "did you mean 'echo" in mistake("reconstruct", "in.csv", "-g", "echo-mineral")
    assert "column 'role' already" in mistake("reconstruct", "in.csv", "-g", "echo")
    assert "cannot read absent.csv" in mistake("reconstruct", "absent.csv", "-g", "echo")
    assert "no column 'x'" in mistake("reconstruct", "in.csv", "-g", "echo", "--column", "x")
    assert "suffix" in mistake("reconstruct", "minerals", "-g", "echo", "-o", "x.xls")
    assert "--output" in mistake("reconstruct", "-", "-g", "echo", "--json")
    assert [path.name for path in Path().iterdir()] == ["in.csv"]


def test_an_autoencoder_that_breaks_its_contract() -> None:
    with pytest.raises(PluginError, match=r"'wrong' gave an array of float32 \(1, 680\)"):
        Reconstructor(discover(), "wrong")(Compositions.from_formulas(["FeO"]))


# --- the library -----------------------------------------------------------------------------

COMPOUNDS = st.lists(
    st.dictionaries(st.sampled_from("Li O Na Al Si S Fe U".split()), st.integers(1, 8), min_size=2)
    .filter(lambda amounts: len(amounts) <= 8)
    .map(lambda amounts: "".join(f"{element}{n}" for element, n in amounts.items())),
    min_size=1,
    max_size=20,
).map(lambda formulas: Compositions.from_formulas(formulas).reduced())


@given(COMPOUNDS)
def test_a_perfect_autoencoder_gives_everything_back(compositions: Compositions) -> None:
    back = reconstruct(lambda grids: grids, ENCODER, compositions)
    assert exact(compositions, back).all()
    assert back.to_formulas() == compositions.to_formulas()
    nothing = reconstruct(np.zeros_like, ENCODER, compositions)
    assert len(nothing) == len(compositions)
    assert not exact(compositions, nothing).any()


def test_a_multiple_is_the_same_compound() -> None:
    twice, once = (Compositions.from_formulas([f]) for f in ("Fe4O6", "Fe2O3"))
    assert exact(twice, once).all()


@given(COMPOUNDS, st.integers(2, 9))
def test_interpolation_ends_where_it_should(compositions: Compositions, steps: int) -> None:
    model = Reconstructor(discover(), "echo")
    start, end = compositions[:1], compositions[-1:]
    line = model.interpolate(start, end, steps)
    assert len(line) == steps
    ends = line[np.array([0, steps - 1])]
    assert ends.to_formulas() == [*model(start).to_formulas(), *model(end).to_formulas()]


def test_interpolation_passes_through_the_middle() -> None:
    """Halfway, both compounds' cells are at 0.5, above the threshold; at a tenth one's are not."""
    model = Reconstructor(discover(), "echo")
    start, end = (Compositions.from_formulas([f]) for f in ("Fe2O3", "MgS"))
    line = model.interpolate(start, end, 11).to_formulas()
    assert line[:2] == ["Fe2O3"] * 2
    assert line[5] == Compositions.from_formulas(["Fe2O3MgS"]).to_formulas()[0]
    assert line[-2:] == ["MgS"] * 2
