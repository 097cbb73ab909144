"""Predictors, ``--where``, ``--sort`` and ``--top``, in a run and in a screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import BLANK, CARD, FULL, IRON, Answer, Cli, Install
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from matgen_core import Pipeline, discover, screening
from matgen_core.errors import InvalidOption, PluginError, UnknownName, WhereError
from matgen_core.selection import SelectedRows, Selection
from matgen_core.weights import write_weights

NACL, FE2O3, MGO, KBR, LIFEPO4, SIC, MG2O2 = range(7)
TAPE = [NACL, SIC, BLANK, MGO, KBR, MG2O2, FULL, FE2O3, IRON, LIFEPO4, KBR]

ORACLES = """
from pathlib import Path
import numpy as np
from matgen_core import Component, Options, Predictor, Weights, hookimpl

SEEN = []

class AtomsOptions(Options):
    scale: float = 1.0

class Atoms(Predictor):
    "Atoms in a formula unit; it does not know silicon."
    property, unit = "atoms", "atoms/f.u."
    def predict(self, compositions):
        SEEN.append(compositions.to_formulas())
        atoms = self.options.scale * compositions.counts.sum(axis=1)
        return np.where(compositions.contains(["Si"])[:, 0], np.nan, atoms)

class Lightest(Predictor):
    property, unit = "lightest", ""
    def predict(self, compositions):
        return compositions.numbers[:, 0].astype(float)

class Novel(Lightest):
    property = "novel"

class Wrong(Predictor):
    property, unit = "wrong", ""
    answer = None
    def predict(self, compositions):
        return type(self).answer(len(compositions))

@hookimpl
def matgen_predictors():
    yield Component("atoms", "oracles:Atoms", options=AtomsOptions)
    yield Component("atoms-too", "oracles:Atoms")
    yield Component("lightest", "oracles:Lightest")
    yield Component("sees-novel", "oracles:Novel")
    yield Component("wrong", "oracles:Wrong")

@hookimpl
def matgen_weights():
    yield Weights("atoms-salts", "atoms", Path(__file__).parent / "atoms")
"""


@pytest.fixture(autouse=True)
def oracles(toy: Path, install: Install) -> None:
    """Install some predictors, one of which has weights."""
    folder = install("oracles", ORACLES, "matgen-oracles", "0.3")
    card = CARD | {"name": "atoms-salts", "component": "atoms", "encoder": None}
    write_weights(folder / "atoms", card, {})


def seen() -> list[str]:
    """The formulas that the predictor of atoms was shown."""
    batches = sys.modules["oracles"].SEEN
    assert all(batches), "a predictor was called with nothing"
    return [formula for batch in batches for formula in batch]


def tape(order: list[int] = TAPE, **settings: Any) -> Pipeline:
    """A pipeline whose samples are known beforehand."""
    options = {"tape": {"order": order}} | settings.pop("options", {})
    settings = {"generator": "tape-salts", "num": len(order)} | settings
    return Pipeline(discover(), options=options, **settings)


# --- columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_predictors_see_candidates_only(batch_size: int, tmp_path: Path) -> None:
    settings = {"batch_size": batch_size, "predictors": ["atoms"], "exclude": ["Li"]}
    pipeline = tape(validators=["binary"], **settings)
    report = pipeline.run(tmp_path / "x.csv")
    # Not twice MgO or KBr, not NaCl or Fe2O3, which are known, nor what has lithium.
    assert seen() == ["SiC", "MgO", "KBr"]
    assert report.units == {"atoms": "atoms/f.u."}
    assert report.outside_domain == {"atoms": 1}
    assert report.passed_where is None
    assert report.seconds.keys() == {
        "generate", "decode", "validate", "compare", "predict", "write"
    }  # fmt: skip
    assert (tmp_path / "x.csv").read_text() == (
        "formula,n_elements,binary,novel,atoms\n"
        "SiC,2,True,True,\nMgO,2,True,True,2\nKBr,2,True,True,2\n"
    )


def test_rejected_rows_have_no_prediction() -> None:
    table = tape(predictors=["atoms", "lightest"], keep_rejected=True).to_frame()
    assert table["formula"].tolist() == ["NaCl", "SiC", "MgO", "KBr", "Fe2O3", "LiFePO4"]
    np.testing.assert_array_equal(table["atoms"], [np.nan, np.nan, 2, 2, np.nan, 7])
    np.testing.assert_array_equal(table["lightest"], [np.nan, 6, 8, 19, np.nan, 3])
    assert seen() == ["SiC", "MgO", "KBr", "LiFePO4"]


def test_rejected_rows_are_not_counted_as_outside_the_domain() -> None:
    report = tape(predictors=["atoms"], keep_rejected=True).run()
    assert report.outside_domain == {"atoms": 1}


def test_predictors_are_named_by_weights_and_have_options() -> None:
    pipeline = tape(predictors=["atoms-salts"], options={"atoms": {"scale": 10}})
    assert pipeline.to_frame()["atoms"].tolist()[1:] == [20, 20, 70]
    assert pipeline.provenance["weights"].keys() == {"tape-salts", "atoms-salts"}


def test_two_predictors_of_one_property() -> None:
    with pytest.raises(InvalidOption, match="'atoms' and 'atoms-too' both give 'atoms'"):
        tape(predictors=["atoms", "atoms-too"])
    with pytest.raises(PluginError, match="'sees-novel' gives 'novel', a column that"):
        tape(predictors=["sees-novel"])


@pytest.mark.parametrize(
    "answer",
    [
        lambda n: np.zeros(n + 1),
        lambda n: np.zeros((n, 1)),
        lambda n: np.zeros(n, np.float32),
        lambda n: np.zeros(n, np.int64),
        lambda n: [0.0] * n,
        lambda n: 0.0,
        lambda n: None,
    ],
)
def test_a_predictor_that_breaks_its_contract_is_named(answer: Any, tmp_path: Path) -> None:
    pipeline = tape(predictors=["wrong"])
    sys.modules["oracles"].Wrong.answer = answer
    with pytest.raises(PluginError, match=r"predictor 'wrong' gave .*, not an array of float64"):
        pipeline.run()
    (tmp_path / "in.txt").write_text("NaCl\n")
    model = {"wrong": discover().create("predictor", "wrong")}
    with pytest.raises(PluginError, match="predictor 'wrong' gave"):
        screening.screen(str(tmp_path / "in.txt"), {}, None, predictors=model)


# --- selecting -------------------------------------------------------------------------------


def formulas(**settings: Any) -> list[str]:
    return tape(predictors=["atoms", "lightest"], **settings).to_frame()["formula"].tolist()


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"where": "atoms < 5"}, ["MgO", "KBr"]),
        ({"where": "not atoms < 5"}, ["SiC", "LiFePO4"]),
        ({"where": "atoms < 5 and lightest > 8"}, ["KBr"]),
        ({"where": "false"}, []),
        ({"where": "not novel", "keep_rejected": True}, ["NaCl", "Fe2O3"]),
        ({"sort": "lightest"}, ["LiFePO4", "SiC", "MgO", "KBr"]),
        ({"sort": "-lightest"}, ["KBr", "MgO", "SiC", "LiFePO4"]),
        ({"sort": "atoms"}, ["MgO", "KBr", "LiFePO4", "SiC"]),
        ({"sort": "-atoms"}, ["LiFePO4", "MgO", "KBr", "SiC"]),
        ({"sort": "formula"}, ["KBr", "LiFePO4", "MgO", "SiC"]),
        ({"top": 3}, ["SiC", "MgO", "KBr"]),
        ({"top": 100}, ["SiC", "MgO", "KBr", "LiFePO4"]),
        ({"sort": "-atoms", "top": 2}, ["LiFePO4", "MgO"]),
        ({"sort": "lightest", "top": 1, "where": "atoms < 5"}, ["MgO"]),
    ],
)
def test_selection(settings: dict[str, Any], expected: list[str], batch_size: int) -> None:
    assert formulas(batch_size=batch_size, **settings) == expected


@given(
    st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.5, -3.0, np.nan]), max_size=6), min_size=1),
    st.integers(1, 12),
    st.sampled_from(["x", "-x"]),
)
def test_the_top_of_batches_is_the_top_of_all(
    batches: list[list[float]], top: int, sort: str
) -> None:
    numbered = enumerate(x for batch in batches for x in batch)
    rows = [(number, x) for number, x in numbered]

    def selected(sizes: list[int], top: int | None) -> np.ndarray:
        written: list[pd.DataFrame] = []
        into = SelectedRows(Selection({"n": float, "x": float}, sort=sort, top=top), written.append)
        start, most = 0, 0
        for size in sizes:
            part = rows[start : start + size]
            into.add(pd.DataFrame(part, columns=["n", "x"]).astype(float))
            start, most = start + size, max(most, sum(map(len, into._waiting)))
        assert top is None or most <= 2 * top
        into.finish()
        return pd.concat(written).to_numpy()

    sign = -1 if sort == "-x" else 1
    known = sorted((row for row in rows if row[1] == row[1]), key=lambda row: sign * row[1])
    expected = np.reshape([*known, *(row for row in rows if row[1] != row[1])], (-1, 2))
    sizes = [len(batch) for batch in batches]
    np.testing.assert_array_equal(selected(sizes, None), expected)
    np.testing.assert_array_equal(selected(sizes, top), expected[:top])


def test_counts_of_a_selection(tmp_path: Path) -> None:
    settings = {"predictors": ["atoms"], "where": "atoms > 0", "batch_size": 2}
    report = tape(sort="atoms", top=2, **settings).run(tmp_path / "x.csv")
    assert (report.candidates, report.passed_where, report.rows_written) == (4, 3, 2)
    assert report.generated == len(TAPE), "the counts are of the whole run"
    assert tape(**settings).run().passed_where == 3
    assert tape(top=1, **settings).run().passed_where == 3


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_sorted_tables_in_every_format(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    tape(predictors=["lightest"], sort="lightest", batch_size=1).run(path)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}.get(
        suffix, lambda path: pd.read_json(path, lines=True)
    )
    assert read(path)["formula"].tolist() == ["LiFePO4", "SiC", "MgO", "KBr"]
    tape([BLANK], predictors=["lightest"], sort="lightest").run(path)
    assert len(read(path)) == 0


@pytest.mark.parametrize(("top", "expected"), [(None, ["MgO", "KBr", "SiC"]), (2, ["MgO", "KBr"])])
def test_ctrl_c_writes_what_was_collected_in_order(
    top: int | None, expected: list[str], tmp_path: Path
) -> None:
    def interrupt(done: int) -> None:
        if done == 5:  # before LiFePO4
            raise KeyboardInterrupt

    pipeline = tape(predictors=["atoms"], sort="atoms", top=top, batch_size=1)
    report = pipeline.run(tmp_path / "x.csv", interrupt)
    assert not report.finished
    assert report.rows_written == len(expected)
    assert pd.read_csv(tmp_path / "x.csv")["formula"].tolist() == expected


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"predictors": ["atom"]}, UnknownName, "unknown predictor 'atom': did you mean 'atoms'?"),
        ({"predictors": ["oxide"]}, UnknownName, "unknown predictor 'oxide'"),
        ({"predictors": ["tape-salts"]}, UnknownName, "unknown predictor"),
        ({"where": "formula <"}, WhereError, "expected a column"),
        ({"where": "atoms < 3"}, WhereError, "unknown column 'atoms'"),
        ({"where": "oxide"}, WhereError, "unknown column 'oxide'"),
        ({"where": " "}, WhereError, "expected a column"),
        ({"where": "novel", "generator": "tape"}, WhereError, "unknown column 'novel'"),
        ({"where": 3}, InvalidOption, "run.where = 3"),
        ({"sort": "formul"}, UnknownName, "'formul': did you mean 'formula'?"),
        ({"sort": "-"}, UnknownName, "unknown column to sort by ''"),
        ({"top": 0}, InvalidOption, "top = 0"),
        ({"top": "many"}, InvalidOption, "run.top = 'many'"),
        ({"options": {"atoms": {}}}, UnknownName, "unknown component in this run 'atoms'"),
    ],
)
def test_mistakes_are_found_before_the_work(
    settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refusal:
        tape(**settings)
    assert words in str(refusal.value)


# --- the command line ------------------------------------------------------------------------

RUN = ("run", "-g", "tape-salts", "-n", 11, "--set", f"tape.order={TAPE}", "--predictors", "atoms")


def test_a_run_is_repeated_from_its_run_toml(cli: Cli) -> None:
    options = ("--where", 'atoms > 0 and formula != "KBr"', "--sort", "-atoms", "--top", 2)
    first = cli(*RUN, *options, "--set", "atoms.scale=0.5", "-o", "a.csv")
    assert first.code == 0, first.err
    passed = next(line for line in first.out.splitlines() if "passed --where" in line)
    assert [cell.strip() for cell in passed.strip("│").split("│")][:2] == ["passed --where", "2"]
    assert "2 candidates in a.csv" in first.out
    assert Path("a.csv").read_text() == (
        "formula,n_elements,novel,atoms\nLiFePO4,4,True,3.5\nMgO,2,True,1\n"
    )
    again = cli("run", "-c", "a.csv.run.toml", "-o", "b.csv", "--json")
    assert again.code == 0, again.err
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert Path("a.csv.run.toml").read_bytes() == Path("b.csv.run.toml").read_bytes()
    report = json.loads(again.out)
    assert report["units"] == {"atoms": "atoms/f.u."}
    assert report["outside_domain"] == {"atoms": 1}
    assert (report["passed_where"], report["rows_written"]) == (2, 2)
    assert report["config"]["predictors"] == ["atoms"]


def test_a_run_with_the_example_plugin(
    cli: Cli, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples" / "matgen-random")
    install("example", "from matgen_random import *")
    answer = cli(
        "run", "-g", "random", "-n", 2000, "--batch-size", 300, "--predictors", "molar-mass",
        "--where", "molar_mass < 1e3 and n_elements == 2", "--sort", "-molar_mass", "--top", 20,
        "-o", "x.csv", "--json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["units"] == {"molar_mass": "g/mol"}
    table = pd.read_csv("x.csv")
    assert (table["n_elements"] == 2).all()
    masses = [composition.weight for composition in table["formula"].map(Composition)]
    assert masses == pytest.approx(sorted(masses, reverse=True))
    assert table["molar_mass"].tolist() == pytest.approx(masses)
    assert len(masses) == 20
    assert masses[0] < 1e3


@pytest.mark.parametrize("command", ["run", "screen"])
def test_a_mistake_is_shown_with_a_caret(command: str, cli: Cli) -> None:
    Path("in.csv").write_text("formula\nMgO\n")
    start = RUN if command == "run" else ("screen", "in.csv", "--predictors", "atoms")
    answer = cli(*start, "--where", "formula == 'MgO'\nand atms < 3")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "matgen: where: unknown column 'atms': did you mean 'atoms'?\n"
        "formula == 'MgO' and atms < 3\n"
        "                     ^\n"
    )
    assert [path.name for path in Path().iterdir()] == ["in.csv"]


# --- screening -------------------------------------------------------------------------------

INPUT = "id,formula\n1,NaCl\n2,SiC\n3,Xx\n4,LiFePO4\n5,MgO\n6,Fe2O3\n7,NaCl,surplus\n"
Screen = Callable[..., Answer]


@pytest.fixture
def screen(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Screen `INPUT` in chunks of two rows for binaries, with the predictor of atoms."""
    monkeypatch.setattr(screening, "CHUNK", 2)

    def run(*options: object) -> Answer:
        Path("in.csv").write_text(INPUT)
        start = ("screen", "in.csv", "--validators", "binary", "--predictors", "atoms")
        answer = cli(*start, *options)
        assert answer.code == 0, answer.err
        return answer

    return run


def screened() -> pd.DataFrame:
    return pd.read_csv("in.screened.csv")


def test_screening_shows_predictors_only_what_passed(screen: Screen) -> None:
    report = json.loads(screen("--json").out)
    assert seen() == ["NaCl", "SiC", "MgO", "Fe2O3"]
    table = screened()
    assert list(table) == ["id", "formula", "binary", "atoms", "error"]
    assert table["id"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(table["atoms"], [2, np.nan, np.nan, np.nan, 2, 5, np.nan])
    assert report == {
        "rows": 7, "readable": 5, "passed": {"binary": 5}, "units": {"atoms": "atoms/f.u."},
        "outside_domain": {"atoms": 1}, "passed_where": None, "rows_written": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--where", "not error == ''"), [3, 7]),
        (("--where", "binary and not atoms > 2"), [1, 2, 5, 7]),
        (("--where", 'id == "5" or formula == "SiC"'), [2, 5]),
        (("--sort", "-atoms"), [6, 1, 5, 2, 3, 4, 7]),
        (("--sort", "-id", "--top", 3), [7, 6, 5]),
        (("--top", 3), [1, 2, 3]),
        (("--where", "atoms > 0", "--sort", "atoms", "--top", 2), [1, 5]),
        (("--where", "false"), []),
    ],
)
def test_screening_with_a_selection(
    screen: Screen, options: tuple[object, ...], expected: list[int]
) -> None:
    report = json.loads(screen(*options, "--json").out)
    assert screened()["id"].tolist() == expected
    assert list(screened()) == ["id", "formula", "binary", "atoms", "error"]
    assert (report["rows"], report["rows_written"]) == (7, len(expected))


def test_screening_says_how_many_rows_are_left(screen: Screen) -> None:
    text = screen("--where", "atoms > 0", "--top", 2).out
    assert "passed --where" in text
    assert "2 rows with their verdicts: in.screened.csv" in text


def test_a_selection_on_stdout_has_one_header(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "CHUNK", 2)
    (tmp_path / "in.csv").write_text(INPUT)
    screening.screen(str(tmp_path / "in.csv"), {}, None, where="formula == 'MgO'")
    assert capsys.readouterr().out == "id,formula,error\n5,MgO,\n"


def test_screening_interrupted_writes_what_was_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(screening, "CHUNK", 2)
    (tmp_path / "in.csv").write_text(INPUT)
    with pytest.raises(KeyboardInterrupt):
        screening.screen(
            str(tmp_path / "in.csv"), {}, tmp_path / "x.csv", sort="-id", progress=interrupt
        )
    assert pd.read_csv(tmp_path / "x.csv")["id"].tolist() == [4, 3, 2, 1]


def test_screening_with_options_of_a_predictor(screen: Screen) -> None:
    screen("--set", "atoms.scale=3", "--where", "atoms == 15")
    assert screened()["formula"].tolist() == ["Fe2O3"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--predictors atms", "unknown predictor 'atms': did you mean 'atoms'?"),
        ("--predictors atoms,atoms-too", "both give 'atoms'"),
        ("--predictors atoms --set atom.scale=1", "did you mean 'atoms'?"),
        ("--sort frmula", "unknown column to sort by 'frmula': did you mean 'formula'?"),
        ("--sort atoms", "unknown column to sort by 'atoms'"),
        ("--top 0", "top = 0: keep at least one row"),
        ("--top x", "--top"),
    ],
)
def test_screening_mistakes(options: str, words: str, mistake: Callable[..., str]) -> None:
    Path("in.csv").write_text(INPUT)
    assert words in mistake("screen", "in.csv", "--validators", "binary", *options.split())
    assert [path.name for path in Path().iterdir()] == ["in.csv"]


def test_a_column_that_a_prediction_would_overwrite(mistake: Callable[..., str]) -> None:
    Path("in.csv").write_text("formula,atoms\nMgO,1\n")
    line = mistake("screen", "in.csv", "--predictors", "atoms")
    assert "in.csv has a column 'atoms' already" in line
