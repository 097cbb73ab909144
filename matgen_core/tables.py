"""Writing tables batch by batch: CSV, JSON lines or Parquet, by the file's suffix."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from matgen_core.errors import DataError, InvalidOption

if TYPE_CHECKING:
    import pandas as pd


def as_csv(frame: pd.DataFrame, *, header: bool) -> str:
    """A batch of rows as CSV; six digits of a number, predictions have no more."""
    text: str = frame.to_csv(index=False, header=header, lineterminator="\n", float_format="%.6g")
    return text


class TableWriter(ABC):
    """A table that appears whole under its name when the writer is closed.

    Rows gather in ``.NAME.PROCESS.partial``. Closing puts it in place, also after Ctrl-C or an
    error, with every batch that was written whole; until then a file of that name stays as it
    was. Without a whole batch nothing is put in place.

    Args:
        path: where the table goes.

    Raises:
        DataError: the folder does not exist or is not writable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._batches = 0
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            self._open()
        except OSError as error:
            raise self._failure(error) from error

    @abstractmethod
    def _open(self) -> None:
        """Begin the partial file."""

    @abstractmethod
    def _append(self, frame: pd.DataFrame) -> None:
        """Write one batch, wholly or not at all."""

    @abstractmethod
    def _close(self) -> None:
        """End the partial file."""

    def write(self, frame: pd.DataFrame) -> None:
        """Append a batch.

        Raises:
            DataError: the disk is full or gone; earlier batches are kept where the format
                allows it (CSV and JSON lines).
        """
        try:
            self._append(frame)
        except OSError as error:
            raise self._failure(error) from error
        self.rows += len(frame)
        self._batches += 1

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._close()
            if self._batches:
                self._partial.replace(self.path)
        except OSError as failure:
            self.rows = 0  # nothing was put in place
            if error is None:
                raise self._failure(failure) from failure
        finally:
            with suppress(OSError):
                self._partial.unlink()

    def _failure(self, error: OSError) -> DataError:
        kept = f"; the {self.rows:,} rows before that are kept" if self.rows else ""
        return DataError(f"cannot write {self.path}: {error.strerror or error}{kept}")


class _TextWriter(TableWriter):
    def _open(self) -> None:
        self._file = self._partial.open("wb", buffering=0)

    def _append(self, frame: pd.DataFrame) -> None:
        whole = self._file.tell()
        rest = memoryview(self._text(frame).encode())
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:  # Ctrl-C too: half a row is worse than none
            self._file.seek(whole)
            self._file.truncate()
            raise

    def _close(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    @abstractmethod
    def _text(self, frame: pd.DataFrame) -> str:
        """The batch as text."""


class CsvWriter(_TextWriter):
    """Comma-separated values, header first."""

    def _text(self, frame: pd.DataFrame) -> str:
        text = as_csv(frame, header=not self._batches)
        return text


class JsonLinesWriter(_TextWriter):
    """One JSON object a line."""

    def _text(self, frame: pd.DataFrame) -> str:
        text: str = frame.to_json(orient="records", lines=True) if len(frame) else ""
        return text


class ParquetWriter(TableWriter):
    """Apache Parquet, a row group a batch."""

    _writer: Any = None

    def _open(self) -> None:
        self._partial.touch()

    def _append(self, frame: pd.DataFrame) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame, preserve_index=False)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._partial, table.schema)
        try:
            self._writer.write_table(table)
        except OSError:
            self.rows = self._batches = 0  # without room for a footer there is no table
            raise

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()


WRITERS: dict[str, type[TableWriter]] = {
    ".csv": CsvWriter,
    ".jsonl": JsonLinesWriter,
    ".parquet": ParquetWriter,
}


def open_table(path: Path) -> TableWriter:
    """The writer for a file's suffix.

    Raises:
        InvalidOption: no table format has this suffix.
        DataError: the file cannot be written.
    """
    if path.suffix not in WRITERS:
        raise InvalidOption(f"cannot write {path}: the suffix must be {' or '.join(WRITERS)}")
    if path.is_dir():
        raise DataError(f"cannot write {path}: it is a folder")
    return WRITERS[path.suffix](path)
