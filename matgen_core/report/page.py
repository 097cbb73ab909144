"""The page of a run: one HTML file that holds everything it shows."""

from __future__ import annotations

import csv
import io
import json
import shlex
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import itables.options
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from matgen_core.compositions import Compositions
from matgen_core.errors import MatgenError
from matgen_core.evaluation import Evaluation
from matgen_core.registry import Registry
from matgen_core.report import figures as plots
from matgen_core.report import tsne
from matgen_core.report.run import Background, Run
from matgen_core.tabulate import tables

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

ROWS = 1_000
"""Candidates in the table of the page."""
POINTS = 1_500
"""Compounds of each kind on the map."""
ENERGY = "formation_energy"
"""What the best candidates are chosen by where the run was not sorted."""


@dataclass(frozen=True)
class Page:
    """The finished page and its figures, by name."""

    html: str
    figures: dict[str, Figure]


def build(
    run: Run,
    registry: Registry,
    *,
    against: str | None = None,
    evaluations: Sequence[Evaluation] = (),
    progress: Callable[[str], None] = lambda step: None,
) -> Page:
    """Make the page of a run; the same files give the same page.

    Args:
        run: what it shows.
        registry: where the generator's weights and data are looked up.
        against: name of a data source to compare with; None for what the generator learned from.
        evaluations: what ``matgen evaluate`` measured, to be shown too.
        progress: called with what is about to be done.

    Raises:
        MatgenError: `against` is unknown or its data are absent. (Without `against` the page
            says so, and shows the candidates alone.)
    """
    progress("reading known compounds")
    background: Background | None = None
    alone = ""
    try:
        background = Background.of(registry, run.report.config.generator, against)
    except MatgenError as error:
        if against is not None:
            raise
        alone = str(error)

    progress("drawing figures")
    shares = _element_shares(run, background)
    sections: dict[str, dict[str, Figure]] = {
        "funnel": {"funnel": plots.funnel(run.report)},
        "elements": _elements(shares),
        "distributions": _distributions(run, background),
        "evaluation": {
            f"evaluation-{name}": figure
            for name, figure in (plots.of_evaluations(evaluations) if evaluations else {}).items()
        },
    }
    progress("arranging the map (t-SNE)")
    sections["map"] = _map(run, background)
    figures = {name: figure for part in sections.values() for name, figure in part.items()}

    progress("writing the page")
    best, order = _best(run)
    environment = Environment(
        loader=PackageLoader("matgen_core.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = "{:,}".format
    html = environment.get_template("page.html.jinja").render(
        run=run,
        report=run.report,
        config=run.report.config,
        sections=sections,
        figures={name: _for_script(figure) for name, figure in figures.items()},
        templates={name: t.to_plotly_json() for name, t in plots.TEMPLATES.items()},
        stages=plots.stages(run.report),
        shares_of=list(shares),
        elements=_element_rows(shares),
        background=background,
        alone=alone,
        unreadable=int(np.count_nonzero(run.compositions.n_elements == 0)),
        unpredicted=[name for name in run.report.units if name not in run.predicted],
        columns=["formula", "n_elements", *run.predicted],
        quantity=lambda name: plots.quantity(name, run.report.units[name]),
        best=_cells(best, run),
        order=order,
        download=b64encode(_spreadsheet(best).encode()).decode(),
        tables=tables(evaluations) if evaluations else [],
        command=_command(run),
        plotlyjs=get_plotlyjs(),
        datatables=_datatables(),
        css=_own("page.css"),
        js=_own("page.js"),
    )
    return Page(html, figures)


# --- figures ------------------------------------------------------------------------------------


def _element_shares(run: Run, background: Background | None) -> dict[str, dict[str, float]]:
    """Per cent by element of the candidates, and of the known compounds where there are some."""
    shares = {"candidates": plots.element_shares(run.compositions)}
    if background is not None:
        shares[background.title] = plots.element_shares(background.dataset.compositions)
    return shares


def _elements(shares: dict[str, dict[str, float]]) -> dict[str, Figure]:
    return {
        f"elements-{'candidates' if of == 'candidates' else 'known'}": plots.periodic_table(
            own, of, {other: theirs for other, theirs in shares.items() if other != of}
        )
        for of, own in shares.items()
        if own
    }


def _element_rows(shares: dict[str, dict[str, float]]) -> list[tuple[str, list[float]]]:
    """Each element and its shares, the most frequent first."""
    symbols = {symbol for own in shares.values() for symbol in own}
    rows = [(symbol, [own.get(symbol, 0.0) for own in shares.values()]) for symbol in symbols]
    return sorted(rows, key=lambda row: ([-share for share in row[1]], row[0]))


def _distributions(run: Run, background: Background | None) -> dict[str, Figure]:
    result = {}
    for name, values in run.predicted.items():
        samples = {"candidates (predicted)": values}
        if background is not None and name in background.dataset.properties:
            samples[f"{background.title}, data"] = background.dataset.properties[name]
        if not np.isnan(values).all():
            unit = run.report.units[name]
            result[f"distribution-{plots.slug(name)}"] = plots.distribution(name, unit, samples)
    return result


def _map(run: Run, background: Background | None) -> dict[str, Figure]:
    """The map of some candidates and known compounds; none where there are too few of them."""
    rng = np.random.default_rng(run.report.config.seed)
    rows = {"candidates": _some(run.compositions, rng)}
    compositions = {"candidates": run.compositions}
    properties = {"candidates": run.predicted}
    if background is not None:
        known = background.dataset
        rows[background.title] = _some(known.compositions, rng)
        compositions[background.title] = known.compositions
        properties[background.title] = {
            name: known.properties[name] for name in run.predicted if name in known.properties
        }
    chosen = {of: compositions[of][rows[of]] for of in rows if len(rows[of])}
    together = Compositions.concatenate(list(chosen.values()))
    if len(together) < tsne.LEAST or "candidates" not in chosen:
        return {}
    places = tsne.arrange(together, run.report.config.seed)
    ends = np.cumsum([len(part) for part in chosen.values()])[:-1]
    points = dict(zip(chosen, np.split(places, ends), strict=True))
    hover = {
        of: _hover(part, {name: v[rows[of]] for name, v in properties[of].items()}, run)
        for of, part in chosen.items()
    }
    counted = " and ".join(f"{len(part):,} {of}" for of, part in chosen.items())
    caption = (
        f"{counted}, at random, arranged by t-SNE of their atomic fractions (perplexity "
        f"{min(tsne.PERPLEXITY, (len(together) - 1) / 3):.3g}, seed {run.report.config.seed}). "
        "Near points are alike in composition; distances between groups and the axes mean nothing."
    )
    return {"map": plots.scatter_map(points, hover, caption)}


def _some(compositions: Compositions, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most `POINTS` rows, all different and none of them empty, ascending."""
    rows = np.flatnonzero(compositions.first_occurrence() & (compositions.n_elements > 0))
    return np.sort(rng.choice(rows, min(POINTS, len(rows)), replace=False))


def _hover(
    compositions: Compositions, properties: dict[str, NDArray[np.float64]], run: Run
) -> list[str]:
    lines = [f"<b>{formula}</b>" for formula in compositions.to_formulas()]
    for name, values in properties.items():
        unit = escape(run.report.units[name])
        label = escape(name.replace("_", " "))
        lines = [
            line if np.isnan(value) else f"{line}<br>{label}: {value:.3f} {unit}"
            for line, value in zip(lines, values, strict=True)
        ]
    return lines


def _for_script(figure: Figure) -> dict[str, Any]:
    """A figure as the page's script takes it: theme and title are the page's own."""
    content: dict[str, Any] = json.loads(figure.to_json())
    layout = content["layout"]
    for part in ("template", "title", "meta"):
        layout.pop(part, None)
    return content


# --- table --------------------------------------------------------------------------------------


def _best(run: Run) -> tuple[pd.DataFrame, str]:
    """The candidates that are shown, and in words in which order they stand."""
    table = run.candidates
    sort = run.report.config.sort
    if sort:
        return table.head(ROWS), f"sorted by {sort}, as the run was"
    if ENERGY in run.predicted:
        order = np.argsort(run.predicted[ENERGY], kind="stable")  # NaN comes last
        return table.iloc[order[:ROWS]], "the lowest formation energy first"
    return table.head(ROWS), "as they were generated: the run has neither --sort nor energies"


def _cells(best: pd.DataFrame, run: Run) -> list[list[tuple[str, str]]]:
    """Of each row the cells: what is shown, and the value to sort by."""
    columns: list[list[tuple[str, str]]] = [[(f, f) for f in best["formula"]]]
    if "n_elements" in best:
        columns.append([(str(n), str(n)) for n in best["n_elements"]])
    else:
        columns.append([(str(n), str(n)) for n in run.compositions.n_elements[best.index]])
    for values in run.predicted.values():
        chosen = values[best.index]
        columns.append([("", "") if np.isnan(v) else (f"{v:.3f}", repr(float(v))) for v in chosen])
    return [list(row) for row in zip(*columns, strict=True)]


def _spreadsheet(best: pd.DataFrame) -> str:
    """The rows as CSV whose texts no spreadsheet takes for a formula of its own."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_harmless(name) for name in best])
    missing = best.isna().to_numpy()
    for row, absent in zip(best.itertuples(index=False), missing, strict=True):
        writer.writerow(
            ["" if no else _harmless(value) for value, no in zip(row, absent, strict=True)]
        )
    return text.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple("=+-@\t\r")) else value


# --- parts --------------------------------------------------------------------------------------


def _command(run: Run) -> str:
    """What repeats the run, in the folder of its table."""
    return shlex.join(
        ["matgen", "run", "--config", f"{run.path.name}.run.toml", "-o", run.path.name]
    )


def _own(file: str) -> str:
    return files("matgen_core.report").joinpath(file).read_text(encoding="utf-8")


def _datatables() -> dict[str, str]:
    """DataTables as itables ships it: an ES module, in base64, and its style."""
    module = Path(itables.options.dt_bundle)
    return {
        "module": b64encode(module.read_bytes()).decode(),
        "css": module.with_suffix(".css").read_text(encoding="utf-8"),
    }
