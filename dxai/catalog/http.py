"""urllib3 without its probe: at its import it opens a socket to see whether there is IPv6, and `--offline` opens none.

Import this before anything that imports urllib3, tuf's client among them.
"""

from __future__ import annotations

import socket

_has_ipv6, socket.has_ipv6 = socket.has_ipv6, False
import urllib3  # noqa: E402
from urllib3.util import connection  # noqa: E402

socket.has_ipv6 = connection.HAS_IPV6 = _has_ipv6

__all__ = ["urllib3"]
