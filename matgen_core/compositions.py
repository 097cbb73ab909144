"""`Compositions`: a batch of chemical formulas as two padded arrays.

This is the one currency between the stages of a pipeline. Two million formulas of up to eight
elements take 48 MB; strings, pymatgen objects and data frames exist only at the edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matgen_core.elements import ATOMIC_NUMBER, FORMULA_RANK, SYMBOLS
from matgen_core.errors import InvalidFormula, UnknownName
from matgen_core.formulas import parse

if TYPE_CHECKING:
    import pandas as pd
    from pymatgen.core import Composition


@dataclass(frozen=True, eq=False)
class Compositions:
    """N chemical compositions of at most K elements each.

    Attributes:
        numbers: atomic numbers, uint8 [N, K]; strictly ascending in each row, then 0 = none.
        counts: atoms per formula unit, uint16 [N, K]; positive exactly where `numbers` is.

    A row without elements stands for something that could not be decoded or parsed.

    Raises:
        ValueError: the arrays break one of the rules above.

    Example:
        >>> batch = Compositions.from_formulas(["LiFePO4", "Fe2O3"])
        >>> batch.n_elements
        array([4, 2])
        >>> batch.to_formulas()
        ['LiFePO4', 'Fe2O3']
    """

    numbers: NDArray[np.uint8]
    counts: NDArray[np.uint16]

    def __post_init__(self) -> None:
        numbers, counts = self.numbers, self.counts
        if numbers.ndim != 2 or numbers.shape != counts.shape or numbers.shape[1] == 0:
            raise ValueError(
                f"numbers {numbers.shape} and counts {counts.shape} must share a shape [N, K]"
            )
        if numbers.dtype != np.uint8 or counts.dtype != np.uint16:
            raise ValueError(
                f"need uint8 numbers and uint16 counts, not {numbers.dtype} and {counts.dtype}"
            )
        if numbers.size and numbers.max() >= len(SYMBOLS):
            raise ValueError(f"atomic number {numbers.max()} does not exist")
        if ((numbers > 0) != (counts > 0)).any():
            raise ValueError("an element needs a positive count, and a count an element")
        left, right = numbers[:, :-1], numbers[:, 1:]
        if ((right > 0) & (right <= left)).any() or ((right > 0) & (left == 0)).any():
            raise ValueError("atomic numbers must ascend in each row, padding last")

    # --- building ---------------------------------------------------------------------------

    @classmethod
    def empty(cls, n: int = 0, width: int = 1) -> Compositions:
        """`n` rows without elements."""
        return cls(np.zeros((n, width), np.uint8), np.zeros((n, width), np.uint16))

    @classmethod
    def from_formulas(cls, formulas: Iterable[str]) -> Compositions:
        """Parse formulas such as ``Ca(OH)2`` or ``Li0.5CoO2`` (decimals are scaled up exactly).

        Raises:
            InvalidFormula: for the first formula that cannot be read; see `parse` to keep going.
        """
        compositions, reasons = cls.parse(formulas)
        for row, reason in reasons.items():
            raise InvalidFormula(f"row {row}: {reason}")
        return compositions

    @classmethod
    def parse(cls, formulas: Iterable[str]) -> tuple[Compositions, dict[int, str]]:
        """Parse every formula; one that cannot be read becomes an empty row.

        Returns:
            The compositions, as many as formulas, and the reason by row for each failure.
        """
        numbers, counts, reasons = parse(formulas)
        return cls(numbers, counts), reasons

    @classmethod
    def from_pymatgen(cls, compositions: Iterable[Composition]) -> Compositions:
        """From pymatgen objects.

        Raises:
            InvalidFormula: for an amount that no uint16 count can hold.
        """
        return cls.from_formulas(c.formula.replace(" ", "") for c in compositions)

    @staticmethod
    def concatenate(batches: Sequence[Compositions]) -> Compositions:
        """All rows of all batches, in order."""
        width = max((b.numbers.shape[1] for b in batches), default=1)
        if not batches:
            return Compositions.empty()

        def padded(array: NDArray[Any]) -> NDArray[Any]:
            return np.pad(array, ((0, 0), (0, width - array.shape[1])))

        return Compositions(
            np.concatenate([padded(b.numbers) for b in batches]),
            np.concatenate([padded(b.counts) for b in batches]),
        )

    # --- looking ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Compositions:
        return Compositions(self.numbers[rows], self.counts[rows])

    @property
    def n_elements(self) -> NDArray[np.intp]:
        """Number of different elements per row, int [N]."""
        n: NDArray[np.intp] = np.count_nonzero(self.numbers, axis=1)
        return n

    def contains(self, symbols: Sequence[str]) -> NDArray[np.bool_]:
        """Which of the elements each row has, bool [N, len(symbols)].

        Raises:
            UnknownName: for a symbol that is no element.
        """
        wanted = np.array([atomic_number(symbol) for symbol in symbols], np.uint8)
        found: NDArray[np.bool_] = (self.numbers[:, :, None] == wanted).any(axis=1)
        return found

    def fingerprints(self) -> NDArray[np.uint64]:
        """A 64-bit hash of each row's (element, count) pairs, uint64 [N].

        Hash `reduced()` compositions to compare compounds. Stable across versions and machines:
        data splits and the novelty index shipped with weights are made of these. Two of 10^7
        different compositions collide with probability 3e-6.
        """
        pairs = (self.numbers.astype(np.uint64) << np.uint64(16)) | self.counts
        mixed = splitmix64(pairs)
        mixed[self.numbers == 0] = 0
        # Elements of a row are all different, so the order-free sum loses nothing.
        return splitmix64(mixed.sum(axis=1, dtype=np.uint64))

    def reduced(self) -> Compositions:
        """Every row divided by the greatest common divisor of its counts."""
        divisor = np.maximum(np.gcd.reduce(self.counts, axis=1), 1).astype(np.uint16)
        return Compositions(self.numbers, self.counts // divisor[:, None])

    def first_occurrence(self) -> NDArray[np.bool_]:
        """True where a row is the first of its kind, bool [N]."""
        first = np.zeros(len(self), np.bool_)
        first[np.unique(self.fingerprints(), return_index=True)[1]] = True
        return first

    # --- leaving ----------------------------------------------------------------------------

    def to_formulas(self) -> list[str]:
        """Formulas in conventional order (by electronegativity); "" for an empty row."""
        order = np.argsort(FORMULA_RANK[self.numbers], axis=1, kind="stable")
        numbers = np.take_along_axis(self.numbers, order, axis=1)
        counts = np.take_along_axis(self.counts, order, axis=1)
        amounts = np.array(
            ["", ""] + [str(n) for n in range(2, int(counts.max(initial=1)) + 1)], object
        )
        tokens = np.array(SYMBOLS, object)[numbers] + amounts[counts]
        formulas: list[str] = tokens.sum(axis=1).tolist() if len(self) else []
        return formulas

    def to_pymatgen(self) -> list[Composition]:
        """Pymatgen objects, one a row."""
        from pymatgen.core import Composition

        return [Composition(formula or {}) for formula in self.to_formulas()]

    def to_frame(self) -> pd.DataFrame:
        """A data frame with the columns ``formula`` and ``n_elements``."""
        import pandas as pd

        formulas = pd.Series(self.to_formulas(), dtype="str")  # also where there is no row
        return pd.DataFrame({"formula": formulas, "n_elements": self.n_elements})


def atomic_number(symbol: str) -> int:
    """Atomic number of an element symbol.

    Raises:
        UnknownName: no element has this symbol.
    """
    try:
        return ATOMIC_NUMBER[symbol]
    except KeyError:
        raise UnknownName.of("element", symbol, ATOMIC_NUMBER) from None


def splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of Steele et al., OOPSLA 2014 (doi:10.1145/2660193.2660195)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
