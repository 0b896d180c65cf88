"""python -m pipelines.pictures [SITE] [--to FOLDER]: the front page of a catalog's site as PNG files.

After `python -m pipelines.catalog`, which makes the site of models/: one picture in each language on a desk's and on a
phone's screen. Needs Chromium (`make browser`).
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright

from dxai.errors import DxaiError, NotFoundError
from dxai.record.progress import console
from pipelines.catalog import FOLDER

LANGUAGES, WIDTHS, HEIGHT = ("en", "ko"), (1280, 360), 900
"""Widths and height of the screens in pixels; a picture is as high as its page."""


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""


@contextmanager
def _serving(site: Path) -> Iterator[str]:
    """A browser loads the page's program from a server only, not from a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Silent, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


def pictures(site: Path, to: Path) -> list[Path]:
    """Write ``catalog-LANGUAGE-WIDTH.png`` for every language and width; returns the files.

    Raises:
        NotFoundError: There is no site in the folder, or no Chromium on this machine.
    """
    if not (site / "index.html").is_file():
        raise NotFoundError("There is no site.", where=str(site), fix="python -m pipelines.catalog --no-wasm")
    chromium = os.environ.get("DXAI_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        raise NotFoundError(
            "There is no Chromium.", where="PATH", fix="make browser, or set DXAI_CHROMIUM to its path."
        )
    to.mkdir(parents=True, exist_ok=True)
    written = []
    with _serving(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for language, width in product(LANGUAGES, WIDTHS):
            page = browser.new_page(viewport=ViewportSize(width=width, height=HEIGHT))
            page.goto(f"{address}?lang={language}")
            written.append(to / f"catalog-{language}-{width}.png")
            page.screenshot(path=written[-1], full_page=True)
        browser.close()
    return written


def main() -> None:
    """Make the pictures, and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", nargs="?", type=Path, default=FOLDER / "site", help="default: %(default)s")
    parser.add_argument("--to", type=Path, default=Path("docs/pictures"), help="default: %(default)s")
    asked = parser.parse_args()
    try:
        written = pictures(asked.site, asked.to)
    except DxaiError as error:
        print(f"dxai: {error.message()}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    console.print("\n".join(map(str, written)), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
