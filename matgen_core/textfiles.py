"""Text files that may come from anybody: read in bounded time and memory, or refused."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from matgen_core.errors import DataError

MAX_TOML = 100_000
"""Longest TOML file read, in bytes: cards and settings have some two thousand."""
MAX_DOTS = 1_000
"""Dots in a line of TOML: the parser's time grows with the square of a dotted key's length."""
MAX_DEPTH = 50
"""Tables and arrays of a TOML file within one another."""
MAX_LINE = 1_000_000
"""Longest line of a table, in characters."""
MAX_COLUMNS = 10_000


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        DataError: the file cannot be read, is no TOML, or goes beyond the limits.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOML + 1)
        if len(content) > MAX_TOML:
            raise ValueError(f"longer than {MAX_TOML:,} bytes")
        return parse_toml(content.decode("utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {path}: {reason}") from error


def parse_toml(text: str) -> dict[str, Any]:
    """TOML within the limits of this module.

    Raises:
        ValueError: it is no TOML, or goes beyond them.
    """
    if any(line.count(".") > MAX_DOTS for line in text.split("\n")):
        raise ValueError(f"a line with more than {MAX_DOTS:,} dots")
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} deep") from None
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return content
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def lines(file: TextIO, path: object) -> Iterator[str]:
    """The lines of a table, with their ends; `path` is named in messages.

    Raises:
        DataError: a line is longer than any table's.
    """
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise DataError(
                f"{path}, line {number} has {MAX_LINE:,} characters and more: is it a table?"
            )
        yield line


def check_header(header: Sequence[str], path: object) -> None:
    """Refuse a table with too many columns or two of one name; `path` is named in messages.

    Raises:
        DataError: see the message.
    """
    if len(header) > MAX_COLUMNS:
        raise DataError(f"{path} has {len(header):,} columns, {MAX_COLUMNS:,} at most are read")
    twice = [repr(name) for name, n in Counter(header).items() if n > 1]
    if twice:
        raise DataError(f"{path} has several columns named {', '.join(twice)}: rename them")
