"""The pictures of docs/report.md, from a page: ``python docs/screenshots.py RUN.html``."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
SCREENS = {
    "report-laptop.png": ({"width": 1440, "height": 900}, "light", "header", "#map"),
    "report-phone-dark.png": ({"width": 390, "height": 844}, "dark", "#map", "#best"),
}
"""Size, colours, and the first and last section of the picture."""


def main(path: Path) -> None:
    """Take every picture."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, (size, scheme, first, last) in SCREENS.items():
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.set_default_timeout(120_000)
            page.goto(path.resolve().as_uri())
            page.wait_for_selector(".dt-container")
            page.wait_for_function(
                "() => [...document.querySelectorAll('[data-figure]')]"
                ".every(figure => figure.querySelector('.main-svg'))"
            )
            top = page.locator(first).bounding_box()["y"]
            end = page.locator(last).bounding_box()
            height = end["y"] + end["height"] - top
            clip = {"x": 0, "y": top, "width": size["width"], "height": height}
            picture = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))
            few = picture.convert("RGB").quantize(128)  # a few colours make a small file
            few.save(IMAGES / name, optimize=True)
            print(IMAGES / name, f"{(IMAGES / name).stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
