"""The expressions of ``--where``, against Python's own answer, and against hostile text."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen_core.errors import WhereError
from matgen_core.where import Where

NAN = float("nan")
TABLE = pd.DataFrame(
    {
        "formula": ["NaCl", "MgO", "SiC", "Fe2O3", "KBr"],
        "n_elements": [2, 2, 2, 2, 2],
        "energy": [-1.5, -1.0, 0.0, NAN, 1e-3],
        "band gap (eV)": [1.5, NAN, 0.5, NAN, -0.0],
        "no-radioactive": [True, False, True, True, False],
        "novel": [False, False, True, True, True],
    }
)
COLUMNS: dict[str, type] = {
    "formula": str, "n_elements": float, "energy": float, "band gap (eV)": float,
    "no-radioactive": bool, "novel": bool,
}  # fmt: skip


def passing(text: str) -> list[str]:
    return TABLE["formula"][Where(text, COLUMNS)(TABLE)].tolist()


def refusal(text: str) -> tuple[str, str, int]:
    """The reason, the text shown, and where in it the caret stands."""
    with pytest.raises(WhereError) as error:
        Where(text, COLUMNS)
    reason, shown, caret = str(error.value).split("\n")
    assert reason.startswith("where: ")
    assert caret.strip() == "^"
    return reason.removeprefix("where: "), shown, caret.index("^")


# --- what passes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("energy < -1", ["NaCl"]),
        ("energy<=-1", ["NaCl", "MgO"]),
        ("-1 >= energy", ["NaCl", "MgO"]),
        ("energy == 1e-3 or energy == -1.", ["MgO", "KBr"]),
        ("energy > -.5E0 and energy < +0.0005", ["SiC"]),
        ("novel", ["SiC", "Fe2O3", "KBr"]),
        ("not novel", ["NaCl", "MgO"]),
        ("novel == false", ["NaCl", "MgO"]),
        ("no-radioactive and novel", ["SiC", "Fe2O3"]),
        ("no-radioactive != novel", ["NaCl", "KBr"]),
        ("`no-radioactive` and `band gap (eV)` > 1", ["NaCl"]),
        ("formula == 'MgO' or formula == \"KBr\"", ["MgO", "KBr"]),
        ("formula >= 'MgO' and formula != 'SiC'", ["NaCl", "MgO"]),
        ("n_elements == 2 and not (novel or energy < -1)", ["MgO"]),
        ("not novel and energy < -1 or formula == 'KBr'", ["NaCl", "KBr"]),
        ("not energy < 0", ["SiC", "Fe2O3", "KBr"]),
        ("true", ["NaCl", "MgO", "SiC", "Fe2O3", "KBr"]),
        ("1 < 0 or False", []),
        (" \t\n( ( novel ) )\n", ["SiC", "Fe2O3", "KBr"]),
    ],
)
def test_rows(text: str, expected: list[str]) -> None:
    assert passing(text) == expected


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">="])
def test_a_comparison_with_nan_is_false_and_not_inverts_it(sign: str) -> None:
    for text in (f"energy {sign} 0", f"0 {sign} energy", f"energy {sign} energy"):
        assert "Fe2O3" not in passing(text)
        assert "Fe2O3" in passing(f"not {text}")


def test_of_no_rows() -> None:
    for text in ("energy < 0", "formula == 'MgO'", "not novel", "true"):
        mask = Where(text, COLUMNS)(TABLE[:0])
        assert (mask.shape, mask.dtype) == ((0,), np.bool_)


# Pairs of one expression in the language and in Python, whose `!=` is True for NaN.
Pairs = st.SearchStrategy[tuple[str, str]]
SPACE = st.sampled_from([" ", "", "\t", "\n  "])


def column(name: str) -> tuple[str, str]:
    return (name if " " not in name else f"`{name}`"), f"row[{name!r}]"


def same(*texts: str) -> Pairs:
    return st.sampled_from(texts).map(lambda text: (text, text))


def columns(kind: type) -> Pairs:
    return st.sampled_from([column(name) for name, its in COLUMNS.items() if its is kind])


NUMBER = st.one_of(
    columns(float),
    same("-1", "+1.5", "0", "2.", ".5", "-1e-3", "1E+3", "1e999"),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda x: (repr(x), repr(x))),
)
TEXT = st.one_of(columns(str), same("'MgO'", '"SiC"', "''", "'a \"b\"'"))


def compared(sides: Pairs, signs: list[str]) -> Pairs:
    def write(a: tuple[str, str], sign: str, b: tuple[str, str], space: str) -> tuple[str, str]:
        ours = f"{a[0]}{space}{sign}{space}{b[0]}"
        if sign == "!=":
            return ours, f"({a[1]} < {b[1]} or {a[1]} > {b[1]})"
        return ours, f"{a[1]} {sign} {b[1]}"

    return st.builds(write, sides, st.sampled_from(signs), sides, SPACE)


def nested(inner: Pairs) -> Pairs:
    bracketed = inner.map(lambda pair: (f"({pair[0]})", f"({pair[1]})"))
    joined = st.builds(
        lambda a, word, b: (f"{a[0]} {word} {b[0]}", f"{a[1]} {word} {b[1]}"),
        inner, st.sampled_from(["and", "or"]), inner,
    )  # fmt: skip
    negated = inner.map(lambda pair: (f"not {pair[0]}", f"not {pair[1]}"))
    return st.one_of(bracketed, joined, negated, compared(bracketed, ["==", "!="]))


ORDERED = ["==", "!=", "<", "<=", ">", ">="]
EXPRESSION = st.recursive(
    st.one_of(
        compared(NUMBER, ORDERED),
        compared(TEXT, ORDERED),
        columns(bool),
        same("True", "False"),
    ),
    nested,
    max_leaves=12,
)


@given(EXPRESSION)
def test_any_expression_means_what_it_means_in_python(pair: tuple[str, str]) -> None:
    ours, python = pair
    rows: list[dict[str, Any]] = TABLE.to_dict("records")
    expected = [bool(eval(f"({python})", {"row": row})) for row in rows]
    assert Where(ours, COLUMNS)(TABLE).tolist() == expected


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason", "at"),
    [
        ("energy < -1 and enrgy > 0", "unknown column 'enrgy': did you mean 'energy'?", 16),
        ("Novel", "unknown column 'Novel': did you mean 'novel'?", 0),
        ("`band gap` > 1", "unknown column 'band gap': did you mean 'band gap (eV)'?", 0),
        ("energy < nan", "unknown column 'nan'", 9),
        ("energy = 1", "compare with ==", 7),
        ("energy < 1 & novel", "unexpected '&'", 11),
        ("energy < - 1", "unexpected '-'", 9),
        ("energy < ٣", "unexpected '٣'", 9),
        ("formula == 'MgO", "this quote is never closed", 11),
        ("", "expected a column, a number or a quoted text", 0),
        ("energy <", "expected a column, a number or a quoted text", 8),
        ("energy < and novel", "expected a column, a number or a quoted text", 9),
        ("novel == not novel", "expected a column, a number or a quoted text", 9),
        ("energy < 1 novel", "expected 'and', 'or' or the end", 11),
        ("energy < 2eV", "expected 'and', 'or' or the end", 10),
        ("energy < 1.2.3", "expected 'and', 'or' or the end", 12),
        ("novel AND novel", "expected 'and', 'or' or the end", 6),
        ("(novel", "expected ')'", 6),
        ("novel)", "expected 'and', 'or' or the end", 5),
        ("f()", "unknown column 'f'", 0),
        ("0 < energy < 1", "comparisons do not chain: write a < b and b < c", 11),
        ("formula < 3", "cannot compare text with a number", 8),
        ("novel == 1", "cannot compare true or false with a number", 6),
        ("energy == 'MgO'", "cannot compare a number with text", 7),
        ("novel < true", "true and false have no order: use == or !=", 6),
        ("energy", "expected a comparison, not just a number", 0),
        ("novel and (energy)", "expected a comparison, not just a number", 10),
        ("not formula", "expected a comparison, not just text", 4),
        ("novel or energy or novel", "expected a comparison, not just a number", 9),
        ("\n\tnovel and\x1bx", "unexpected '\\x1b'", 11),
    ],
)
def test_the_caret_stands_under_the_mistake(text: str, reason: str, at: int) -> None:
    said, shown, caret = refusal(text)
    assert said.startswith(reason)
    assert caret == at
    assert len(shown) == len(text)
    assert shown.isprintable()


def test_a_long_expression_is_shown_around_the_mistake() -> None:
    said, shown, caret = refusal("novel and " * 60 + "enrgy > 0" + " and novel" * 60)
    assert "did you mean 'energy'" in said
    assert shown[caret:].startswith("enrgy > 0 and")
    assert len(shown) <= 70


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "formula.__class__ == 'x'",
        "energy.real < 0",
        "energy[0] < 0",
        "[x for x in formula]",
        "lambda: novel",
        "novel if novel else novel",
        "energy < 10 ** 10 ** 10",
        "energy + 1 < 2",
        "formula == f'{energy}'",
        "novel; novel",
        "energy ＜ 1",
        "n\u043evel",
        "\0", "\ud800", "é\u0301", "🧪 == 1", "#", "\\", "novel \u202e",
    ],
)  # fmt: skip
def test_what_is_not_of_the_language_is_refused(text: str) -> None:
    refusal(text)


@pytest.mark.parametrize("opening", ["(", "not ", "(not "])
def test_nesting_is_bounded(opening: str) -> None:
    closing = ")" * opening.count("(")
    depth = 50 // (1 + (opening == "(not "))
    Where(opening * depth + "novel" + closing * depth, COLUMNS)
    said, _, _ = refusal(opening * (depth + 1) + "novel" + closing * (depth + 1))
    assert said == "nested more than 50 deep"


def test_length_is_bounded() -> None:
    longest = "novel or" + " " * 1987 + "novel"
    assert len(longest) == 2000
    assert passing(longest) == passing("novel")
    for text in (longest + " ", "(" * 10_000, "x" * 10_000, "1" * 10_000, "novel or " * 1_111):
        assert refusal(text)[0] == "longer than 2,000 characters"


def test_a_chain_as_long_as_allowed() -> None:
    text = " or ".join(["1<0"] * 285)
    assert 1950 < len(text) <= 2000
    assert passing(text) == []


@given(st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with suppress(WhereError):
        assert Where(text, COLUMNS)(TABLE).dtype == np.bool_
