"""``matgen report``: the numbers in its figures, the words on its page, and what it refuses."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli, Install
from pymatgen.core import Composition
from runs import CANDIDATES, CATIONS, ENERGY, EVIL, KNOWN, candidates, install_salts, write_run

pytest.importorskip("plotly")
pytest.importorskip("itables")

from matgen_core import discover
from matgen_core.compositions import Compositions
from matgen_core.errors import DataError, InvalidOption, MatgenError
from matgen_core.evaluation import Reference, evaluate
from matgen_core.report import figures, page, tsne
from matgen_core.report.run import Background, Run, read_evaluations


@pytest.fixture(autouse=True)
def salts(install: Install) -> None:
    install_salts(install)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.read(write_run(tmp_path / "out.csv"))


def build(path: Path, **settings: Any) -> page.Page:
    return page.build(Run.read(path), discover(), **settings)


class Text(HTMLParser):
    """The words of a page, without scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.words: list[str] = []
        self.tags: Counter[str] = Counter()
        self.links: list[dict[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag == "a":
            self.links.append(dict(attrs))
        if tag in ("script", "style"):
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.words.append(data)


def words(html: str) -> str:
    return " ".join(" ".join(Text(html).words).split())


def shares(formulas: list[str]) -> dict[str, float]:
    """Per cent by element, counted one by one."""
    held = Counter(str(e) for formula in formulas for e in Composition(formula))
    return {symbol: 100 * n / len(formulas) for symbol, n in held.items()}


# --- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_table_format_gives_the_same_run(suffix: str, tmp_path: Path) -> None:
    table = candidates(["NaN", "NaCl", "Li2O"])  # sodium nitride is no missing number
    run = Run.read(write_run(tmp_path / f"out{suffix}", table))
    assert run.candidates["formula"].tolist() == ["NaN", "NaCl", "Li2O"]
    assert run.compositions.to_formulas() == ["NaN", "NaCl", "Li2O"]
    np.testing.assert_allclose(run.predicted["formation_energy"], [1, 0.9, 0.8])
    np.testing.assert_allclose(run.predicted["band_gap"], [np.nan, 0.25, 0.5])


def test_rejected_rows_are_no_candidates(tmp_path: Path) -> None:
    table = candidates(
        ["NaCl", "KBr", "LiF", "RbI", "NaF"],
        charge=[True, False, True, True, True],
        novel=[True, True, False, True, True],
    )
    config = {"keep_rejected": True, "exclude": ["I"], "require": []}
    path = write_run(tmp_path / "out.csv", table, config=config)
    assert Run.read(path).candidates["formula"].tolist() == ["NaCl", "NaF"]
    path = write_run(tmp_path / "out.csv", table, config=config | {"require": ["F"]})
    assert Run.read(path).candidates["formula"].tolist() == ["NaF"]


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda p: p.unlink(), "cannot read .*out.csv: No such file.* table that `matgen run`"),
        (lambda p: beside(p).unlink(), r"cannot read .*report\.json: No such file"),
        (lambda p: beside(p).write_text("{"), r"report\.json is not the report of a run"),
        (lambda p: beside(p).write_text("[1]"), r"report\.json is not the report of a run"),
        (lambda p: beside(p).write_bytes(b"\xff"), r"report\.json is not the report of a run"),
        (lambda p: edit(p, generated="many"), "not the report of a run: generated: .*integer"),
        (lambda p: edit(p, config={}), "not the report of a run: config.generator: .*required"),
        (lambda p: edit(p, provenance={}), "not the report of a run: matgen: .*required"),
        (lambda p: p.write_text(""), "out.csv is no table that .*No columns to parse"),
        (lambda p: p.write_text("a,b\n1,2\n"), "out.csv has no column 'formula' but 'a', 'b'"),
        (lambda p: p.write_text("formula\nA\nA,B,C\n"), "out.csv is no table"),
        (lambda p: p.write_bytes(b"formula\n\xff\n"), "out.csv is no table"),
    ],
)
def test_what_is_no_run_is_refused(
    break_it: Callable[[Path], Any], reason: str, tmp_path: Path
) -> None:
    path = write_run(tmp_path / "out.csv")
    break_it(path)
    with pytest.raises(DataError, match=reason):
        Run.read(path)


def beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.report.json")


def edit(path: Path, **changes: Any) -> None:
    beside(path).write_text(json.dumps(json.loads(beside(path).read_text()) | changes))


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match=r"name the \.csv, \.jsonl, \.parquet table"):
        Run.read(tmp_path / "out.txt")
    for suffix in (".jsonl", ".parquet"):
        path = write_run(tmp_path / f"out{suffix}")
        path.write_bytes(b"neither")
        with pytest.raises(DataError, match="is no table that"):
            Run.read(path)


def test_known_compounds(tmp_path: Path) -> None:
    registry = discover()
    trained = Background.of(registry, "salty-weights")
    assert trained.title == "training compounds (salts)"
    assert trained.dataset.compositions.to_formulas() == KNOWN[:18]
    assert trained.dataset.properties["formation_energy"].tolist() == ENERGY[:18]
    for generator in ("saltgan", "gone", "orphan"):  # named: what the generator is matters not
        every = Background.of(registry, generator, "salts")
        assert (every.title, len(every.dataset.compositions)) == ("compounds of salts", 20)
    path = tmp_path / "my.csv"
    path.write_text("formula\nNaCl\n")
    mine = Background.of(registry, "salty-weights", str(path))
    assert mine.title == f"compounds of {path}"
    for generator, reason in (
        ("saltgan", "needs trained weights|says nothing of known compounds"),
        ("gone", "unknown generator 'gone'"),
        ("orphan", "matgen data fetch absent"),
    ):
        with pytest.raises(MatgenError, match=reason):
            Background.of(registry, generator)


# --- figures ---------------------------------------------------------------------------------


def test_funnel(run: Run) -> None:
    figure = figures.funnel(run.report)
    bars = {y: x for trace in figure.data for y, x in zip(trace.y, trace.x, strict=True)}
    assert bars == {
        "generated": 100, "decodable": 90, "different": 80, "pass charge": 60, "novel": 70,
        "candidates": 40,
    }  # fmt: skip
    left, tests = figure.data
    assert left.text[-1] == "40<br>40.0%"
    assert (left.marker.pattern.shape, tests.marker.pattern.shape) == ("", "/")


def test_elements_are_counted(run: Run) -> None:
    assert figures.element_shares(run.compositions) == pytest.approx(shares(CANDIDATES))


def test_periodic_table_places_every_element_once() -> None:
    every = {symbol: 12.0 for symbol in figures.SYMBOLS[1:]}
    figure = figures.periodic_table(every, "things")
    labels = [
        re.sub(r"<b>(\w+)</b>.*", r"\1", text) for text in figure.data[1].text.ravel() if text
    ]
    assert Counter(labels) == Counter(figures.SYMBOLS[1:])
    for symbol, group, period in (
        ("H", 1, 0),
        ("O", 16, 1),
        ("Fe", 8, 3),
        ("La", 3, 7),
        ("Lr", 17, 8),
    ):
        assert figure.data[1].text[period][group - 1].startswith(f"<b>{symbol}</b>")


def test_periodic_table_shows_the_shares() -> None:
    figure = figures.periodic_table(
        {"O": 50.0, "Fe": 0.04, "Na": 3.21}, "things", {"salts": {"O": 9}}
    )
    ground, heat = figure.data
    assert heat.text[1][15] == "<b>O</b><br>50"
    assert heat.z[1][15] == pytest.approx(np.log10(50))
    assert heat.text[3][7] == "<b>Fe</b><br>&lt;0.1"
    assert heat.text[2][0] == "<b>Na</b><br>3.2"
    assert np.isfinite(heat.z.astype(float)).sum() == 3
    assert ground.text[0][0] == "H"
    assert heat.customdata[1][15] == "<b>O</b> (Oxygen)<br>50 % of things<br>9 % of salts"


def test_distribution_is_a_density(run: Run) -> None:
    trained = np.array(ENERGY)
    figure = figures.distribution("x_y", "eV", {"a": run.predicted["band_gap"], "b": trained})
    for trace, values in zip(figure.data, (run.predicted["band_gap"], trained), strict=True):
        x, y = np.asarray(trace.x), np.asarray(trace.y)
        assert (y * np.diff(x, prepend=x[0])).sum() == pytest.approx(100)
        known = values[~np.isnan(values)]
        counts, _ = np.histogram(known, bins=np.unique(x) if len(x) == 120 else 60)
        np.testing.assert_allclose(y[1::2], 100 * counts / len(known) / np.diff(np.unique(x)))
    assert figure.data[0].line.dash != figure.data[1].line.dash
    assert figure.layout.xaxis.title.text == "x y (eV)"
    assert figure.layout.yaxis.title.text == "% per eV"
    assert "b: 20 values, median -1.52, 100.0% below zero" in figure.layout.meta


def test_all_values_the_same_are_a_distribution() -> None:
    figure = figures.distribution("gap", "", {"a": np.zeros(3)})
    assert np.isfinite(np.asarray(figure.data[0].y)).all()


def test_map(run: Run) -> None:
    made = page.build(run, discover())
    mine, known = made.figures["map"].data
    assert (len(mine.x), len(known.x)) == (40, 18)
    assert mine.marker.symbol != known.marker.symbol
    assert mine.marker.color != known.marker.color
    formulas = [text.partition("</b>")[0].removeprefix("<b>") for text in mine.text]
    assert sorted(formulas) == sorted(Compositions.from_formulas(CANDIDATES).to_formulas())
    first = mine.text[formulas.index(Compositions.from_formulas(CANDIDATES[1:2]).to_formulas()[0])]
    assert first.endswith("<br>formation energy: 0.900 eV/atom<br>band gap: 0.250 eV")
    assert known.text[0] == "<b>LiF</b><br>formation energy: -2.000 eV/atom"


def test_map_puts_like_compositions_together() -> None:
    oxides = [f"{a}{n}O{m}" for a in CATIONS for n in (1, 2) for m in (3, 5)]
    iodides = [f"{a}{n}I{m}" for a in CATIONS for n in (1, 2) for m in (3, 5)]
    places = tsne.arrange(Compositions.from_formulas(oxides + iodides), 0)
    one, other = places[: len(oxides)], places[len(oxides) :]
    within = np.linalg.norm(one - one.mean(0), axis=1).mean()
    assert np.linalg.norm(one.mean(0) - other.mean(0)) > within


@pytest.mark.parametrize("n", [0, 1, 5, 9, 10, 40])
def test_few_candidates(n: int, tmp_path: Path) -> None:
    path = write_run(tmp_path / "out.csv", candidates(CANDIDATES[:n]))
    beside_known = build(path)
    assert ("map" in beside_known.figures) == (n > 0)
    alone = build(write_run(path, candidates(CANDIDATES[:n]), config={"generator": "orphan"}))
    assert ("map" in alone.figures) == (n >= tsne.LEAST)
    assert ("elements-candidates" in alone.figures) == (n > 0)
    text = words(alone.html)
    assert ("Too few compounds for a map." in text) == (n < tsne.LEAST)
    assert ("No candidates in the table." in text) == (n == 0)
    assert ("No candidate has a predicted value." in text) == (n == 0)


def evaluation() -> Any:
    known = Compositions.from_formulas(KNOWN)
    reference = Reference("salts", known, np.array([0] * 15 + [1] * 5, np.uint8))
    return evaluate(EVIL, [Compositions.from_formulas([*CANDIDATES, *KNOWN[:3]])], reference, {})


def test_figures_of_evaluations() -> None:
    one = evaluation()
    made = figures.of_evaluations([one, one])
    assert made.keys() == {
        "shares", "curve-unique", "curve-novel", "recovered-trained", "recovered-held_out",
        "distances", "elements-1-img-src-x-onerror-alert-1", "elements-compounds-of-salts",
        "elements-2-img-src-x-onerror-alert-1",
    }  # fmt: skip
    assert list(made["shares"].data[0].y) == [100 * share for share in one.shares.values()]
    found = made["recovered-trained"].data[0]
    assert found.y[0] == 100 * 3 / 15
    assert made["curve-novel"].data[1].y == (100 * 40 / 43,)
    for figure in made.values():
        assert figure.layout.meta, "a figure without words"
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text
        assert EVIL not in figure.to_json(), "markup in a figure"
        looks = [
            (t.marker.symbol, t.line.dash) if t.type == "scatter" else t.marker.pattern.shape
            for t in figure.data
            if t.type != "heatmap"
        ]
        assert len(set(looks)) == len(looks), "colour alone tells two traces apart"


# --- the page --------------------------------------------------------------------------------


def test_page_says_what_the_run_was(tmp_path: Path) -> None:
    text = words(build(write_run(tmp_path / "out.csv")).html)
    for part in (
        "100 samples of salty-weights (seed 7), validated by charge.",
        "40 candidates; 40 of them are in the table.",
        "pass charge 60 60.0 %",
        "element % of candidates % of training compounds (salts) Sc 50.00 0.00 Y 50.00 0.00",
        "Na 20.00 22.22",
        "40 candidates and 18 training compounds (salts), at random",
        "40 of 40, the lowest formation energy first.",
        "matgen run --config out.csv.run.toml -o out.csv",
        "a1" * 32,
        "Lot's wife",
        'generator = "salty-weights"',
    ):
        assert part in text
    assert "No known compounds" not in text


def test_page_says_what_it_lacks(tmp_path: Path) -> None:
    table = candidates(["NaCl", "what", "Li2O"]).drop(columns="band_gap")
    path = write_run(tmp_path / "out.csv", table, config={"generator": "orphan"}, finished=False)
    text = words(build(path).html)
    for part in (
        "interrupted after 100 of 100 samples",
        "1 formulas of the table cannot be read",
        "No known compounds to compare with: absent is not there: matgen data fetch absent",
        "The table has no column band_gap.",
        "matgen evaluate orphan -o evaluation.json",
    ):
        assert part in text
    assert "The run asked no predictor." in words(build(write_run(path, table, units={})).html)


def test_page_loads_nothing_and_is_sound(tmp_path: Path) -> None:
    html = build(write_run(tmp_path / "out.csv")).html
    parsed = Text(html)
    assert not re.search(r"<(script|img|link|iframe)[^>]*\b(src|href)=[\"']?(https?:)?//", html)
    assert "default-src 'none'" in html
    assert parsed.tags["h1"] == parsed.tags["main"] == 1
    assert parsed.tags["figure"] == parsed.tags["figcaption"] == 6
    ids = re.findall(r'\bid="([^"]+)"', html[: html.index('<script type="application/json"')])
    assert len(ids) == len(set(ids))
    for name in re.findall(r'aria-labelledby="([^"]+)"', html):
        assert name in ids
    for link in parsed.links:
        assert link["href"].startswith(("#", "data:"))
        if link["href"].startswith("#"):
            assert link["href"][1:] in ids


def test_same_run_same_page(tmp_path: Path) -> None:
    path = write_run(tmp_path / "out.csv")
    assert build(path).html == build(path).html


def test_nothing_of_the_users_becomes_markup(tmp_path: Path) -> None:
    table = candidates([EVIL, *CANDIDATES]).rename(columns={"band_gap": EVIL})
    path = write_run(
        tmp_path / "<b>out.csv",
        table,
        units={EVIL: EVIL, "formation_energy": EVIL},
        passed={EVIL: 1},
        seconds={EVIL: 1.0},
        config={"generator": EVIL, "validators": [EVIL], "where": EVIL, "sort": EVIL},
        provenance={"matgen": EVIL, "python": EVIL, "plugins": {EVIL: EVIL},
                    "weights": {EVIL: {EVIL: EVIL}}},
    )  # fmt: skip
    made = build(path, against="salts", evaluations=[evaluation()])
    assert EVIL not in made.html
    assert "<b>out" not in made.html
    assert words(made.html).count(EVIL) >= 14
    for figure in made.figures.values():
        assert EVIL not in figure.to_json()


def test_best_candidates(tmp_path: Path) -> None:
    def shown(**report: Any) -> list[list[str]]:
        html = build(write_run(tmp_path / "out.csv", **report)).html
        body = html[html.index('<table id="candidates"') :]
        body = body[body.index("<tbody>") : body.index("</tbody>")]
        return [
            [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row)]
            for row in body.split("</tr>")[:-1]
        ]

    assert shown()[0] == [CANDIDATES[-1], "3", "-2.900", ""]
    assert shown()[-1] == [CANDIDATES[0], "3", "1.000", ""]
    assert shown(config={"sort": "-band_gap"})[0][0] == CANDIDATES[0]  # as the run left it
    assert [row[0] for row in shown(units={})] == CANDIDATES


def test_no_more_than_a_thousand_rows(tmp_path: Path) -> None:
    table = candidates(CANDIDATES * 30)
    html = build(write_run(tmp_path / "out.csv", table)).html
    assert html.count('<tr><th scope="row">') > 1000
    assert "1,000 of 1,200" in words(html)
    assert len(download(html)) == 1001


def download(html: str) -> list[list[str]]:
    [link] = [link for link in Text(html).links if "download" in link]
    head, _, content = link["href"].partition(",")
    assert head == "data:text/csv;charset=utf-8;base64"
    return list(csv.reader(io.StringIO(base64.b64decode(content).decode())))


def test_download_is_harmless_in_a_spreadsheet(tmp_path: Path) -> None:
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "NaCl", 'a"b,c']
    table = candidates(evil).rename(columns={"charge": "=x"})
    header, *rows = download(build(write_run(tmp_path / "out.csv", table, units={})).html)
    assert header == ["formula", "n_elements", "'=x", "novel", "formation_energy", "band_gap"]
    assert [row[0] for row in rows] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "NaCl", 'a"b,c']
    assert [row[4] for row in rows][:2] == ["1.0", "0.9"]
    assert rows[0][5] == ""
    assert rows[-1][4] == "0.5"


def test_negative_numbers_stay_numbers(tmp_path: Path) -> None:
    _, best, *_ = download(build(write_run(tmp_path / "out.csv")).html)
    assert float(best[4]) == pytest.approx(-2.9)


# --- the command -----------------------------------------------------------------------------


def test_report_of_a_real_run(toy: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("run", "-g", "tape-salts", "-n", 20, "-o", "out.csv").code == 0
    answer = cli("report", "out.csv", "--against", "salts")
    assert answer.code == 0, answer
    assert re.fullmatch(r"out\.html: \d\.\d MB, opens offline\n", answer.out)
    assert answer.err == ""
    text = words((tmp_path / "out.html").read_text())
    assert "20 samples of tape-salts (seed 0)." in text
    assert "4 candidates; 4 of them are in the table." in text
    assert not list(tmp_path.glob(".*"))


def test_evaluation_is_shown(cli: Cli, tmp_path: Path) -> None:
    write_run(tmp_path / "out.csv")
    one = evaluation().to_dict()
    (tmp_path / "e.json").write_text(json.dumps([one, one]))
    assert cli("report", "out.csv", "--evaluation", "e.json", "-o", "page.html").code == 0
    text = words((tmp_path / "page.html").read_text())
    assert "Known compounds found again" in text
    assert "matgen evaluate" not in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is no JSON"),
        ("[]", "not what `matgen evaluate -o` of this version wrote"),
        ('{"schema": 0}', "not what `matgen evaluate -o` of this version wrote"),
        ('{"schema": 1}', "is not an evaluation: 0.name: Field required"),
        (None, "cannot read .*: No such file"),
    ],
)
def test_what_is_no_evaluation_is_refused(content: str | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=reason):
        read_evaluations(path)


def test_mistakes(mistake: Callable[..., str], tmp_path: Path) -> None:
    assert "name the .csv, .jsonl, .parquet table" in mistake("report", "out.xlsx")
    assert "No such file" in mistake("report", "out.csv")
    write_run(tmp_path / "out.csv")
    assert "unknown source 'slats': did you mean 'salts'?" in mistake(
        "report", "out.csv", "--against", "slats"
    )
    assert "matgen data fetch absent" in mistake("report", "out.csv", "--against", "absent")
    assert "the suffix must be .html" in mistake("report", "out.csv", "-o", "out.pdf")
    assert "No such file" in mistake("report", "out.csv", "-o", "no/where.html")
    assert not (tmp_path / "out.html").exists()


def test_without_the_extra(
    mistake: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("matgen_core.report.NEEDED", ("plotly", "no_such_module"))
    assert mistake("report", "out.csv") == (
        "matgen: matgen report needs no_such_module: install it with `pip install matgen[report]`\n"
    )


def test_without_a_browser_there_are_no_pictures(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path
) -> None:
    from choreographer import browsers

    monkeypatch.setattr(browsers.chromium.Chromium, "find_browser", lambda *_, **__: None)
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    with pytest.raises(MatgenError, match="figures are drawn by Chrome or Chromium"):
        figures.save({"funnel": figures.funnel(run.report)}, tmp_path / "figures")


def test_pictures_need_a_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(DataError, match=r"cannot write .*taken: File exists"):
        figures.save({}, tmp_path / "taken")


def test_importing_the_core_stays_light() -> None:
    code = (
        "import sys, matgen_core, matgen_core.cli, matgen_core.report;"
        "assert not {'plotly', 'itables', 'jinja2', 'sklearn', 'kaleido'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ.copy())
