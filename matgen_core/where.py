"""`Where`: a comparison expression over the columns of a table.

    expression  = conjunction {"or" conjunction}
    conjunction = negation {"and" negation}
    negation    = "not" negation | comparison
    comparison  = operand [("==" | "!=" | "<" | "<=" | ">" | ">=") operand]
    operand     = number | text in quotes | true | false | column | "(" expression ")"

Nothing of Python is evaluated. Names and types are checked while parsing, so an expression that
was accepted cannot fail on the data.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matgen_core.errors import UnknownName, WhereError

if TYPE_CHECKING:
    import pandas as pd

MAX_LENGTH = 2_000
MAX_DEPTH = 50
"""Parentheses and `not` within one another."""

TOKEN = re.compile(
    r"""(?P<number> [+-]? (?: [0-9]+ \.? [0-9]* | \.[0-9]+ ) (?: [eE] [+-]? [0-9]+ )? )
      | (?P<text> "[^"]*" | '[^']*' )
      | (?P<column> `[^`]*` )
      | (?P<name> [^\W\d] [\w-]* )  # a hyphen too: validators are called no-radioactive
      | (?P<mark> [=!<>]= | [<>()] )""",
    re.VERBOSE,
)
WORDS = {"and", "or", "not"}
TRUTHS = {"true": True, "True": True, "false": False, "False": False}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": lambda a, b: (a < b) | (a > b),  # unlike numpy's, False for NaN
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NOUNS: dict[type, str] = {float: "a number", str: "text", bool: "true or false"}

Columns = Mapping[str, NDArray[Any]]


class Where:
    """Says which rows of a table pass an expression such as ``band_gap > 1.5 and not novel``.

    A column stands by its name, between backquotes where that is not one word. A comparison
    with NaN is False, ``!=`` too; ``not`` inverts it like any other.

    Args:
        text: the expression.
        columns: the type of each column: float, str or bool.

    Raises:
        WhereError: the expression is malformed, names an unknown column, or compares what
            cannot be compared.

    Example:
        >>> where = Where("band_gap > 1.5", {"formula": str, "band_gap": float})
        >>> frame[where(frame)]
    """

    def __init__(self, text: str, columns: Mapping[str, type]) -> None:
        parser = _Parser(text, columns)
        self._root = parser.parse()
        self._used = parser.used

    def __call__(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether each row passes, bool [N]."""
        columns = {name: frame[name].to_numpy() for name in self._used}
        return np.broadcast_to(self._root.evaluate(columns), len(frame))


@dataclass(frozen=True)
class _Token:
    kind: str
    value: str
    at: int


@dataclass(frozen=True)
class _Node:
    type: type
    at: int
    evaluate: Callable[[Columns], Any]


class _Parser:
    def __init__(self, text: str, columns: Mapping[str, type]) -> None:
        self.text = text
        self.columns = columns
        self.used: set[str] = set()
        self._depth = 0
        self._tokens = self._tokenize()
        self._token = next(self._tokens)

    def parse(self) -> _Node:
        node = self._expression()
        if self._token.kind != "end":
            raise self._error("expected 'and', 'or' or the end", self._token.at)
        self._need_truth(node)
        return node

    def _tokenize(self) -> Iterator[_Token]:
        if len(self.text) > MAX_LENGTH:
            raise self._error(f"longer than {MAX_LENGTH:,} characters", MAX_LENGTH)
        at = 0
        while at < len(self.text):
            found = TOKEN.match(self.text, at)
            if found:
                kind, value = str(found.lastgroup), found[0]
                yield _Token("mark" if value in WORDS else kind, value, at)
                at = found.end()
            elif self.text[at].isspace():
                at += 1
            elif self.text[at] in "\"'`":
                raise self._error("this quote is never closed", at)
            elif self.text[at] == "=":
                raise self._error("compare with ==", at)
            else:
                raise self._error(f"unexpected {self.text[at]!r}", at)
        yield _Token("end", "", len(self.text))

    def _expression(self) -> _Node:
        return self._joined("or", np.logical_or, self._conjunction)

    def _conjunction(self) -> _Node:
        return self._joined("and", np.logical_and, self._negation)

    def _joined(
        self, word: str, join: Callable[[Any, Any], Any], operand: Callable[[], _Node]
    ) -> _Node:
        nodes = [operand()]
        while self._accept(word):
            nodes.append(operand())
        if len(nodes) == 1:
            return nodes[0]
        for node in nodes:
            self._need_truth(node)
        return _Node(bool, nodes[0].at, lambda c: reduce(join, (n.evaluate(c) for n in nodes)))

    def _negation(self) -> _Node:
        start = self._accept("not")
        if start is None:
            return self._comparison()
        with self._nested(start):
            node = self._negation()
        self._need_truth(node)
        return _Node(bool, start.at, lambda c: np.logical_not(node.evaluate(c)))

    def _comparison(self) -> _Node:
        left = self._operand()
        sign = self._accept(*COMPARISONS)
        if sign is None:
            return left
        right = self._operand()
        if self._token.value in COMPARISONS:
            raise self._error("comparisons do not chain: write a < b and b < c", self._token.at)
        if left.type != right.type:
            nouns = f"{NOUNS[left.type]} with {NOUNS[right.type]}"
            raise self._error(f"cannot compare {nouns}", sign.at)
        if left.type is bool and sign.value not in ("==", "!="):
            raise self._error("true and false have no order: use == or !=", sign.at)
        compare = COMPARISONS[sign.value]
        return _Node(bool, left.at, lambda c: compare(left.evaluate(c), right.evaluate(c)))

    def _operand(self) -> _Node:
        token = self._token
        if start := self._accept("("):
            with self._nested(start):
                node = self._expression()
            if not self._accept(")"):
                raise self._error("expected ')'", self._token.at)
            return _Node(node.type, start.at, node.evaluate)
        if token.kind in ("mark", "end"):
            raise self._error("expected a column, a number or a quoted text", token.at)
        self._token = next(self._tokens)
        if token.kind == "number":
            return self._constant(token, float(token.value))
        if token.kind == "text":
            return self._constant(token, token.value[1:-1])
        if token.kind == "name" and token.value in TRUTHS:
            return self._constant(token, TRUTHS[token.value])
        name = token.value.strip("`")
        if name not in self.columns:
            raise self._error(str(UnknownName.of("column", name, self.columns)), token.at)
        self.used.add(name)
        return _Node(self.columns[name], token.at, lambda c: c[name])

    def _constant(self, token: _Token, value: float | str | bool) -> _Node:
        return _Node(type(value), token.at, lambda c: value)

    def _accept(self, *values: str) -> _Token | None:
        """The next token, consumed, if it is one of these marks."""
        token = self._token
        if token.kind != "mark" or token.value not in values:
            return None
        self._token = next(self._tokens)
        return token

    @contextmanager
    def _nested(self, start: _Token) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep", start.at)
        yield
        self._depth -= 1

    def _need_truth(self, node: _Node) -> None:
        if node.type is not bool:
            raise self._error(f"expected a comparison, not just {NOUNS[node.type]}", node.at)

    def _error(self, reason: str, at: int) -> WhereError:
        return WhereError(reason, self.text, at)
