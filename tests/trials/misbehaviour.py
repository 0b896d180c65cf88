"""Ways in which a web server answers wrongly, for `tests.trials.flaky_server`."""

from __future__ import annotations

import gzip
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.trials.web import Request

Way = Callable[[Request, bytes, int, Random], None]


class Misbehaviour:
    """Chooses by chance which requests are answered wrongly, and how.

    Args:
        random: Chooses.
        elsewhere: Address of a catalog of somebody else.

    Attributes:
        met: How often which way was taken.
    """

    def __init__(self, random: Random, elsewhere: str) -> None:
        self.random, self.elsewhere, self.share = random, elsewhere, 0.0
        self.met, self._round = Counter[str](), list[str]()

    def begin(self, share: float) -> None:
        """Answer this share of the requests wrongly."""
        self.share = share
        self._round.clear()

    def end(self) -> None:
        """Be honest."""
        self.share = 0

    def told(self) -> str:
        """What was done since `begin`."""
        return ", ".join(self._round) or "no trouble"

    def __call__(self, request: Request, content: bytes, start: int) -> bool:
        """Answer a request wrongly, or leave it to the server."""
        if self.random.random() >= self.share:
            return False
        way = self.random.choice((*WAYS, self.redirects_elsewhere))
        self.met[way.__name__] += 1
        self._round.append(f"{way.__name__} {request.path.rpartition('/')[2][-30:]}")
        way(request, content, start, self.random)
        return True

    def redirects_elsewhere(self, request: Request, content: bytes, start: int, random: Random) -> None:
        """To a catalog of somebody else."""
        _answer(request, 302, b"", {"Location": self.elsewhere + request.path})


def _answer(request: Request, status: int, body: bytes, headers: dict[str, str], *, length: int | None = None) -> None:
    """Send and hang up."""
    request.close_connection = True
    request.head(status, len(body) if length is None else length, headers)
    request.send(body)


def _right(content: bytes, start: int) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers that would be right."""
    if not start:
        return 200, content, {}
    return 206, content[start:], {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}


# The connection


def cut(request: Request, content: bytes, start: int, random: Random) -> None:
    status, body, headers = _right(content, start)
    _answer(request, status, body[: random.randrange(len(body) + 1)], headers, length=len(body))


def reset(request: Request, content: bytes, start: int, random: Random) -> None:
    cut(request, content, start, random)
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()


def hang_up(request: Request, content: bytes, start: int, random: Random) -> None:
    request.close_connection = True


def stall(request: Request, content: bytes, start: int, random: Random) -> None:
    status, body, headers = _right(content, start)
    request.head(status, len(body), headers)
    middle = random.randrange(len(body) + 1)
    request.send(body[:middle])
    time.sleep(random.random() * 0.1)
    request.send(body[middle:])


def garbage(request: Request, content: bytes, start: int, random: Random) -> None:
    request.close_connection = True
    request.wfile.write(
        random.choice((b"\0" * 100, b"HTTP/9.9 999\r\n\r\n", b"220 smtp ready\r\n", random.randbytes(300)))
    )


# Ranges


def ignores_range(request: Request, content: bytes, start: int, random: Random) -> None:
    _answer(request, 200, content, {})


def other_range(request: Request, content: bytes, start: int, random: Random) -> None:
    at = random.randrange(len(content) + 1)
    _answer(request, *_right(content, at)[:2], {"Content-Range": f"bytes {at}-{len(content) - 1}/{len(content)}"})


def range_lie(request: Request, content: bytes, start: int, random: Random) -> None:
    """The range that was asked for in the header, other bytes in the body."""
    at = random.randrange(len(content) + 1)
    _answer(request, 206, content[at:], {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"})


def odd_range(request: Request, content: bytes, start: int, random: Random) -> None:
    told = (
        "bytes */5",
        "bytes -1-2/3",
        "bytes 0-0/*",
        "lines 1-2/3",
        "",
        "bytes 99999999999999999999-/",
        "bytes \u00b2-3/4",
    )
    _answer(request, 206, content[start:], {"Content-Range": random.choice(told)})


def without_range(request: Request, content: bytes, start: int, random: Random) -> None:
    _answer(request, 206, content[start:], {})


def many_ranges(request: Request, content: bytes, start: int, random: Random) -> None:
    body = b"--x\r\nContent-Range: bytes 0-1/2\r\n\r\n" + content[start:] + b"\r\n--x--\r\n"
    _answer(request, 206, body, {"Content-Type": "multipart/byteranges; boundary=x"})


def past_the_end(request: Request, content: bytes, start: int, random: Random) -> None:
    _answer(request, 416, b"", {"Content-Range": f"bytes */{len(content)}"})


# Lengths


def promises_more(request: Request, content: bytes, start: int, random: Random) -> None:
    status, body, headers = _right(content, start)
    _answer(request, status, body, headers, length=len(body) + random.randrange(1, 10_000))


def promises_less(request: Request, content: bytes, start: int, random: Random) -> None:
    status, body, headers = _right(content, start)
    _answer(request, status, body, headers, length=random.randrange(len(body) + 1))


def sends_more(request: Request, content: bytes, start: int, random: Random) -> None:
    status, body, headers = _right(content, start)
    _answer(request, status, body + random.randbytes(random.randrange(1, 100_000)), headers)


def no_length(request: Request, content: bytes, start: int, random: Random) -> None:
    """A body that ends with the connection, perhaps too early."""
    status, body, headers = _right(content, start)
    request.close_connection = True
    request.head(status, None, headers)
    request.send(body[: random.randrange(len(body) + 1)] if random.random() < 0.5 else body)


def odd_length(request: Request, content: bytes, start: int, random: Random) -> None:
    status, body, headers = _right(content, start)
    request.close_connection = True
    told = random.choice(("-1", "x", "1e9", "9" * 30, "5, 6", ""))
    request.head(status, None, {**headers, "Content-Length": told})
    request.send(body)


def broken_chunks(request: Request, content: bytes, start: int, random: Random) -> None:
    status, body, headers = _right(content, start)
    request.close_connection = True
    request.head(status, None, {**headers, "Transfer-Encoding": "chunked"})
    middle = random.randrange(len(body) + 1)
    request.send(b"%x\r\n" % max(1, middle) + body[:middle] + b"\r\n")
    request.send(
        random.choice((b"", b"zz\r\n", b"-5\r\n", b"%x\r\n" % (len(body) + 9) + body[middle:], b"ffffffffffffffff\r\n"))
    )


# Contents


def other_file(request: Request, content: bytes, start: int, random: Random) -> None:
    """The same length, with an ETag that changes."""
    changed = bytes(byte ^ 1 for byte in content[start : start + 5_000]) + content[start + 5_000 :]
    status, _, headers = _right(content, start)
    _answer(request, status, changed, {**headers, "ETag": f'"{random.random()}"'})


def a_page(request: Request, content: bytes, start: int, random: Random) -> None:
    """What a hotel's network answers to everything."""
    _answer(request, 200, b"<html><title>Please log in</title></html>", {"Content-Type": "text/html"})


def compressed(request: Request, content: bytes, start: int, random: Random) -> None:
    status, body, headers = _right(content, start)
    _answer(
        request,
        status,
        gzip.compress(body, 1),
        {**headers, "Content-Encoding": random.choice(("gzip", "deflate", "br"))},
    )


def nothing(request: Request, content: bytes, start: int, random: Random) -> None:
    _answer(request, random.choice((200, 204, 206)), b"", {})


# Refusals


def refuses(request: Request, content: bytes, start: int, random: Random) -> None:
    status = random.choice((400, 401, 403, 404, 408, 410, 425, 429, 500, 502, 503, 504, 599, 999))
    _answer(request, status, b"sorry", {"Retry-After": random.choice(("0", "1", "86400", "soon"))})


def redirects(request: Request, content: bytes, start: int, random: Random) -> None:
    places = (
        request.path,
        "/",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "gopher://x",
        "",
        "//",
        "http://[",
        "\u00e9",
    )
    _answer(request, random.choice((301, 302, 303, 304, 307, 308)), b"", {"Location": random.choice(places)})


def long_headers(request: Request, content: bytes, start: int, random: Random) -> None:
    status, body, headers = _right(content, start)
    many = {f"X-{number}": "x" * 10 for number in range(random.choice((50, 150)))}
    _answer(request, status, body, {**headers, **many, "X": "x" * random.choice((10, 100_000))})


WAYS: tuple[Way, ...] = (
    cut, cut, reset, hang_up, stall, garbage, ignores_range, other_range, range_lie, odd_range, without_range,
    many_ranges, past_the_end, promises_more, promises_less, sends_more, no_length, odd_length, broken_chunks,
    other_file, a_page, compressed, nothing, refuses, redirects, long_headers,
)  # fmt: skip
