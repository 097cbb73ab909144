"""Evaluations as tables, side by side: for the terminal, for Markdown, for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matgen_core.evaluation import SIZES, Evaluation, wilson

Cell = Callable[[Evaluation], str]


@dataclass(frozen=True)
class Table:
    """A table whose cells are ready to be shown.

    Attributes:
        title: what it shows.
        columns: the first is empty, the others name an evaluation each.
        rows: a name, and a cell for each evaluation.
        note: how to read it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def tables(evaluations: Sequence[Evaluation]) -> list[Table]:
    """Everything measured, a column an evaluation."""
    return [
        table
        for table in (
            _quality(evaluations),
            _curves(evaluations),
            _recovery(evaluations),
            _resemblance(evaluations),
            _predictions(evaluations),
        )
        if table.rows
    ]


def markdown(shown: Sequence[Table]) -> str:
    """The tables as one Markdown text."""
    parts = []
    for table in shown:
        lines = [f"## {table.title}", "", "| " + " | ".join(table.columns) + " |"]
        lines.append("|---|" + "---:|" * (len(table.columns) - 1))
        lines += ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in table.rows]
        parts.append("\n".join([*lines, "", table.note]))
    return "\n\n".join(parts) + "\n"


def _table(
    title: str, note: str, evaluations: Sequence[Evaluation], rows: Sequence[tuple[str, Cell]]
) -> Table:
    return Table(
        title,
        ("", *(e.name for e in evaluations)),
        tuple((name, *(cell(e) for e in evaluations)) for name, cell in rows),
        note,
    )


def _quality(evaluations: Sequence[Evaluation]) -> Table:
    titles = {"valid": "valid: all of these", "yield": "yield: valid, novel, different"}
    names = [name for e in evaluations for name in e.shares]
    order = sorted(dict.fromkeys(names), key=("unique", "novel", "yield").__contains__)

    def share(name: str) -> Cell:
        def cell(e: Evaluation) -> str:
            if name not in e.shares:
                return ""
            if name in ("unique", "yield"):  # no proportions: samples hang on each other
                return _percent(e.shares[name])
            low, high = e.interval(name)
            return f"{_percent(e.shares[name])} ({100 * low:.1f}–{100 * high:.1f})"

        return cell

    return _table(
        "Quality",
        "Shares of all samples, with 95 % confidence intervals (Wilson). `novel`: decodable and "
        "not in the data compared with; `unique`: different compositions per sample.",
        evaluations,
        [
            ("compared with", lambda e: e.against),
            ("samples", lambda e: f"{e.samples:,}"),
            *((titles.get(name, name), share(name)) for name in order),
        ],
    )


def _curves(evaluations: Sequence[Evaluation]) -> Table:
    def at(n: float) -> Cell:
        def cell(e: Evaluation) -> str:
            if n not in e.curves["samples"]:
                return ""
            i = e.curves["samples"].index(n)
            return f"{_percent(e.curves['unique'][i])}, {_percent(e.curves['novel'][i])}"

        return cell

    ticks = sorted({n for e in evaluations for n in e.curves["samples"]})
    return _table(
        "Unique and novel, by number of samples",
        "Different compositions, then compositions not in the data compared with, both as shares "
        "of the samples so far.",
        evaluations,
        [(f"{n:,.0f}", at(n)) for n in ticks],
    )


def _recovery(evaluations: Sequence[Evaluation]) -> Table:
    def found(role: str, size: str) -> Cell:
        def cell(e: Evaluation) -> str:
            row = e.recovered[role][size]
            if not row["compounds"]:
                return "there are none"
            low, high = wilson(row["found"], row["compounds"])
            share = f"{row['found'] / row['compounds']:.2%} ({100 * low:.2f}–{100 * high:.2f})"
            times = f"{_times(row, 'uniform')} / {_times(row, 'valid')}"
            return f"{row['found']:,} of {row['compounds']:,}: {share}; {times}"

        return cell

    return _table(
        "Known compounds found again",
        "Share found by these samples, then how many times as many that is as equally many random "
        "formulas of the same numbers of elements find: any formulas / formulas that pass the "
        "validators. `>`: random formulas found none.",
        evaluations,
        [
            (f"{role.replace('_', ' ')}, {size} elements", found(role, size))
            for role in ("trained", "held_out")
            for size in SIZES
            if any(e.recovered[role][size]["compounds"] for e in evaluations)
        ],
    )


def _times(row: dict[str, int], kind: str) -> str:
    if not row["found"]:
        return "0×"
    return f"{row['found'] / row[kind]:.3g}×" if row[kind] else f">{row['found']}×"


def _resemblance(evaluations: Sequence[Evaluation]) -> Table:
    titles = {
        "elements": "distance of elements",
        "pairs": "distance of pairs of elements",
        "n_elements": "distance of number of elements",
        "counts": "distance of counts",
    }

    def distance(name: str) -> Cell:
        return lambda e: f"{e.distances[name]:.3f}"

    def near(name: str) -> Cell:
        return lambda e: (
            f"{_percent(e.neighbours[name])} (held-out compounds: "
            f"{_percent(e.neighbours[f'held_out_{name}'])})"
        )

    return _table(
        "Likeness to the compounds trained on",
        "Jensen-Shannon distances: 0 where distributions agree, 1 where they share nothing. "
        "Precision: share of the compositions among known neighbours; coverage: share of the "
        "known compounds with such a composition among their neighbours.",
        evaluations,
        [(title, distance(name)) for name, title in titles.items()]
        + [(name, near(name)) for name in ("precision", "coverage")],
    )


def _predictions(evaluations: Sequence[Evaluation]) -> Table:
    def part(name: str, which: str, show: Callable[[dict[str, Any]], str]) -> Cell:
        def cell(e: Evaluation) -> str:
            values = e.predicted.get(name, {}).get(which, {})
            return show(values) if values.get("n") else ""

        return cell

    def spread(values: dict[str, Any]) -> str:
        q = values["quantiles"]
        return f"{q['50']:.2f} ({q['5']:.2f} to {q['95']:.2f})"

    rows: list[tuple[str, Cell]] = []
    units = {name: p["unit"] for e in evaluations for name, p in e.predicted.items()}
    for name, unit in units.items():
        for which, of in (("all", "all"), ("lithium", "those with Li")):
            title = f"{name}{f', {unit}' if unit else ''}, {of}"
            rows.append((title, part(name, which, spread)))
            rows.append((f"{name} below zero, {of}",
                         part(name, which, lambda v: _percent(v["below_zero"]))))  # fmt: skip
    return _table(
        "Predicted properties",
        "Of the different compositions: median, and from the 5th to the 95th percentile.",
        evaluations,
        rows,
    )


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
