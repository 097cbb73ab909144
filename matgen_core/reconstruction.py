"""What an autoencoder makes of given compositions: does each come back, and what lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matgen_core import asking, screening
from matgen_core.compositions import Compositions
from matgen_core.elements import SYMBOLS
from matgen_core.errors import PluginError
from matgen_core.interfaces import Autoencoder, Encoder
from matgen_core.registry import Registry
from matgen_core.tables import open_table
from matgen_core.weights import Known

if TYPE_CHECKING:
    import pandas as pd

BATCH = 8192
"""Compositions encoded at once."""
ROLES = ("trained", "held out", "not used", "validation", "unknown")
"""What the weights' data know of a compound: the roles of `matgen_core.weights.Known`, or none."""
ADDED = ("reconstruction", "exact", "role", "error")
"""Columns put beside those of the input."""


def reconstruct(
    there_and_back: Callable[[NDArray[np.uint8]], NDArray[Any]],
    encoder: Encoder,
    compositions: Compositions,
) -> Compositions:
    """What comes back of each composition, N rows; an empty row where nothing does.

    Args:
        there_and_back: from grids [B, *shape] to their reconstruction, of the same shape.
        encoder: the encoder whose space that is.
        compositions: N rows, all of them encodable.

    Raises:
        ValueError: a row is not encodable.
    """
    batches = [
        asking.decoded(
            encoder, there_and_back(asking.encoded(encoder, compositions[start : start + BATCH]))
        )
        for start in range(0, len(compositions), BATCH)
    ]
    return Compositions.concatenate(batches)


def exact(compositions: Compositions, back: Compositions) -> NDArray[np.bool_]:
    """Where what came back is the same reduced composition, bool [N]."""
    same: NDArray[np.bool_] = compositions.reduced().fingerprints() == back.fingerprints()
    return same


class Reconstructor:
    """An autoencoder and the encoder whose space it lives in.

    Args:
        registry: where names are looked up.
        name: of an autoencoder's weights, or their path.
        device: as `matgen_core.interfaces` describes it.

    Raises:
        UnknownName, WeightsError: see the message.
        PluginError: the generator is no autoencoder, or breaks its contract later.

    Example:
        >>> model = Reconstructor(discover(), "dice-oqmd")
        >>> model(Compositions.from_formulas(["Fe2O3"])).to_formulas()
        ['Fe2O3']
    """

    def __init__(self, registry: Registry, name: str, device: str = "auto") -> None:
        _, weights = registry.resolve("generator", name)
        generator = registry.create("generator", name, device=device)
        if not isinstance(generator, Autoencoder):
            raise PluginError(
                f"generator {name!r} is no autoencoder, it cannot encode a formula: use the "
                f"weights of one that is; `matgen plugins list` names them"
            )
        self.name = name
        self.autoencoder = generator
        self.encoder: Encoder = registry.create("encoder", registry.encoder_of(generator))
        self.known: Known | None = weights.known() if weights else None

    def codes(self, compositions: Compositions) -> NDArray[np.float32]:
        """Codes of encodable compositions, float32 [N, width]."""
        codes: NDArray[np.float32] = self.autoencoder.encode(self.encoder.encode(compositions))
        return codes

    def __call__(self, compositions: Compositions) -> Compositions:
        """What comes back of encodable compositions; see `reconstruct`."""
        return reconstruct(self._there_and_back, self.encoder, compositions)

    def interpolate(self, start: Compositions, end: Compositions, steps: int) -> Compositions:
        """Compositions on the straight line between the codes of two, ends included.

        Args:
            start: one encodable composition.
            end: another one.
            steps: how many to make, at least 2.

        Returns:
            `steps` rows; the first and the last are the reconstructions of `start` and `end`.
        """
        first, last = self.codes(Compositions.concatenate([start, end]))
        line = np.linspace(first, last, steps, dtype=np.float32)
        return self.encoder.decode(self.autoencoder.decode(line))

    def roles(self, compositions: Compositions) -> NDArray[np.intp]:
        """Place in `ROLES` of each reduced composition, int [N]."""
        roles = np.full(len(compositions), len(ROLES) - 1)
        if self.known is not None:
            there = self.known.contains(compositions)
            found = compositions[there].fingerprints()
            roles[there] = self.known.role[np.searchsorted(self.known.fingerprints, found)]
        return roles

    def _there_and_back(self, grids: NDArray[np.uint8]) -> NDArray[Any]:
        return asking.reconstructed(self.autoencoder, grids)


# --- a table of formulas -------------------------------------------------------------------------


def _no_counts() -> NDArray[np.int64]:
    return np.zeros((len(ROLES), len(SYMBOLS), 2), np.int64)


@dataclass
class Report:
    """Counts of rows.

    Attributes:
        rows: all of the input.
        readable: with a formula that can be read.
        encodable: which the encoder can represent.
        exact: which came back as they were.
        by_size: encodable and exact rows, int [role, number of elements, 2].
        by_element: the same for the rows with each element, int [role, atomic number, 2].
    """

    rows: int = 0
    readable: int = 0
    encodable: int = 0
    exact: int = 0
    by_size: NDArray[np.int64] = field(default_factory=_no_counts)
    by_element: NDArray[np.int64] = field(default_factory=_no_counts)

    def add(
        self, compositions: Compositions, roles: NDArray[np.intp], same: NDArray[np.bool_]
    ) -> None:
        """Count encodable rows."""
        self.encodable += len(same)
        self.exact += int(same.sum())
        counted = np.stack([np.ones_like(same), same], axis=1)
        np.add.at(self.by_size, (roles, compositions.n_elements), counted)
        row, place = np.nonzero(compositions.numbers)
        np.add.at(self.by_element, (roles[row], compositions.numbers[row, place]), counted[row])

    def as_json(self) -> dict[str, Any]:
        """Everything, by role, by number of elements and by element; without empty groups."""
        return {
            "rows": self.rows,
            "readable": self.readable,
            "encodable": self.encodable,
            "exact": self.exact,
            "by_role": _by_role(self.by_size.sum(axis=1)),
            "by_n_elements": {str(n): _by_role(self.by_size[:, n]) for n in _filled(self.by_size)},
            "by_element": {
                SYMBOLS[z]: _by_role(self.by_element[:, z]) for z in _filled(self.by_element)
            },
        }

    def hardest(self, n: int) -> list[str]:
        """The elements whose compounds come back the least often, the worst first."""
        rows, same = self.by_element.sum(axis=0).T
        there = np.flatnonzero(rows)
        order = np.argsort(same[there] / rows[there], kind="stable")
        return [SYMBOLS[z] for z in there[order[:n]]]


def _filled(counts: NDArray[np.int64]) -> list[int]:
    return np.flatnonzero(counts[:, :, 0].any(axis=0)).tolist()


def _by_role(counts: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    return {
        role: {"rows": int(rows), "exact": int(same)}
        for role, (rows, same) in zip(ROLES, counts, strict=True)
        if rows
    }


def reconstruct_table(
    registry: Registry,
    source: str,
    model: Reconstructor,
    output: Path | None,
    *,
    column: str = "formula",
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """Send every formula of a table there and back; every row comes out, in order.

    The columns of `ADDED` are put beside the table's: what came back ("" for nothing), whether
    that is the same compound, what the weights' data know of it, and why a row could not be
    encoded. A formula counts as its reduced form.

    Args:
        registry: where data sources are looked up.
        source: the name of a data source, or what `matgen_core.screening.reading` reads.
        model: the autoencoder.
        output: a ``.csv``, ``.jsonl`` or ``.parquet`` file; None for CSV on stdout.
        column: name of the formula column.
        progress: called after each chunk with the number of rows done.

    Raises:
        DataError: the input is absent, empty, or has no such column; or the output cannot be
            written.
        InvalidOption: no table format has the output's suffix.
        PluginError: the autoencoder failed or broke its contract.
    """
    report = Report()
    with ExitStack() as stack:
        header, chunks = stack.enter_context(_reading(registry, source, column))
        table = stack.enter_context(open_table(output)) if output else screening.Stdout()
        for chunk in chunks:
            table.write(_finished(header, chunk, column, model, report))
            progress(report.rows)
    return report


@contextmanager
def _reading(
    registry: Registry, source: str, column: str
) -> Iterator[tuple[list[str], Iterable[list[list[str]]]]]:
    if source not in (entry.item.name for entry in registry.entries("source")):
        with screening.reading(source, column, ADDED) as table:
            yield table
        return
    compositions = asking.dataset(registry.create("source", source)).compositions
    rows = ([formula] for formula in compositions.to_formulas())
    yield [column], iter(lambda: list(islice(rows, screening.CHUNK)), [])


def _finished(
    header: list[str], rows: list[list[str]], column: str, model: Reconstructor, report: Report
) -> pd.DataFrame:
    """A chunk with its added columns; the report counts it."""
    frame, compositions, errors = screening.parsed(header, rows, column)
    compositions = compositions.reduced()
    report.rows += len(frame)
    report.readable += len(frame) - len(errors)
    ready = np.ones(len(frame), np.bool_)
    ready[list(errors)] = False
    encodable = ready & asking.encodable(model.encoder, compositions)
    for place in np.flatnonzero(ready & ~encodable).tolist():
        errors[place] = f"the encoder {model.autoencoder.encoder!r} cannot represent it"

    asked = compositions[encodable]
    back = model(asked)
    same, roles = exact(asked, back), model.roles(asked)
    report.add(asked, roles, same)

    frame["reconstruction"], frame["exact"], frame["role"] = "", False, ""
    frame.loc[encodable, "reconstruction"] = back.to_formulas()
    frame.loc[encodable, "exact"] = same
    frame.loc[encodable, "role"] = np.array(ROLES)[roles]
    frame["error"] = [errors.get(place, "") for place in range(len(frame))]
    return frame
