"""Screenshots of every page at two widths, light and dark, into docs/images/console: `make screenshots`.

Made from the shipped scenarios. `python -m tests.browser.screenshots [NAME...]` makes those of some pages.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser.conftest import CHROMIUM
from tests.browser.palette import with_palette
from tests.browser.site import PAGES, WIDTHS, ConsoleTrial, looking, open_browser, path_of

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "console"
_HEIGHT = 880
"""Pixels: what is further down a page shows nothing new, and pictures are kept small."""


def make(names: list[str], folder: Path) -> None:
    """Write the pictures of the pages that are named."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, ConsoleTrial(Path(place)) as site, open_browser(CHROMIUM) as browser:
        site.start()
        site.play_scenarios()
        for name in names:
            for width, (pixels, _) in WIDTHS.items():
                for theme in ("light", "dark"):
                    with looking(browser, (pixels, _HEIGHT), color_scheme=theme) as shown:
                        shown.goto(site.url("/"))  # so that the browser has told its zone
                        shown.goto(site.url(path_of(name, site, shown)))
                        (folder / f"{name}-{width}-{theme}.png").write_bytes(with_palette(shown.screenshot()))


if __name__ == "__main__":
    make(sys.argv[1:] or list(PAGES), FOLDER)
