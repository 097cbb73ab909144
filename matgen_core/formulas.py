"""Reading formulas: plain ones all at once with numpy, the rest one by one.

Nearly every formula is plain: symbols and whole numbers, ``LiFePO4``. Those are read as one array
of characters, some twenty times faster than in a loop. What is left, brackets, decimals and
mistakes, goes through `parse_one`, which alone decides what is wrong with a formula.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from matgen_core.elements import ATOMIC_NUMBER, SYMBOLS
from matgen_core.errors import InvalidFormula

Atoms = tuple[NDArray[np.uint8], NDArray[np.uint16]]
"""Atomic numbers and counts, [N, K] each, as `matgen_core.compositions.Compositions` has them."""

MAX_COUNT = 65_535
"""Largest count of one element in a formula (counts are uint16)."""
MAX_FORMULA_LENGTH = 1_000
"""Longest formula read, in characters; anything longer is not a formula."""

_TOKEN = re.compile(r"([A-Z][a-z]?)|([(\[{])|([)\]}])")
# Nine digits hold any count that fits; a longer run of digits is refused instead of computed.
_AMOUNT = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(?![\d.])")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_BLOCK = 50_000  # formulas read at once: bounds memory
_DIGITS = 4  # of a plain count
_NUMBER_OF = np.zeros((26, 27), np.uint8)  # by letters of the symbol; the last column is "none"
for _z, _symbol in enumerate(SYMBOLS[1:], start=1):
    _NUMBER_OF[ord(_symbol[0]) - 65, ord(_symbol[1]) - 97 if len(_symbol) > 1 else 26] = _z


def parse(formulas: Iterable[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint16], dict[int, str]]:
    """Read every formula; one that cannot be read becomes an empty row.

    Returns:
        Atomic numbers and counts, [N, K] each, and the reason by row for each failure.
    """
    blocks: list[Atoms] = []
    reasons: dict[int, str] = {}
    remaining = iter(formulas)
    start = 0
    while block := list(islice(remaining, _BLOCK)):
        plain, (numbers, counts) = _parse_plain(block)
        others = np.flatnonzero(~plain)
        rows: list[list[tuple[int, int]]] = []
        for i in others:
            try:
                rows.append(parse_one(block[i]))
            except InvalidFormula as reason:
                rows.append([])
                reasons[start + int(i)] = str(reason)
        (numbers, counts), (odd_numbers, odd_counts) = _widened([(numbers, counts), _padded(rows)])
        numbers[others], counts[others] = odd_numbers, odd_counts
        blocks.append((numbers, counts))
        start += len(block)
    if not blocks:
        return np.zeros((0, 1), np.uint8), np.zeros((0, 1), np.uint16), reasons
    same = _widened(blocks)
    return np.concatenate([n for n, _ in same]), np.concatenate([c for _, c in same]), reasons


def _parse_plain(formulas: Sequence[str]) -> tuple[NDArray[np.bool_], Atoms]:
    """Read the plain formulas of a block.

    Returns:
        Which formulas are plain, bool [N], and all atoms [N, K]; rows of the others are empty.
    """
    n = len(formulas)
    texts = [f if isinstance(f, str) and "\n" not in f else "" for f in formulas]
    # A newline before each formula, and zeros behind the last to look ahead into.
    joined = "\n" + "\n".join(texts) + "\0" * (_DIGITS + 2)
    text = np.frombuffer(joined.encode("ascii", "replace"), np.uint8)
    starts = np.flatnonzero(text == ord("\n"))
    lengths = np.diff(starts, append=len(text) - _DIGITS - 2) - 1
    plain = (lengths > 0) & (lengths <= MAX_FORMULA_LENGTH)

    def row_of(places: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.searchsorted(starts, places, side="right") - 1

    upper = (text >= ord("A")) & (text <= ord("Z"))
    lower = (text >= ord("a")) & (text <= ord("z"))
    digit = (text >= ord("0")) & (text <= ord("9"))
    # Lower case follows upper case, a digit anything but the start; nothing else is plain.
    fits = upper | (text == ord("\n"))
    fits[-_DIGITS - 2 :] = True
    fits[1:] |= lower[1:] & upper[:-1]
    fits[1:] |= digit[1:] & (upper | lower | digit)[:-1]
    plain[row_of(np.flatnonzero(~fits))] = False

    at = np.flatnonzero(upper)
    row = row_of(at)
    two = lower[at + 1]
    number = _NUMBER_OF[text[at] - 65, np.where(two, text[at + 1].astype(np.int16) - 97, 26)]
    count = np.zeros(len(at), np.int64)
    end = at + 1 + two
    written = digit[end]
    for _ in range(_DIGITS):
        more = digit[end]
        count = np.where(more, count * 10 + text[end] - 48, count)
        end = end + more
    count[~written] = 1
    plain[row[(number == 0) | (count == 0) | digit[end]]] = False

    kept = plain[row]
    key = row[kept] * len(SYMBOLS) + number[kept]
    order = np.argsort(key, kind="stable")
    key, first = np.unique(key[order], return_index=True)
    total = np.add.reduceat(count[kept][order], first) if len(first) else count[:0]
    row, number = np.divmod(key, len(SYMBOLS))
    plain[row[total > MAX_COUNT]] = False

    kept = plain[row]
    row, number, total = row[kept], number[kept], total[kept]
    place = np.arange(len(row)) - np.searchsorted(row, np.arange(n))[row]
    width = int(place.max(initial=0)) + 1
    numbers, counts = np.zeros((n, width), np.uint8), np.zeros((n, width), np.uint16)
    numbers[row, place], counts[row, place] = number, total
    return plain, (numbers, counts)


def _padded(rows: Sequence[Sequence[tuple[int, int]]]) -> Atoms:
    lengths = np.fromiter(map(len, rows), np.intp, len(rows))
    filled = np.arange(max(1, int(lengths.max(initial=0)))) < lengths[:, None]
    numbers, counts = np.zeros(filled.shape, np.uint8), np.zeros(filled.shape, np.uint16)
    numbers[filled] = [z for row in rows for z, _ in row]
    counts[filled] = [c for row in rows for _, c in row]
    return numbers, counts


def _widened(parts: Sequence[Atoms]) -> list[Atoms]:
    """All parts as wide as the widest."""
    width = max(numbers.shape[1] for numbers, _ in parts)
    return [
        (
            np.pad(numbers, ((0, 0), (0, width - numbers.shape[1]))),
            np.pad(counts, ((0, 0), (0, width - counts.shape[1]))),
        )
        for numbers, counts in parts
    ]


def parse_one(formula: str) -> list[tuple[int, int]]:
    """(atomic number, count) pairs of one formula, ascending.

    Raises:
        InvalidFormula: it cannot be read; the message says where and why.

    Groups nest through an explicit stack, so no input can exhaust the interpreter's.
    """
    if not isinstance(formula, str) or not formula.strip():
        raise InvalidFormula("empty formula")
    text = formula.strip()
    if len(text) > MAX_FORMULA_LENGTH:
        raise InvalidFormula(f"formula of {len(text)} characters (at most {MAX_FORMULA_LENGTH})")
    # amounts[-1] is the innermost open group; its opening bracket is opened[-1].
    amounts: list[dict[int, Fraction | int]] = [{}]
    opened: list[str] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise InvalidFormula(f"{text!r}: unexpected {text[at]!r} at character {at + 1}")
        at = token.end()
        symbol, opening, closing = token.groups()
        if opening:
            opened.append(opening)
            amounts.append({})
            continue
        if closing:
            if not opened or _CLOSING[opened.pop()] != closing:
                raise InvalidFormula(f"{text!r}: unmatched {closing!r} at character {at}")
            group = amounts.pop()
        elif symbol in ATOMIC_NUMBER:
            group = {ATOMIC_NUMBER[symbol]: 1}
        else:
            raise InvalidFormula(f"{text!r}: no element {symbol!r}")
        amount: Fraction | int = 1
        if number := _AMOUNT.match(text, at):
            at = number.end()
            digits = number.group()
            amount = int(digits) if digits.isdigit() else Fraction(digits)
        target = amounts[-1]
        for z, n in group.items():
            target[z] = target.get(z, 0) + n * amount
            if target[z] > MAX_COUNT:
                raise InvalidFormula(f"{text!r}: more than {MAX_COUNT} atoms of {SYMBOLS[z]}")
    if opened:
        raise InvalidFormula(f"{text!r}: {opened[-1]!r} is never closed")
    total = amounts[0]
    scale = math.lcm(*(n.denominator for n in total.values()))
    row = sorted((z, int(n * scale)) for z, n in total.items() if n)
    if not row:
        raise InvalidFormula(f"{text!r}: no atoms")
    if max(n for _, n in row) > MAX_COUNT:
        raise InvalidFormula(f"{text!r}: needs counts above {MAX_COUNT} to be whole numbers")
    return row
