"""python -m pipelines.catalog [--no-wasm] [FOLDER]: the models of models/ as a catalog with its web site, for a look.

Its keys are made for this one time and lie beside it: a catalog that others pull from is made by `dxai keys init`,
`dxai publish` and `dxai catalog site`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dxai.bundle.folder import Bundle
from dxai.catalog.ceremony import make_keys
from dxai.catalog.keys import KeyRing
from dxai.catalog.repository import Catalog
from dxai.catalog.site.build import build_catalog_site
from dxai.config.compose import find_checkout
from dxai.errors import DxaiError, NotFoundError
from dxai.files import whole_folder
from dxai.record.progress import console

FOLDER = Path("runs/catalog")


def publish(models: Path, folder: Path, *, wasm: bool) -> list[str]:
    """Write keys, catalog and site of every whole model into one folder; an older one there is replaced.

    Args:
        models: Holds the bundles.
        folder: Gets ``keys``, ``catalog`` and ``site``.
        wasm: Whether the pages predict inside the browser.

    Returns:
        The names of the models.

    Raises:
        NotFoundError: There is no whole model, or the runtime cannot be fetched.
    """
    bundles = [Bundle.open(manifest.parent) for manifest in sorted(models.glob("*/manifest.json"))]
    if not bundles:
        raise NotFoundError("There is no whole model.", where=str(models), fix="make demo, or dxai release RUN --to …")
    with whole_folder(folder) as work:
        make_keys(work / "keys")
        ring = KeyRing(work / "keys")
        catalog = Catalog.make(work / "catalog", ring)
        for bundle in bundles:
            catalog.add(bundle, ring)
        build_catalog_site(catalog, work / "site", wasm=wasm, url=str(folder / "catalog"))
    return [bundle.manifest.name for bundle in bundles]


def main() -> None:
    """Publish, and say what and where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="default: %(default)s")
    parser.add_argument("--no-wasm", action="store_true", help="without predictions inside the browser")
    asked = parser.parse_args()
    try:
        names = publish(find_checkout() / "models", asked.folder, wasm=not asked.no_wasm)
    except DxaiError as error:
        print(f"dxai: {error.message()}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    console.print(f"{', '.join(names)} in {asked.folder}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
