"""``matgen screen``: every row comes back, in order, whatever it holds."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Answer, Cli

from matgen_core import screening

pytestmark = pytest.mark.usefixtures("toy")
OXIDE = ("--validators", "oxide")
Rows = list[dict[str, str]]
Screen = Callable[..., Rows]


def rows_of(text: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def screen(cli: Cli) -> Screen:
    """Screen the content of a file; returns the rows written."""

    def run(content: str | bytes, *arguments: str, name: str = "in.csv") -> Rows:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        answer = cli("screen", name, *OXIDE, *arguments)
        assert answer.code == 0, answer.err
        return rows_of(Path(name).with_suffix(".screened.csv").read_text(encoding="utf-8"))

    return run


@pytest.fixture
def refusal(mistake: Callable[..., str]) -> Callable[..., str]:
    """Screen the content of a file that must be refused, and nothing written."""

    def run(content: str | bytes, *arguments: str, name: str = "in.csv") -> str:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        line = mistake("screen", name, *OXIDE, *arguments)
        assert [p.name for p in Path().iterdir()] == [name]
        return line

    return run


def verdicts(rows: Rows) -> list[tuple[str, str, bool]]:
    return [(row["formula"], row["oxide"], bool(row["error"])) for row in rows]


# --- what is read ----------------------------------------------------------------------------


def test_every_row_in_order_with_its_verdict(screen: Screen) -> None:
    rows = screen("id,formula,note\n1,MgO,a\n2,NaCl,b\n3,Xx,c\n4,,d\n5,O3Fe2,e\n6,MgO,f\n")
    assert [(row["id"], row["note"]) for row in rows] == list(zip("123456", "abcdef", strict=True))
    assert list(rows[0]) == ["id", "formula", "note", "oxide", "error"]
    assert verdicts(rows) == [
        ("MgO", "True", False), ("NaCl", "False", False), ("Xx", "False", True),
        ("", "False", True), ("O3Fe2", "True", False), ("MgO", "True", False),
    ]  # fmt: skip
    assert "'Xx'" in rows[2]["error"]
    assert rows[3]["error"] == "empty formula"


def test_numbers_and_texts_are_left_as_they_are(screen: Screen) -> None:
    rows = screen("formula,a,b,c\nMgO,007,1e3,NA\nNaCl,,True, x \n")
    assert [(r["a"], r["b"], r["c"]) for r in rows] == [("007", "1e3", "NA"), ("", "True", " x ")]


def test_rows_beyond_one_chunk(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "CHUNK", 3)
    names = ["MgO", "NaCl", "??", "CaO"] * 5
    rows = screen("formula\n" + "\n".join(names) + "\n")
    assert [row["formula"] for row in rows] == names
    assert [row["oxide"] for row in rows] == ["True", "False", "False", "True"] * 5


def test_plain_text(screen: Screen) -> None:
    rows = screen("MgO\n  NaCl \n\nFe(OH)3\nnot a formula", name="list.txt")
    assert verdicts(rows) == [
        ("MgO", "True", False), ("NaCl", "False", False), ("", "False", True),
        ("Fe(OH)3", "True", False), ("not a formula", "False", True),
    ]  # fmt: skip


def test_text_with_the_columns_name_on_top(screen: Screen) -> None:
    assert verdicts(screen("formula\nMgO\n", name="list.txt")) == [("MgO", "True", False)]


def test_another_column(screen: Screen) -> None:
    rows = screen("formula,pretty\nx,MgO\n", "--column", "pretty")
    assert [(r["formula"], r["pretty"], r["oxide"]) for r in rows] == [("x", "MgO", "True")]


def test_quoted_fields(screen: Screen) -> None:
    text = 'note,formula\n"a, ""b""","MgO"\n"two\nlines",NaCl\n'
    rows = screen(text)
    assert [row["note"] for row in rows] == ['a, "b"', "two\nlines"]
    assert [row["oxide"] for row in rows] == ["True", "False"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["in.csv", "in.txt"])
def test_line_endings(screen: Screen, ending: str, name: str) -> None:
    rows = screen(ending.join(["formula", "MgO", "NaCl", ""]), name=name)
    assert verdicts(rows) == [("MgO", "True", False), ("NaCl", "False", False)]


@pytest.mark.parametrize("name", ["in.csv", "in.txt"])
def test_byte_order_mark(screen: Screen, name: str) -> None:
    rows = screen(b"\xef\xbb\xbfformula\nMgO\n", name=name)
    assert verdicts(rows) == [("MgO", "True", False)]


def test_bytes_that_are_no_utf8(screen: Screen) -> None:
    rows = screen(b"formula,note\nMgO,caf\xe9\nFe\xff2,x\n")
    assert verdicts(rows) == [("MgO", "True", False), ("Fe\\xff2", "False", True)]
    assert rows[0]["note"] == "caf\\xe9"


def test_unicode(screen: Screen) -> None:
    rows = screen("formula,note\nFe₂O₃,水\nMgO,é\n")
    assert verdicts(rows) == [("Fe₂O₃", "False", True), ("MgO", "True", False)]
    assert rows[0]["note"] == "水"


def test_ragged_rows(screen: Screen) -> None:
    rows = screen("id,formula,note\n1,MgO\n2\n3,NaCl,c,extra,more\n\n4,CaO,d\n")
    assert [row["id"] for row in rows] == ["1", "2", "3", "", "4"]
    assert verdicts(rows)[0] == ("MgO", "True", False)
    assert rows[1]["error"] == "empty formula"
    assert rows[2]["error"] == "2 fields more than the header: ['extra', 'more']"
    assert rows[4]["oxide"] == "True"


def test_hostile_cells(screen: Screen) -> None:
    cells = ["(" * 5000, "H" + "9" * 5000, "=cmd()", "\0", "Mg\0O", "H" * 20_000]
    rows = screen("formula\n" + "\n".join([*cells, "MgO"]) + "\n")
    assert [bool(row["error"]) for row in rows] == [True] * len(cells) + [False]
    assert max(len(row["error"]) for row in rows) < 1_200


def test_a_header_without_rows(screen: Screen) -> None:
    assert screen("id,formula\n") == []
    assert Path("in.screened.csv").read_text() == "id,formula,oxide,error\n"


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\n", " \n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["in.csv", "in.txt"])
def test_empty_file(refusal: Callable[..., str], content: str, name: str) -> None:
    assert f"{name} is empty" in refusal(content, name=name)


def test_missing_column(refusal: Callable[..., str]) -> None:
    line = refusal("id,Formula\n1,MgO\n")
    assert "no column 'formula' but 'id', 'Formula'" in line
    assert "--column" in line
    assert "'nope'" in refusal("id,formula\n1,MgO\n", "--column", "nope")


@pytest.mark.parametrize("name", ["oxide", "error"])
def test_a_column_that_would_be_overwritten(refusal: Callable[..., str], name: str) -> None:
    assert f"column '{name}' already" in refusal(f"formula,{name}\nMgO,yes\n")


@pytest.mark.parametrize("header", ["formula,formula", "formula,x,x"])
def test_two_columns_of_one_name(refusal: Callable[..., str], header: str) -> None:
    assert "several columns named" in refusal(f"{header}\nMgO,CaO,1\n")


def test_a_quote_that_is_never_closed(refusal: Callable[..., str]) -> None:
    rest = "x,MgO\n" * 30_000
    assert "cannot read in.csv: field larger than field limit" in refusal(
        f'note,formula\n"x,MgO\n{rest}'
    )


def test_a_first_line_without_end(refusal: Callable[..., str]) -> None:
    assert "cannot read in.txt: field larger" in refusal("H" * 200_000, name="in.txt")


# --- in and out ------------------------------------------------------------------------------


def piped(content: bytes, *arguments: str) -> Answer:
    command = [sys.executable, "-c", "from matgen_core.cli import main; main()", "screen", "-"]
    done = subprocess.run(
        [*command, *OXIDE, *arguments], input=content, capture_output=True, check=False
    )
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize(
    "content",
    [
        b"id,formula\n1,MgO\n2,Fe\xff\n",
        b"\xef\xbb\xbfid,formula\r\n1,MgO\r\n2,Fe\xff\r\n",
    ],
)
def test_standard_input_is_read_as_a_file_is(content: bytes) -> None:
    answer = piped(content)
    assert answer.code == 0, answer.err
    assert answer.err == ""
    assert [(r["id"], r["formula"], r["oxide"]) for r in rows_of(answer.out)] == [
        ("1", "MgO", "True"),
        ("2", "Fe\\xff", "False"),
    ]


def test_standard_input_of_plain_text(tmp_path: Path) -> None:
    answer = piped(b"MgO\nNaCl\n", "-o", str(tmp_path / "x.csv"), "--json")
    assert json.loads(answer.out)["passed"] == {"oxide": 1}
    assert verdicts(rows_of((tmp_path / "x.csv").read_text()))[1] == ("NaCl", "False", False)


def test_empty_standard_input() -> None:
    answer = piped(b"")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_other_formats(cli: Cli, suffix: str) -> None:
    Path("in.csv").write_text("id,formula\n01,MgO\n02,??\n")
    answer = cli("screen", "in.csv", *OXIDE, "-o", f"x.{suffix}")
    assert answer.code == 0, answer.err
    if suffix == "parquet":
        table = pd.read_parquet("x.parquet").to_dict("records")
    else:
        table = [json.loads(line) for line in Path("x.jsonl").read_text().splitlines()]
    assert [(r["id"], r["formula"], r["oxide"]) for r in table] == [
        ("01", "MgO", True),
        ("02", "??", False),
    ]
    assert table[0]["error"] == ""


def test_the_counts(cli: Cli) -> None:
    Path("in.txt").write_text("MgO\nNaCl\n??\nCaO\n")
    answer = cli("screen", "in.txt", "--validators", "oxide,binary", "--json")
    assert json.loads(answer.out) == {
        "rows": 4, "readable": 3, "passed": {"oxide": 2, "binary": 3}, "units": {},
        "outside_domain": {}, "passed_where": None, "rows_written": 4,
    }  # fmt: skip
    table = cli("screen", "in.txt", *OXIDE).out
    assert "in.screened.csv" in table
    assert "readable" in table


def test_output_may_replace_the_input(cli: Cli) -> None:
    Path("in.csv").write_text("formula\nMgO\n")
    assert cli("screen", "in.csv", *OXIDE, "-o", "in.csv").code == 0
    assert Path("in.csv").read_text() == "formula,oxide,error\nMgO,True,\n"
