"""python -m pipelines.pictures [SITE] [--models NAME …] [--to FOLDER]: pages of a catalog's site as PNG files.

After `python -m pipelines.catalog`, which makes the site of models/: the front page and some models' pages, one picture
in each language on a desk's and on a phone's screen. Needs Chromium (`make browser`).
"""

from __future__ import annotations

import argparse
import functools
import io
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, ViewportSize, sync_playwright

from dxai.errors import DxaiError, NotFoundError
from dxai.record.progress import console
from pipelines.catalog import FOLDER

LANGUAGES, WIDTHS, HEIGHT = ("en", "ko"), (1280, 360), 900
"""Widths and height of the screens in pixels; a picture is as high as its page, up to `HIGHEST`."""
HIGHEST = 2_400
COLORS = 64
"""Of a picture: a third of its bytes, and nobody sees it."""
MODELS = ("pd-speech", "appliances-energy", "naval-compressor")
"""A row of two classes, hours with the weather ahead, a row with a number."""


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""


@contextmanager
def _serving(site: Path) -> Iterator[str]:
    """A browser loads the page's program from a server only, not from a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Silent, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def pictures(site: Path, to: Path, models: Sequence[str] = ()) -> list[Path]:
    """Write ``PAGE-LANGUAGE-WIDTH.png`` for every page, language and width; returns the files.

    Args:
        site: Made by `python -m pipelines.catalog`.
        to: Gets the files; the front page is ``catalog``.
        models: Whose pages are photographed too.

    Raises:
        NotFoundError: There is no such page in the folder, or no Chromium on this machine.
    """
    pages = {"catalog": "index.html", **{name: f"models/{name}/index.html" for name in models}}
    for place in pages.values():
        if not (site / place).is_file():
            raise NotFoundError("There is no such page.", where=str(site / place), fix="python -m pipelines.catalog")
    chromium = os.environ.get("DXAI_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        raise NotFoundError(
            "There is no Chromium.", where="PATH", fix="make browser, or set DXAI_CHROMIUM to its path."
        )
    to.mkdir(parents=True, exist_ok=True)
    written = []
    with _serving(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for (name, place), language, width in product(pages.items(), LANGUAGES, WIDTHS):
            page = browser.new_page(viewport=ViewportSize(width=width, height=HEIGHT))
            page.goto(f"{address}/{place}?lang={language}")
            page.wait_for_load_state("networkidle")
            written.append(to / f"{name}-{language}-{width}.png")
            high = min(page.evaluate("document.documentElement.scrollHeight"), HIGHEST)
            clip: FloatRect = {"x": 0, "y": 0, "width": width, "height": high}
            taken = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))
            taken.convert("RGB").quantize(COLORS).save(written[-1], optimize=True)
            page.close()
        browser.close()
    return written


def main() -> None:
    """Make the pictures, and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", nargs="?", type=Path, default=FOLDER / "site", help="default: %(default)s")
    parser.add_argument("--models", nargs="*", default=MODELS, help="default: %(default)s")
    parser.add_argument("--to", type=Path, default=Path("docs/pictures"), help="default: %(default)s")
    asked = parser.parse_args()
    try:
        written = pictures(asked.site, asked.to, asked.models)
    except DxaiError as error:
        print(f"dxai: {error.message()}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    console.print("\n".join(map(str, written)), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
