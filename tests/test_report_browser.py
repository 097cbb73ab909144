"""The page of a run in a browser: it opens offline, sorts, searches, and fits any screen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from runs import CANDIDATES, EVIL, candidates, write_run

pytest.importorskip("plotly")
pytest.importorskip("playwright")

from playwright import sync_api

from matgen_core import Compositions, Registry
from matgen_core.report import figures, page
from matgen_core.report.run import Run

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 120_000
"""Milliseconds for anything to happen, on a machine that has other things to do."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of a generator that is not installed here."""
    folder = tmp_path_factory.mktemp("run")
    table = candidates([EVIL, *CANDIDATES])
    run = write_run(folder / "out.csv", table, units={"formation_energy": "eV", "band_gap": EVIL})
    (folder / "out.html").write_text(page.build(Run.read(run), Registry()).html)
    return folder / "out.html"


@dataclass
class Opened:
    """A page, and what it did that it should not."""

    page: Any
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def opened(browser: Any, path: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """The page, drawn; whatever it asks of the network is refused and noted."""
    width, height, scheme = getattr(request, "param", (1440, 900, "light"))
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
    )
    context.set_default_timeout(PATIENCE)
    seen = Opened(context.new_page())

    def note_and_refuse(route: Any) -> None:
        if route.request.url.startswith(("file:", "blob:", "data:")):
            route.continue_()
        else:
            seen.complaints.append(f"asked for {route.request.url}")
            route.abort()

    context.route("**/*", note_and_refuse)
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.complaints.append("a dialog opened"))
    seen.page.goto(path.as_uri())
    drawn(seen.page)
    yield seen
    assert seen.complaints == []
    context.close()


def drawn(page: Any) -> None:
    """Wait until table and figures are there."""
    page.wait_for_selector(".dt-container")
    page.wait_for_function(
        "() => [...document.querySelectorAll('[data-figure]')]"
        ".every(figure => figure.querySelector('.main-svg'))"
    )


def column(page: Any, n: int) -> list[str]:
    return page.locator(f"#candidates tbody tr > :nth-child({n})").all_inner_texts()


def sort(page: Any, title: str, order: str) -> None:
    """Click on a column's title until it is sorted that way; sorting goes on after a click."""
    header = page.locator("#candidates thead th", has_text=title)
    for _ in range(3):
        before = header.get_attribute("aria-sort")
        if before == order:
            return
        header.click()
        page.wait_for_function(
            "([title, before]) => [...document.querySelectorAll('#candidates thead th')]"
            ".find(th => th.innerText.includes(title)).getAttribute('aria-sort') !== before",
            arg=[title, before],
        )
    raise AssertionError(f"{title} cannot be sorted {order}")


def test_table_sorts_with_unknown_values_last(opened: Opened) -> None:
    page = opened.page
    page.select_option(".dt-length select", "-1")
    assert len(column(page, 1)) == 41
    assert float(column(page, 3)[0]) == -3.0  # the best first, as the page says
    sort(page, "energy", "descending")
    assert [float(e) for e in column(page, 3)] == sorted(map(float, column(page, 3)), reverse=True)
    for reverse, order in ((False, "ascending"), (True, "descending")):
        sort(page, "gap", order)
        found = column(page, 4)
        known = [float(gap) for gap in found if gap]
        assert len(known) == 27
        assert known == sorted(known, reverse=reverse)
        assert found[27:] == [""] * 14


def test_table_searches(opened: Opened) -> None:
    page = opened.page
    page.select_option(".dt-length select", "100")
    page.fill(".dt-search input", "RbY")
    page.wait_for_function("() => document.querySelectorAll('#candidates tbody tr').length == 4")
    assert sorted(column(page, 1)) == ["RbYBr3", "RbYCl3", "RbYF3", "RbYI3"]
    page.fill(".dt-search input", "unobtainium")
    page.wait_for_selector("#candidates td.dt-empty")


def test_hover_shows_formula_and_properties(opened: Opened) -> None:
    page = opened.page
    place = page.locator("[data-figure=map]")
    place.scroll_into_view_if_needed()
    # Over each of some points in turn: whatever is nearest must be what the label says.
    for i in (0, 20, 39):
        at = place.evaluate(
            """(place, i) => {
                const box = place.getBoundingClientRect(), { xaxis, yaxis } = place._fullLayout;
                return [box.x + xaxis._offset + xaxis.d2p(place._fullData[0].x[i]),
                        box.y + yaxis._offset + yaxis.d2p(place._fullData[0].y[i])];
            }""",
            i,
        )
        page.mouse.move(at[0] + 1, at[1] + 1, steps=4)
        page.wait_for_selector("[data-figure=map] .hoverlayer .hovertext")
        label = place.locator(".hoverlayer").text_content()
        written = Compositions.from_formulas(CANDIDATES).to_formulas()
        [formula] = [f for f in written if re.search(rf"{f}(?!\d)", label)] or [None]
        energy = 0.9 - 0.1 * written.index(formula)
        assert f"formation energy: {energy:.3f} eV".replace("-", "−") in label.replace("-", "−")
        page.mouse.move(0, 0)


def test_users_text_is_text(opened: Opened) -> None:
    page = opened.page
    assert page.locator("img").count() == 0
    assert EVIL in column(page, 1) or page.locator("#candidates").inner_text().count(EVIL)


@pytest.mark.parametrize(
    "opened",
    [(390, 844, "light"), (390, 844, "dark"), (1440, 900, "dark")],
    ids=["phone", "phone, dark", "laptop, dark"],
    indirect=True,
)
def test_fits_the_screen_and_its_light(opened: Opened, request: pytest.FixtureRequest) -> None:
    page = opened.page
    width, _, scheme = request.node.callspec.params["opened"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("funnel", "map", "distribution-band_gap"):
        box = page.locator(f"[data-figure='{name}'] .main-svg").first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    ground = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (ground < 0.05) == (scheme == "dark")
    # Text on the page, in a figure and in the table: at least 4.5 to 1 (WCAG AA).
    for selector in ("p", "figcaption", "[data-figure=map] .xtitle", "#candidates th", ".dt-info"):
        colour = page.locator(selector).first.evaluate(
            "e => e instanceof SVGElement ? getComputedStyle(e).fill : getComputedStyle(e).color"
        )
        assert contrast(luminance(colour), ground) >= 4.5, selector
    for colour in figures.COLOURS:
        assert contrast(luminance(colour), ground) >= 3, colour


def test_theme_follows_the_system(opened: Opened) -> None:
    page = opened.page
    fill = "getComputedStyle(document.querySelector('[data-figure=map] .xtitle')).fill"
    before = page.evaluate(fill)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => {fill} != '{before}'")
    assert luminance(page.evaluate(fill)) > 0.5
    assert page.evaluate("document.documentElement.classList.contains('dark')")


def test_download(opened: Opened, tmp_path: Path) -> None:
    with opened.page.expect_download() as started:
        opened.page.locator("a[download]").click()
    started.value.save_as(tmp_path / "best.csv")
    assert started.value.suggested_filename == "out-best.csv"
    lines = (tmp_path / "best.csv").read_text().splitlines()
    assert len(lines) == 42
    assert lines[0].startswith("formula,n_elements,")


def test_numbers_without_scripts(browser: Any, path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri(), timeout=PATIENCE)
    assert page.locator("noscript").first.is_visible()
    assert page.locator("#candidates tbody tr").count() == 41
    context.close()


def test_pictures(path: Path, tmp_path: Path) -> None:
    made = {"funnel": figures.funnel(Run.read(path.with_suffix(".csv")).report)}
    written = figures.save(made, tmp_path / "new" / "pictures")
    assert [file.name for file in written] == ["funnel.png", "funnel.svg"]
    assert written[0].read_bytes().startswith(b"\x89PNG\r\n")
    picture = ElementTree.fromstring(written[1].read_bytes())
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    texts = "".join(picture.itertext())
    assert "From samples to candidates" in texts
    assert "80.0%" in texts
    assert not list((tmp_path / "new" / "pictures").glob(".*"))


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG defines it, of ``rgb(...)`` or ``#rrggbb``."""
    if colour.startswith("#"):
        parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    else:
        parts = [float(part) for part in re.findall(r"[\d.]+", colour)[:3]]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (p / 255 for p in parts)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
