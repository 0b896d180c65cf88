"""The catalog: a static folder of signed bundles, its keys, its page, and the way from it to a firm.

A catalog's keys are files. securesystemslib, below tuf, also knows keys that lie with a cloud service or in a device,
and imports whatever library of those an environment has; boto3 opens a socket at that. It finds none here.
"""

from __future__ import annotations

import sys

_FOREIGN = ("azure", "boto3", "google.cloud", "hvac", "keylet", "pkcs11")
_loaded = {name: sys.modules[name] for name in _FOREIGN if name in sys.modules}
sys.modules.update(dict.fromkeys(_FOREIGN))  # type: ignore[arg-type]  # None: as if it were not installed
try:
    import securesystemslib.signer  # noqa: F401
finally:
    for _name in _FOREIGN:
        del sys.modules[_name]
    sys.modules.update(_loaded)
