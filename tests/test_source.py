"""A catalog's files come from a folder or a web server, whole or not at all, whatever the server does in between."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dxai.catalog.source import FolderSource, WebSource, download, open_source
from dxai.errors import IntegrityError, NotFoundError, SettingsError

CONTENT = bytes(i * 7 % 251 for i in range(1_000_003))
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Answer = Callable[["Request"], None]


@dataclass
class Server:
    """A web server whose every answer a test writes.

    Attributes:
        seen: Path and range of every request.
    """

    url: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def start(self) -> int:
        """First byte that is asked for."""
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def ranges(request: Request) -> None:
    """A good server: nothing behind the end is a range that cannot be satisfied (RFC 9110, 14.4)."""
    if request.start >= len(CONTENT):
        request.answer(416, b"", Content_Range=f"bytes */{len(CONTENT)}")
    elif request.start:
        shown = f"bytes {request.start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        request.answer(206, CONTENT[request.start :], Content_Range=shown)
    else:
        request.answer(200, CONTENT)


@contextmanager
def serving(*answers: Answer) -> Iterator[Server]:
    """One answer per request, the last one for all that follow."""
    server, left = Server(), list(answers)

    class Handler(Request):
        def do_GET(self) -> None:
            server.seen.append((self.path, self.headers.get("Range", "")))
            (left.pop(0) if len(left) > 1 else left[0])(self)

    real = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{real.server_port}/catalog"
    thread = threading.Thread(target=real.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        real.shutdown()
        thread.join()
        real.server_close()


def fetch(place: str, part: Path, path: str = "targets/a/b.onnx") -> int:
    """Download the content; returns how many bytes were told."""
    told: list[int] = []
    download(open_source(place), path, part, size=len(CONTENT), sha256=SHA256, on_bytes=told.append)
    assert part.read_bytes() == CONTENT
    return sum(told)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "catalog/metadata").mkdir(parents=True)
    (tmp_path / "catalog/targets/a").mkdir(parents=True)
    (tmp_path / "catalog/targets/a/b.onnx").write_bytes(CONTENT)
    return tmp_path / "catalog"


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/", "file://localhost{}"])
def test_folder_is_read_by_path_or_file_url(folder: Path, tmp_path: Path, form: str) -> None:
    spaced = folder.rename(tmp_path / "한글 folder%20#?")
    named = spaced.as_uri().removeprefix("file://") if form.startswith("file") else str(spaced)
    source = open_source(form.format(named))
    assert isinstance(source, FolderSource)
    assert source.place == str(spaced)
    assert fetch(form.format(named), tmp_path / "part") == len(CONTENT)


def test_folder_goes_on_where_an_earlier_try_ended(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT[:700_001])
    source, starts = FolderSource(folder), []
    read = source.read
    source.read = lambda path, start: starts.append(start) or read(path, start)  # type: ignore[method-assign, func-returns-value]
    told: list[int] = []
    download(source, "targets/a/b.onnx", tmp_path / "part", size=len(CONTENT), sha256=SHA256, on_bytes=told.append)
    assert starts == [700_001]
    assert told[0] == 700_001
    assert sum(told) == len(CONTENT)
    assert (tmp_path / "part").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "path", ["../secret", "targets/../../secret", "/etc/hostname", "targets/out", "targets/a/../../../secret"]
)
def test_path_that_leads_out_of_the_folder_is_refused(folder: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    (folder / "targets/out").symlink_to(tmp_path / "secret")
    with pytest.raises(IntegrityError, match="leads out of the catalog") as caught:
        fetch(str(folder), tmp_path / "part", path)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("url", ["..%2f..%2fsecret", "../../secret", "%2e%2e/%2e%2e/secret"])
def test_metadata_url_that_leads_out_of_the_folder_reads_nothing(folder: Path, tmp_path: Path, url: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    source = FolderSource(folder)
    with pytest.raises(Exception, match=r"leads out|no such file"):
        source.fetcher.download_bytes(source.url(f"metadata/{url}"), 100)


@pytest.mark.parametrize("place", ["ftp://x.example/c", "s3://bucket/c", "ssh://h/c"])
def test_other_schemes_are_told(place: str) -> None:
    with pytest.raises(SettingsError, match="not read by") as caught:
        open_source(place)
    assert caught.value.where == place


def test_folder_without_a_catalog_is_told(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotFoundError, match="no catalog here"):
            open_source(str(place))


@pytest.mark.process
def test_good_server_is_asked_once(tmp_path: Path) -> None:
    with serving(ranges) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)
    assert server.seen == [("/catalog/targets/a/b.onnx", "")]
    source = open_source("https://x.example/c/")
    assert isinstance(source, WebSource)
    assert (source.place, source.url("metadata/")) == ("https://x.example/c", "https://x.example/c/metadata/")


@pytest.mark.process
def test_download_goes_on_where_an_earlier_try_ended(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT[:600_000])
    with serving(ranges) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)
    assert server.seen == [("/catalog/targets/a/b.onnx", "bytes=600000-")]


@pytest.mark.process
def test_whole_file_that_is_there_already_is_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT)
    with serving(ranges) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)
        assert server.seen == []


@pytest.mark.process
@pytest.mark.parametrize(
    "left", [CONTENT + b"more", b"x" * 500_000, CONTENT[:-1] + b"x", b"x"], ids=["long", "other", "end", "byte"]
)
def test_part_of_something_else_is_started_again(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "part").write_bytes(left)
    with serving(ranges) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)
        assert server.seen[-1] == ("/catalog/targets/a/b.onnx", "")


@pytest.mark.process
def test_server_without_ranges_is_skipped_through(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT[:600_000])
    with serving(lambda request: request.answer(200, CONTENT)) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)
    assert len(server.seen) == 1


def cut(request: Request) -> None:
    """Announce everything, send the next 150,000 bytes."""
    body = CONTENT[request.start : request.start + 150_000]
    if request.start:
        shown = f"bytes {request.start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        request.answer(206, body, len(CONTENT) - request.start, Content_Range=shown)
    else:
        request.answer(200, body, len(CONTENT))


@pytest.mark.process
def test_connection_that_breaks_again_and_again_comes_to_the_end(tmp_path: Path) -> None:
    with serving(cut) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)
    assert [seen for _, seen in server.seen] == ["", *(f"bytes={150_000 * i}-" for i in range(1, 7))]


@pytest.mark.process
@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_server_that_is_busy_for_a_moment_is_asked_again(tmp_path: Path, status: int) -> None:
    with serving(lambda request: request.answer(status, b"busy"), ranges) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)
    assert len(server.seen) == 2


def lying_range(request: Request) -> None:
    """Another part than the one that was asked for."""
    start = min(request.start + 1000, len(CONTENT))
    request.answer(206, CONTENT[start:], Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")


def early_range(request: Request) -> None:
    """An earlier part, and it says so."""
    start = max(request.start - 1000, 0)
    request.answer(206, CONTENT[start:], Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")


def silent_range(request: Request) -> None:
    request.answer(206, CONTENT[request.start :])


@pytest.mark.process
@pytest.mark.parametrize("answer", [lying_range, early_range, silent_range])
def test_other_part_than_asked_for_is_never_put_in(tmp_path: Path, answer: Answer) -> None:
    (tmp_path / "part").write_bytes(CONTENT[:600_000])
    with serving(answer, answer, ranges) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)


@pytest.mark.process
def test_server_that_packs_all_the_same_is_found_out(tmp_path: Path) -> None:
    """Against what was asked for: the bytes are compared, packed or not."""
    packed = gzip.compress(CONTENT)
    with (
        serving(lambda request: request.answer(200, packed, Content_Encoding="gzip")) as server,
        pytest.raises((IntegrityError, NotFoundError)),
    ):
        fetch(server.url, tmp_path / "part")


@pytest.mark.process
def test_longer_file_is_cut_off_and_compared(tmp_path: Path) -> None:
    with serving(lambda request: request.answer(200, CONTENT + b"x" * 5_000_000)) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)


@pytest.mark.process
@pytest.mark.parametrize("body", [b"x" * len(CONTENT), CONTENT[:-5], b""], ids=["other", "short", "empty"])
def test_other_file_than_announced_is_refused_after_a_few_tries(tmp_path: Path, body: bytes) -> None:
    def answer(request: Request) -> None:
        if request.start:
            shown = f"bytes {request.start}-{max(len(body), request.start) - 1}/{len(body)}"
            request.answer(206, body[request.start :], Content_Range=shown)
        else:
            request.answer(200, body)

    with serving(answer) as server, pytest.raises(IntegrityError, match="is not the file") as caught:
        fetch(server.url, tmp_path / "part", "targets/a/0123.model.onnx")
    assert caught.value.exit_code == 4
    assert "model.onnx" in caught.value.problem and "0123" not in caught.value.problem
    assert caught.value.where == f"{server.url}/targets/a/0123.model.onnx"
    assert len(server.seen) < 12
    assert (tmp_path / "part").stat().st_size == 0, "what is wrong is not kept for the next time"


@pytest.mark.process
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_file_that_is_not_there_is_told_at_once(tmp_path: Path, status: int) -> None:
    with serving(lambda request: request.answer(status, b"")) as server, pytest.raises(NotFoundError) as caught:
        fetch(server.url, tmp_path / "part")
    assert caught.value.exit_code == 3
    assert f"the server answers {status}" in caught.value.problem
    assert len(server.seen) == 1


@pytest.mark.process
def test_server_that_stays_broken_is_given_up_and_what_came_is_kept(tmp_path: Path) -> None:
    with serving(cut, lambda request: request.answer(500, b"")) as server, pytest.raises(NotFoundError) as caught:
        fetch(server.url, tmp_path / "part")
    assert "goes on where it ended" in caught.value.fix
    assert 2 < len(server.seen) < 10
    assert (tmp_path / "part").read_bytes() == CONTENT[:150_000]


@pytest.mark.process
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_moved_file_is_followed(tmp_path: Path, status: int) -> None:
    """As TUF's own reader follows for metadata: servers move paths, and http to https."""

    def moved(request: Request) -> None:
        if request.path.startswith("/catalog/"):
            request.answer(status, b"", Location="/elsewhere/b.onnx")
        else:
            ranges(request)

    (tmp_path / "part").write_bytes(CONTENT[:600_000])
    with serving(moved) as server:
        assert fetch(server.url, tmp_path / "part") == len(CONTENT)
    assert server.seen[-1] == ("/elsewhere/b.onnx", "bytes=600000-")


@pytest.mark.process
def test_server_that_moves_in_a_circle_is_told(tmp_path: Path) -> None:
    with (
        serving(lambda request: request.answer(302, b"", Location=request.path)) as server,
        pytest.raises(NotFoundError),
    ):
        fetch(server.url, tmp_path / "part")


@pytest.mark.process
@pytest.mark.parametrize("direct", [False, True])
def test_proxy_of_the_environment_is_used_unless_it_is_not_for_this_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving(ranges) as proxy, serving(ranges) as server:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/catalog"))
        if direct:
            monkeypatch.setenv("no_proxy", "127.0.0.1")
        fetch(server.url, tmp_path / "part")
    assert [path for path, _ in proxy.seen] == ([] if direct else [f"{server.url}/targets/a/b.onnx"])
    assert [path for path, _ in server.seen] == (["/catalog/targets/a/b.onnx"] if direct else [])


@pytest.mark.process
def test_interrupt_keeps_what_came(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if (tmp_path / "part").stat().st_size > 400_000:
            raise KeyboardInterrupt

    with serving(ranges) as server:
        with pytest.raises(KeyboardInterrupt):
            download(open_source(server.url), "a", tmp_path / "part", size=len(CONTENT), sha256=SHA256, on_bytes=stop)
        assert 400_000 < (tmp_path / "part").stat().st_size < len(CONTENT)
        fetch(server.url, tmp_path / "part")
    assert server.seen[-1][1].startswith("bytes=")
