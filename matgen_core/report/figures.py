"""Plotly figures of a run and of evaluations, and how they are saved as pictures.

A figure carries its title (``layout.title``) and what it shows in words (``layout.meta``). What
colour tells apart, the shape of a marker, a dash or a pattern tells apart too; the colours are
readable on white and on near black, so that only text and grid differ between the two.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_core.elements import SYMBOLS
from matgen_core.errors import DataError, MatgenError
from matgen_core.evaluation import Evaluation
from matgen_core.pipeline import Report
from matgen_core.weights import write_atomically

COLOURS = ("#2f7fc1", "#d55e00", "#00916b", "#a45fb5", "#7d8590", "#b07d00")
SYMBOL = ("circle", "diamond", "square", "triangle-up", "cross", "star")
DASH = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PATTERN = ("", "/", ".", "x", "-", "+")
SCALE = ("#fff3c4", "#b5dfa8", "#5cbfae", "#3f9fd0")
"""From rare to frequent: light enough for dark text, in both themes."""
FAINT = "rgba(128,128,128,0.12)"
PERIODS = ("1", "2", "3", "4", "5", "6", "7", "6 f", "7 f")
"""Rows of the periodic table; the last two are the lanthanoids and actinoids."""
ENTRIES = 3
"""Entries in a row of a saved picture's legend, at the names' usual length."""
LEAST, MOST = 0.1, 100.0
"""Per cent at the ends of the colour scale of elements, which is logarithmic."""


def _template(text: str, grid: str, ground: str) -> go.layout.Template:
    axis = {
        "gridcolor": grid, "linecolor": grid, "zerolinecolor": grid, "automargin": True,
        "showline": True, "ticks": "outside", "tickcolor": grid, "title": {"standoff": 10},
    }  # fmt: skip
    return go.layout.Template(
        layout={
            "colorway": COLOURS,
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": text},
            "paper_bgcolor": ground,
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "hoverlabel": {"bgcolor": ground, "bordercolor": text, "font": {"color": text}},
            "margin": {"l": 20, "r": 20, "t": 70, "b": 15},
            "bargap": 0.25,
        }
    )


TEMPLATES = {
    "light": _template("#1b1f24", "#d5dae0", "#ffffff"),
    "dark": _template("#e4e8ec", "#3a424b", "#14181d"),
}


def _figure(traces: Sequence[Any], title: str, caption: str, **layout: Any) -> go.Figure:
    figure = go.Figure(traces)
    return _described(figure, title, caption).update_layout(**{"height": 420} | layout)


def _described(figure: go.Figure, title: str, caption: str) -> go.Figure:
    figure.update_layout(template=TEMPLATES["light"], title_text=escape(title), meta=caption)
    return figure


def quantity(name: str, unit: str) -> str:
    """A property as a label, e.g. ``formation energy (eV/atom)``."""
    return name.replace("_", " ") + (f" ({unit})" if unit else "")


# --- a run --------------------------------------------------------------------------------------


def stages(report: Report) -> list[tuple[str, int, bool]]:
    """What became of the samples: label, count, and whether it is a test of all samples.

    Tests overlap; candidates are the samples that are different and pass all of them.
    """
    found: list[tuple[str, int | None, bool]] = [
        ("generated", report.generated, False),
        ("decodable", report.decodable, False),
        ("different", report.unique, True),
        *((f"pass {name}", n, True) for name, n in report.passed.items()),
        ("valid (pass all)", report.valid if len(report.passed) > 1 else None, True),
        ("novel", report.novel, True),
        ("candidates", report.candidates, False),
        ("pass --where", report.passed_where, False),
    ]
    return [(label, n, test) for label, n, test in found if n is not None]


def funnel(report: Report) -> go.Figure:
    """How many samples are left at each stage."""
    every = stages(report)
    traces = []
    for test, name in ((False, "left so far"), (True, "pass a test, of all samples")):
        rows = [(label, n) for label, n, is_test in every if is_test == test]
        traces.append(
            go.Bar(
                name=name,
                orientation="h",
                y=[escape(label) for label, _ in rows],
                x=[n for _, n in rows],
                text=[f"{n:,}<br>{n / max(report.generated, 1):.1%}" for _, n in rows],
                textposition="outside",
                cliponaxis=False,
                marker={"color": COLOURS[test], "pattern": {"shape": PATTERN[test]}},
                hovertemplate="%{y}: %{text}<extra></extra>",
            )
        )
    order = [escape(label) for label, _, _ in every]
    return _figure(
        traces,
        "From samples to candidates",
        "Tests look at all samples and overlap; candidates are different, pass every test, and "
        "hold the elements that were asked for.",
        height=120 + 40 * len(every),
        barmode="overlay",
        xaxis={"title": "samples", "range": [0, 1.5 * max(report.generated, 1)], "nticks": 6},
        yaxis={"title": "stage", "categoryorder": "array", "categoryarray": order[::-1]},
    )


def element_shares(compositions: Compositions) -> dict[str, float]:
    """Per cent of the compositions that hold each element, by symbol; absent ones are left out."""
    readable = np.count_nonzero(compositions.n_elements)
    held = np.bincount(compositions.numbers.ravel(), minlength=len(SYMBOLS))[1:]
    return {
        symbol: 100 * n / readable
        for symbol, n in zip(SYMBOLS[1:], held.tolist(), strict=True)
        if n
    }


def periodic_table(
    shares: Mapping[str, float], what: str, others: Mapping[str, Mapping[str, float]] | None = None
) -> go.Figure:
    """Heat map of element frequency on the periodic table.

    Args:
        shares: per cent by symbol.
        what: what the shares are of.
        others: shares of something else by its name, to show on hover.
    """
    from pymatgen.core import Element

    shown = {what: shares} | dict(others or {})
    heat, ground = np.full((9, 18), np.nan), np.full((9, 18), np.nan)
    labels, names, hovers = (np.full((9, 18), "", object) for _ in range(3))
    for symbol in SYMBOLS[1:]:
        element = Element(symbol)
        place = element.row - 1, element.group - 1
        if element.is_lanthanoid or element.is_actinoid:  # below the table, as is usual
            place = element.row + 1, element.Z - (55 if element.is_lanthanoid else 87)
        hovers[place] = f"<b>{symbol}</b> ({element.long_name})" + "".join(
            f"<br>{per.get(symbol, 0):.3g} % of {escape(of)}" for of, per in shown.items()
        )
        ground[place] = 0
        if share := shares.get(symbol):
            heat[place] = np.log10(max(share, LEAST))
            labels[place] = f"<b>{symbol}</b><br>{_short(share)}"
        else:
            names[place] = symbol
    common = {
        "x": list(range(1, 19)),
        "y": PERIODS,
        "texttemplate": "%{text}",
        "customdata": hovers,
        "hovertemplate": "%{customdata}<extra></extra>",
        "xgap": 2,
        "ygap": 2,
    }
    ticks = np.array([LEAST, 1, 10, MOST])
    traces = [
        go.Heatmap(
            z=ground,
            text=names,
            colorscale=[[0, FAINT], [1, FAINT]],
            showscale=False,
            textfont={"color": COLOURS[4], "size": 10},
            **common,
        ),
        go.Heatmap(
            z=heat,
            text=labels,
            zmin=np.log10(LEAST),
            zmax=np.log10(MOST),
            colorscale=SCALE,
            textfont={"color": "#101418", "size": 10},
            colorbar={
                "title": {"text": f"% of {escape(what)}", "side": "top"},
                "orientation": "h",
                "tickvals": np.log10(ticks),
                "ticktext": [f"{tick:g}" for tick in ticks],
                "thickness": 12,
                "len": 0.45,
                "x": 0.4,
                "y": 0.8,
            },
            **common,
        ),
    ]
    top = ", ".join(f"{s} {p:.3g} %" for s, p in sorted(shares.items(), key=lambda i: -i[1])[:5])
    axis = {"showgrid": False, "zeroline": False, "showline": False, "ticks": ""}
    return _figure(
        traces,
        f"Elements in {what}",
        f"Per cent of the {what} that hold each element; most frequent: {top}. Grey: in none.",
        height=480,
        xaxis={"title": "group", "tickvals": list(range(1, 19)), "side": "bottom"} | axis,
        yaxis={"title": "period", "autorange": "reversed", "type": "category"} | axis,
    )


def _short(per_cent: float) -> str:
    if per_cent < LEAST:
        return f"&lt;{LEAST}"
    return f"{per_cent:.0f}" if per_cent >= 10 else f"{per_cent:.1f}"


def distribution(name: str, unit: str, samples: Mapping[str, NDArray[np.float64]]) -> go.Figure:
    """Histograms of one property; NaN are left out.

    Args:
        name: of the property.
        unit: of the property.
        samples: values by what they are values of, float64 [N] each; not all empty.
    """
    known = {of: values[~np.isnan(values)] for of, values in samples.items()}
    known = {of: values for of, values in known.items() if len(values)}
    edges = np.histogram_bin_edges(np.concatenate(list(known.values())), bins=60)
    outlines = {of: (edges, np.histogram(values, edges)[0]) for of, values in known.items()}
    words = "; ".join(
        f"{of}: {len(values):,} values, median {np.median(values):.3g}, "
        f"{(values < 0).mean():.1%} below zero"
        for of, values in known.items()
    )
    return _outlines(name, unit, outlines, words)


def _outlines(
    name: str,
    unit: str,
    histograms: Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]],
    caption: str,
) -> go.Figure:
    """Outlines of histograms, each (edges [B + 1], counts [B]), with an area of 100 per cent."""
    traces = []
    for i, (of, (edges, counts)) in enumerate(histograms.items()):
        density = 100 * counts / counts.sum() / np.diff(edges)
        traces.append(
            go.Scatter(
                name=escape(of),
                x=np.repeat(edges, 2)[1:-1],
                y=np.repeat(density, 2),
                mode="lines",
                line={"color": COLOURS[i % 6], "dash": DASH[i % 6], "width": 2},
                fill="tozeroy" if i == 0 else None,
                hovertemplate=f"{escape(of)}<br>%{{x:.3g}} {escape(unit)}: %{{y:.3g}} %"
                f"{escape(' per ' + unit) if unit else ''}<extra></extra>",
            )
        )
    label = quantity(name, unit)
    return _figure(
        traces,
        f"Distribution of {label}",
        caption,
        xaxis={"title": escape(label)},
        yaxis={"title": escape(f"% per {unit or 'unit'}"), "rangemode": "tozero"},
        showlegend=True,
    )


def scatter_map(
    points: Mapping[str, NDArray[np.float64]], hover: Mapping[str, Sequence[str]], caption: str
) -> go.Figure:
    """A map of compounds.

    Args:
        points: places by what they are places of, float64 [N, 2].
        hover: what is shown of each point.
        caption: how the map was made.
    """
    traces = [
        go.Scatter(
            name=escape(of),
            x=xy[:, 0],
            y=xy[:, 1],
            mode="markers",
            marker={"symbol": SYMBOL[i], "size": 6, "opacity": 0.65, "color": COLOURS[i]},
            text=list(hover[of]),
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
        )
        for i, (of, xy) in enumerate(points.items())
    ]
    axis = {"zeroline": False, "showticklabels": False, "ticks": ""}
    return _figure(
        traces,
        "Map of compositions (t-SNE)",
        caption,
        height=560,
        xaxis={"title": "t-SNE 1 (no unit)"} | axis,
        yaxis={"title": "t-SNE 2 (no unit)"} | axis,
        hovermode="closest",
        showlegend=True,
    )


# --- evaluations --------------------------------------------------------------------------------


def of_evaluations(evaluations: Sequence[Evaluation]) -> dict[str, go.Figure]:
    """Figures of one evaluation, or of several side by side, by name of the file."""
    result = {"shares": _shares(evaluations)}
    for curve in ("unique", "novel"):
        result[f"curve-{curve}"] = _curve(evaluations, curve)
    for role in ("trained", "held_out"):
        result[f"recovered-{role}"] = _recovered(evaluations, role)
    result["distances"] = _distances(evaluations)
    known: dict[str, dict[str, float]] = {}
    for i, e in enumerate(evaluations, start=1):
        own = {s: 100 * share["generated"] for s, share in e.elements.items() if share["generated"]}
        trained = {s: 100 * share["trained"] for s, share in e.elements.items() if share["trained"]}
        known[f"compounds of {e.against}"] = trained
        result[f"elements-{i}-{slug(e.name)}"] = periodic_table(
            own, f"samples of {e.name}", {f"compounds of {e.against}": trained}
        )
    for of, shares in known.items():
        result[f"elements-{slug(of)}"] = periodic_table(shares, of)
    return result | _predicted(evaluations)


def _shares(evaluations: Sequence[Evaluation]) -> go.Figure:
    traces = []
    for i, e in enumerate(evaluations):
        intervals = e.to_dict()["intervals"]
        share = np.array(list(e.shares.values()))
        low, high = np.array([intervals.get(name, (s, s)) for name, s in e.shares.items()]).T
        traces.append(
            go.Bar(
                name=escape(e.name),
                x=[escape(name) for name in e.shares],
                y=100 * share,
                error_y={"array": 100 * (high - share), "arrayminus": 100 * (share - low)},
                marker={"color": COLOURS[i % 6], "pattern": {"shape": PATTERN[i % 6]}},
                hovertemplate="%{x}: %{y:.2f} %",
            )
        )
    return _figure(
        traces,
        "Shares of all samples",
        "Bars on top are 95 % confidence intervals, where a share is one of independent samples.",
        yaxis={"title": "% of samples", "range": [0, 102]},
        xaxis={"title": "test"},
        showlegend=True,
    )


def _curve(evaluations: Sequence[Evaluation], kind: str) -> go.Figure:
    traces = [
        go.Scatter(
            name=escape(e.name),
            x=e.curves["samples"],
            y=[100 * share for share in e.curves[kind]],
            mode="lines+markers",
            line={"color": COLOURS[i % 6], "dash": DASH[i % 6]},
            marker={"symbol": SYMBOL[i % 6], "size": 8},
            hovertemplate="%{x:,} samples: %{y:.2f} %",
        )
        for i, e in enumerate(evaluations)
    ]
    return _figure(
        traces,
        f"Share of {kind} samples, by how many were drawn",
        "The more are drawn, the more repeat earlier ones."
        if kind == "unique"
        else "Novel: in no data set compared with; repeated samples count each time.",
        xaxis={"title": "samples drawn (logarithmic)", "type": "log"},
        yaxis={"title": f"% of samples that are {kind}", "rangemode": "tozero"},
        showlegend=True,
    )


def _recovered(evaluations: Sequence[Evaluation], role: str) -> go.Figure:
    """Found compounds by size, beside what as many random formulas find."""
    kinds = {"found": "", "valid": " (valid random formulas)", "uniform": " (random formulas)"}
    traces = []
    for i, e in enumerate(evaluations):
        sizes = e.recovered[role]
        for j, (kind, words) in enumerate(kinds.items()):
            traces.append(
                go.Scatter(
                    name=escape(e.name + words),
                    x=[f"{size} elements" for size in sizes],
                    y=[100 * n[kind] / n["compounds"] if n["compounds"] else None
                       for n in sizes.values()],
                    customdata=[[n[kind], n["compounds"]] for n in sizes.values()],
                    mode="lines+markers",
                    line={"color": COLOURS[i % 6], "dash": DASH[j], "width": 2 - 0.5 * j},
                    marker={"symbol": SYMBOL[i % 6] + ("", "-open", "-open-dot")[j], "size": 9},
                    hovertemplate="%{x}: %{customdata[0]:,} of %{customdata[1]:,} (%{y:.3g} %)",
                )
            )  # fmt: skip
    which = role.replace("_", "-")
    return _figure(
        traces,
        f"{which.capitalize()} compounds that were found again",
        f"Share of the {which} compounds among the samples, and among as many random formulas of "
        "the same sizes.",
        height=420 + 20 * len(traces),
        xaxis={"title": "number of elements"},
        yaxis={"title": f"% of {which} compounds found", "rangemode": "tozero"},
        showlegend=True,
    )


def _distances(evaluations: Sequence[Evaluation]) -> go.Figure:
    traces = [
        go.Bar(
            name=escape(e.name),
            x=[{"n_elements": "number of elements"}.get(name, name) for name in e.distances],
            y=list(e.distances.values()),
            marker={"color": COLOURS[i % 6], "pattern": {"shape": PATTERN[i % 6]}},
            hovertemplate="%{x}: %{y:.3f}",
        )
        for i, e in enumerate(evaluations)
    ]
    return _figure(
        traces,
        "Jensen-Shannon distances to the training compounds",
        "0: the same distribution; 1: nothing in common.",
        xaxis={"title": "distribution of"},
        yaxis={"title": "distance (no unit)", "rangemode": "tozero"},
        showlegend=True,
    )


def _predicted(evaluations: Sequence[Evaluation]) -> dict[str, go.Figure]:
    units = {name: p["unit"] for e in evaluations for name, p in e.predicted.items()}
    result = {}
    for name, unit in units.items():
        found = {
            e.name + words: e.predicted[name][group]
            for e in evaluations
            if name in e.predicted
            for group, words in (("all", ""), ("lithium", ", with lithium"))
            if e.predicted[name][group]["n"]
        }
        if found:
            result[f"distribution-{slug(name)}"] = _outlines(
                name,
                unit,
                {
                    of: (np.array(d["histogram"]["edges"]), np.array(d["histogram"]["counts"]))
                    for of, d in found.items()
                },
                "; ".join(
                    f"{of}: {d['n']:,} values, median {d['quantiles']['50']:.3g}, "
                    f"{d['below_zero']:.1%} below zero"
                    for of, d in found.items()
                ),
            )
    return result


# --- pictures -----------------------------------------------------------------------------------


def slug(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "unnamed"


def save(figures: Mapping[str, go.Figure], folder: Path) -> list[Path]:
    """Write every figure as PNG and SVG.

    Args:
        figures: by name of the file.
        folder: made if need be.

    Raises:
        MatgenError: there is no Chrome or Chromium to draw them.
        DataError: the folder cannot be written.
    """
    from choreographer.errors import BrowserFailedError, ChromeNotFoundError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(1) as thread:  # in a notebook, this one has a loop already
            return thread.submit(lambda: asyncio.run(_save(figures, folder))).result()
    except (ChromeNotFoundError, BrowserFailedError) as error:
        raise MatgenError(
            "figures are drawn by Chrome or Chromium, which is not on this machine or does not "
            "start: install it (Debian: apt install chromium), or name it in BROWSER_PATH"
        ) from error
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}") from error


def _with_room_for_legend(figure: go.Figure) -> go.Figure:
    """A copy whose title stands above all rows of its legend; on the page there is no title."""
    entries = sum(trace.showlegend is not False and bool(trace.name) for trace in figure.data)
    more = 24 * max(0, math.ceil(entries / ENTRIES) - 1)
    layout = {
        "height": figure.layout.height + more,
        "margin": {"t": 70 + more},
        "title": {"yref": "container", "y": 0.98, "yanchor": "top"},
    }
    return go.Figure(figure).update_layout(layout)


async def _save(figures: Mapping[str, go.Figure], folder: Path) -> list[Path]:
    from kaleido import Kaleido

    written = []
    async with Kaleido(mathjax=False) as kaleido:  # MathJax would come from the network
        for name, original in figures.items():
            figure = _with_room_for_legend(original)
            size = {"width": 900, "height": figure.layout.height}
            for suffix, scale in (("png", 2), ("svg", 1)):
                options = {"format": suffix, "scale": scale} | size
                path = folder / f"{name}.{suffix}"
                write_atomically(path, await kaleido.calc_fig(figure, opts=options))
                written.append(path)
    return written
