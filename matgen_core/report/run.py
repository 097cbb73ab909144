"""What ``matgen run`` left behind, and the known compounds that it is compared with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from matgen_core import asking
from matgen_core.compositions import Compositions
from matgen_core.datasets import Dataset
from matgen_core.errors import DataError, InvalidOption, UnknownName
from matgen_core.evaluation import SCHEMA, Evaluation, known_source
from matgen_core.pipeline import Report
from matgen_core.registry import Registry
from matgen_core.tables import WRITERS
from matgen_core.tabulate import tables
from matgen_core.weights import Known, WeightsDir, member

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
MAX_ROWS = 20_000_000
"""Rows of a Parquet table that are read: a file of a kilobyte can claim any number."""


class Provenance(BaseModel):
    """What a run was made with.

    Attributes:
        matgen: version.
        python: version.
        plugins: distribution and version, by plugin.
        weights: sha256 by file, by name of the weights.
    """

    matgen: str
    python: str
    plugins: dict[str, str]
    weights: dict[str, dict[str, str]]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: its table and its report.

    Attributes:
        path: the table.
        report: the counts.
        provenance: what it was made with.
        written: when the report was written, in UTC, to the minute.
        candidates: the table's rows without those that ``--keep-rejected`` kept, in order.
    """

    path: Path
    report: Report
    provenance: Provenance
    written: datetime
    candidates: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read ``OUT.csv``, ``OUT.jsonl`` or ``OUT.parquet`` and the report beside it.

        Raises:
            InvalidOption: no table format has the file's suffix.
            DataError: one of the files is absent or damaged, or the table has no formulas.
        """
        if path.suffix not in WRITERS:
            raise InvalidOption(
                f"cannot read {path}: name the {', '.join(WRITERS)} table that `matgen run` wrote"
            )
        beside = path.with_name(f"{path.name}.report.json")
        try:
            content = beside.read_bytes()
            written = datetime.fromtimestamp(beside.stat().st_mtime, UTC)
            table = _read_table(path)
        except OSError as error:
            raise DataError(
                f"cannot read {error.filename or path}: {error.strerror}; name the table that "
                "`matgen run` wrote, with its .report.json beside it"
            ) from error
        report = _validated(TypeAdapter(Report), content, beside, "the report of a run")
        provenance = _validated(
            TypeAdapter(Provenance),
            json.dumps(report.provenance).encode(),
            beside,
            "the report of a run",
        )
        if "formula" not in table:
            raise DataError(f"{path} has no column 'formula' but {', '.join(map(repr, table))}")
        to_the_minute = written.replace(second=0, microsecond=0)
        return cls(path, report, provenance, to_the_minute, _passed(table, report))

    @cached_property
    def compositions(self) -> Compositions:
        """Of the candidates; an empty row where a formula cannot be read."""
        return Compositions.parse(self.candidates["formula"])[0].reduced()

    @cached_property
    def predicted(self) -> dict[str, NDArray[np.float64]]:
        """The predicted properties that the table holds, float64 [N]; NaN is unknown."""
        import pandas as pd

        found = {}
        for name in self.report.units:
            if name in self.candidates:
                values = pd.to_numeric(self.candidates[name], errors="coerce")
                found[name] = values.to_numpy(np.float64, na_value=np.nan, copy=True)
                found[name][np.isinf(found[name])] = np.nan
        return found


def _read_table(path: Path) -> pd.DataFrame:
    """Formulas are text: ``NaN`` is sodium nitride, not a missing number."""
    import pandas as pd
    from pyarrow import ArrowException

    try:
        if path.suffix == ".parquet":
            frame = _read_parquet(path)
        elif path.suffix == ".csv":
            frame = pd.read_csv(path, dtype={"formula": str}, keep_default_na=False, na_values=[""])
        elif path.stat().st_size:
            frame = pd.read_json(path, lines=True, dtype=False)
        else:  # JSON lines without a line
            frame = pd.DataFrame({"formula": []}, dtype=str)
        if "formula" in frame:
            frame["formula"] = frame["formula"].fillna("").astype(str)
    # Damage inside a file shows in many ways.
    except (ArrowException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno:  # of the system, not of the content
            raise
        raise DataError(f"{path} is no table that `matgen run` wrote: {error}") from error
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    """Without the index and the types that metadata of pandas may ask for."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if file.metadata.num_rows > MAX_ROWS:
            raise ValueError(f"{file.metadata.num_rows:,} rows, {MAX_ROWS:,} at most are read")
        table = file.read()
    table.validate(full=True)  # a text that is none would end the process later on
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame


def _passed(table: pd.DataFrame, report: Report) -> pd.DataFrame:
    """The candidates among the rows; the same as all where rejected rows were not kept."""
    if not report.config.keep_rejected:
        return table
    compositions = Compositions.parse(table["formula"])[0]
    kept = np.asarray(compositions.contains(report.config.require).all(axis=1))
    kept &= ~compositions.contains(report.config.exclude).any(axis=1)
    for name in (*report.passed, "novel"):
        if name in table:
            kept &= table[name].to_numpy(np.bool_)
    return table.loc[kept].reset_index(drop=True)


def _validated(model: TypeAdapter[T], content: bytes, path: Path, what: str) -> T:
    try:
        return model.validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} is not {what}: {where + ': ' if where else ''}{first['msg']}"
        ) from None


# --- what a run is compared with ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Background:
    """Known compounds to show candidates against.

    Attributes:
        title: what they are, e.g. ``training compounds (mp)``.
        dataset: their formulas and properties.
    """

    title: str
    dataset: Dataset

    @classmethod
    def of(cls, registry: Registry, generator: str, against: str | None = None) -> Background:
        """The compounds that a generator was trained on, or those of another data source.

        Args:
            registry: where names are looked up.
            generator: name or folder of weights, or a generator without any.
            against: name of a data source; None for the one on the card of the weights.

        Raises:
            MatgenError: nobody knows what the generator learned from, or the data are absent;
                the message says what to do.
        """
        weights: WeightsDir | None = None
        try:
            _, weights = registry.resolve("generator", generator)
        except UnknownName:
            if against is None:
                raise
        source, options = known_source(generator, weights, against)
        dataset = asking.dataset(registry.create("source", source, options))
        known = weights.known() if weights and weights.card.data.source == source else None
        if known is None:
            return cls(f"compounds of {against or source}", dataset)
        trained = known.fingerprints[known.role == Known.TRAINED]
        rows = member(dataset.compositions.fingerprints(), trained)
        return cls(f"training compounds ({source})", dataset[rows])


def read_evaluations(path: Path) -> list[Evaluation]:
    """What ``matgen evaluate`` or ``matgen compare`` wrote as JSON.

    Raises:
        DataError: the file is absent, damaged, or of another version.
    """
    try:
        content = from_json(path.read_bytes())  # bounds how deep things nest
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from error
    found = content if isinstance(content, list) else [content]
    if not found or not all(isinstance(e, dict) and e.get("schema") == SCHEMA for e in found):
        raise DataError(f"{path} is not what `matgen evaluate -o` of this version wrote")
    evaluations = _validated(
        TypeAdapter(list[Evaluation]), json.dumps(found).encode(), path, "an evaluation"
    )
    try:
        tables(evaluations)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise DataError(f"{path} lacks figures that an evaluation has: {error!r}") from error
    return evaluations
