"""The trust root: the TUF root metadata of a catalog, which also names the keys that sign its bundles.

A wheel carries one as ``dxai/catalog/root.json``; every catalog may bring its own (``--root``).
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root

from dxai.bundle.signing import Keys, fingerprint, parse_public_key
from dxai.errors import TrustError

ROOT = "root.json"
BUNDLE_KEYS = "x-dxai-bundle-keys"
"""Field of the root metadata: PEM texts of the public keys that may sign bundles."""


def parse_root(content: bytes, *, where: str) -> Metadata[Root]:
    """Root metadata that carries the signatures it asks for.

    Raises:
        TrustError: It is none.
    """
    try:
        root = Metadata[Root].from_bytes(content)
        root.verify_delegate(Root.type, root)
    except (RepositoryError, ValueError, KeyError, TypeError, AttributeError) as error:
        told = f"This is no trust root: {str(error).splitlines()[0][:200]}."
        fix = "Name the root.json that `dxai keys init` made for the catalog."
        raise TrustError(told, where=where, fix=fix) from None
    return root


def bundle_keys(root: Root, *, where: str) -> Keys:
    """The keys that may sign bundles, by fingerprint."""
    texts: Any = root.unrecognized_fields.get(BUNDLE_KEYS, [])
    keys = [parse_public_key(str(text).encode(), where=where) for text in texts]
    return {fingerprint(key): key for key in keys}


def trusted_root(folder: Path) -> bytes | None:
    """The root that a catalog's folder in the store trusts; TUF's own link is away for a moment at every refresh."""
    own = folder / ROOT
    file = own if own.is_file() else folder / "metadata" / ROOT  # the latter before the first refresh has ended
    return file.read_bytes() if file.is_file() else None


def shipped_root() -> bytes | None:
    """The trust root that came with this installation; None where the builder of the wheel put none in."""
    file = resources.files("dxai.catalog") / ROOT
    return file.read_bytes() if file.is_file() else None
