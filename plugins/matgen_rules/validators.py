"""The validators `charge` and `eneg`: SMACT's verdicts, thousands of times faster.

SMACT (Davies et al., JOSS 4:1361, 2019, doi:10.21105/joss.01361) tries every combination of
oxidation states, of which there are exponentially many. But all that a combination leaves behind
is its total charge, and the totals that a formula can reach are a small set of integers. Kept as
bits, the whole set moves by one shift for each oxidation state of each element: the cost grows
with the number of elements, not with the number of combinations. Both tests were proposed by
Davies et al., Chem 1:617, 2016, doi:10.1016/j.chempr.2016.09.010.

The verdicts are those of ``smact.screening.smact_validity(..., include_alloys=False)``, where one
element has one oxidation state throughout a formula:

- a pure element passes both tests, whatever the element;
- a compound of an element without oxidation states passes neither, and one of an element without
  electronegativity passes `charge` at most;
- elements of equal electronegativity cannot be cation and anion to each other;
- SMACT raises KeyError for compounds of the elements beyond lawrencium, which it has no data on:
  here they pass neither test, as does an empty row.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matgen_core import Compositions, Validator
from matgen_core.elements import ATOMIC_NUMBER, SYMBOLS
from matgen_core.errors import DataError
from matgen_kernels import compiled, in_threads

# --- SMACT's tables -------------------------------------------------------------------------------

_ELEMENTS = "element_data.txt"
_STATES = {
    "smact14": "oxidation_states.txt",
    "icsd24": "oxidation_states_icsd24_filtered.txt",
    "icsd16": "oxidation_states_icsd.txt",
    "pymatgen_sp": "oxidation_states_SP.txt",
    "wiki": "oxidation_states_wiki.txt",
}


class Tables(NamedTuple):
    """What a test knows of the elements, by atomic number 0..118."""

    states: NDArray[np.int8]
    """Oxidation states, ascending, in units of e, [119, S]; padded on the right."""
    sizes: NDArray[np.uint8]
    """How many they are, [119]; a compound of an element without any fails."""
    ranks: NDArray[np.uint8]
    """Order by Pauling electronegativity, equal values alike, [119]; zeros for `charge`."""


@cache
def smact_tables(oxidation_states: str, balance: bool) -> Tables:
    """SMACT's data on the elements: for `eneg` if `balance`, else for `charge`."""
    # A row of the main table: symbol, name, Z, mass, ..., el_neg, ion_pot, dipol.
    enegs = {z: math.nan if row[-3] == "None" else float(row[-3]) for z, row in _rows(_ELEMENTS)}
    states: dict[int, list[int]] = {}
    for z, row in _rows(_STATES[oxidation_states]):
        # SMACT refuses compounds of elements that are not in its main table, and, in the test of
        # electronegativity, of elements that have no value there.
        if z in enegs and not (balance and math.isnan(enegs[z])):
            states[z] = sorted({int(state) for state in row})
    shape = len(SYMBOLS), max(map(len, states.values()))
    tables = Tables(np.zeros(shape, np.int8), *np.zeros((2, len(SYMBOLS)), np.uint8))
    for z, known in states.items():
        tables.states[z, : len(known)] = known
        tables.sizes[z] = len(known)
    if balance:
        ranks = np.unique([enegs[z] for z in states], return_inverse=True)[1]
        tables.ranks[list(states)] = ranks
    return tables


def smact_file(name: str) -> Path:
    """One of SMACT's data files, found without importing SMACT: that would take seconds.

    Raises:
        DataError: SMACT is not installed, or lacks the file.
    """
    spec = find_spec("smact")
    if spec is None or spec.origin is None:
        raise DataError("SMACT's element tables are not installed: `pip install smact`")
    path = Path(spec.origin).parent / "data" / name
    if not path.is_file():
        raise DataError(f"this version of SMACT has no {name}: `pip install 'smact>=4'`")
    return path


def _rows(name: str) -> Iterator[tuple[int, list[str]]]:
    """Rows (atomic number, columns after the symbol) of one of SMACT's data files."""
    for line in smact_file(name).read_text(encoding="utf-8").splitlines():
        # SMACT too takes a line without a digit for an element without data.
        if not line.lstrip().startswith("#") and any(c.isdigit() for c in line):
            symbol, *columns = line.split()
            yield ATOMIC_NUMBER[symbol], columns


# --- the two tests --------------------------------------------------------------------------------
#
# Both work on one formula of n elements: their atomic numbers and counts, by ascending rank, and
# the tables above. A set of sums is an integer: bit b is set when the sum b can be reached. The
# same source runs compiled, on a 64-bit word, which holds nearly every formula there is, and
# interpreted, on Python's integers, which hold all of them. `one` is the number 1 of either kind,
# `bits` how many bits it has.

UNDECIDED = 2
"""Answer of a test that needs more bits than it was given."""


def _neutral(zs: Any, counts: Any, tables: Any, one: Any, bits: int) -> int:
    """Whether some choice of one oxidation state an element adds up to zero: 0, 1 or UNDECIDED."""
    states, sizes, _ = tables
    lowest, highest = 0, 0
    for k in range(len(zs)):
        z = zs[k]
        lowest += counts[k] * states[z][0]
        highest += counts[k] * states[z][sizes[z] - 1]
    # Sums are counted from the extreme nearer to zero. They only grow, so none that has passed
    # zero matters any more.
    from_top = highest < -lowest
    zero = highest if from_top else -lowest
    if lowest > 0 or highest < 0:
        return 0
    if zero >= bits:
        return UNDECIDED
    sums = one
    for k in range(len(zs)):
        z = zs[k]
        start = states[z][sizes[z] - 1] if from_top else states[z][0]
        reached = one ^ one
        for j in range(sizes[z]):
            step = abs(counts[k] * (states[z][j] - start))
            if step <= zero:
                reached |= sums << step
        sums = reached
    return int((sums >> zero) & one)


def _balanced(zs: Any, counts: Any, tables: Any, one: Any, bits: int) -> int:
    """As `_neutral`, with every cation below every anion in rank.

    By ascending rank, the elements are cations up to some point and anions from there on, where
    elements of one rank are on one side. Zero is a state on either side.
    """
    states, sizes, ranks = tables
    positive, negative = 0, 0
    for k in range(len(zs)):
        z = zs[k]
        positive += counts[k] * max(0, states[z][sizes[z] - 1])
        negative += counts[k] * max(0, -states[z][0])
    # Cations have to add up to what the anions take away; no larger sum matters.
    largest = min(positive, negative)
    if largest >= bits:
        return UNDECIDED
    cations = one  # sums of cations only
    anions = one ^ one  # sums left after the turn to anions; those below zero drop out
    previous = -1
    for k in range(len(zs)):
        z = zs[k]
        if ranks[z] != previous:
            anions |= cations
            previous = ranks[z]
        more, less = one ^ one, one ^ one
        for j in range(sizes[z]):
            step = counts[k] * states[z][j]
            if 0 <= step <= largest:
                more |= cations << step
            if -largest <= step <= 0:
                less |= anions >> -step
        cations, anions = more, less
    return int((cations | anions) & one)


_neutral_64 = compiled(_neutral)
_balanced_64 = compiled(_balanced)


@compiled
def _check(numbers: Any, counts: Any, tables: Any, balance: bool, verdict: Any) -> None:
    """Write the answer for each row of `numbers` and `counts` into `verdict`, uint8 [N]."""
    _, sizes, ranks = tables
    width = numbers.shape[1]
    zs, cs = np.zeros(width, np.int64), np.zeros(width, np.int64)
    one = np.uint64(1)
    for i in range(len(numbers)):
        n, stateless = 0, False
        while n < width and numbers[i, n] > 0:
            z = numbers[i, n]
            stateless |= sizes[z] == 0
            k = n  # where z belongs by rank
            while k > 0 and ranks[zs[k - 1]] > ranks[z]:
                zs[k], cs[k] = zs[k - 1], cs[k - 1]
                k -= 1
            zs[k], cs[k] = z, counts[i, n]
            n += 1
        if n < 2 or stateless:
            verdict[i] = n == 1
        elif balance:
            verdict[i] = _balanced_64(zs[:n], cs[:n], tables, one, 64)
        else:
            verdict[i] = _neutral_64(zs[:n], cs[:n], tables, one, 64)


def _check_unbounded(
    numbers: list[int], counts: list[int], tables: list[list[Any]], balance: bool
) -> int:
    """The answer for one formula of any size: 0 or 1."""
    ranks = tables[2]
    atoms = sorted((ranks[z], z, c) for z, c in zip(numbers, counts, strict=True) if z)
    _, zs, cs = zip(*atoms, strict=True)
    return (_balanced if balance else _neutral)(zs, cs, tables, 1, sys.maxsize)


class _SmactTest(Validator):
    """What both tests share; `balance` tells them apart."""

    balance: ClassVar[bool]

    def check(self, compositions: Compositions) -> NDArray[np.bool_]:
        """SMACT's verdict on each composition, bool [N]; see the module's docstring."""
        tables = smact_tables(self.options.oxidation_states, self.balance)
        numbers = np.ascontiguousarray(compositions.numbers)
        counts = np.ascontiguousarray(compositions.counts)
        verdict = np.empty(len(numbers), np.uint8)

        def check(rows: slice) -> None:
            _check(numbers[rows], counts[rows], tables, self.balance, verdict[rows])

        in_threads(check, len(numbers))
        if len(undecided := np.flatnonzero(verdict == UNDECIDED)):
            exact = [table.tolist() for table in tables]  # numpy's integers would overflow
            for i in undecided:
                row = numbers[i].tolist(), counts[i].tolist()
                verdict[i] = _check_unbounded(*row, exact, self.balance)
        return verdict.astype(np.bool_)


class Charge(_SmactTest):
    """Charge neutrality: SMACT's ``smact_validity(..., use_pauling_test=False)``."""

    balance = False


class Eneg(_SmactTest):
    """Charge neutrality with cations less electronegative than anions: ``smact_validity(...)``."""

    balance = True
