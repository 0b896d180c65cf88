"""A data package: packed twice it is the same, changed by one byte it is refused, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from dxai.cli.main import cli
from dxai.contract import Column, Contract, load_contract
from dxai.data.package import CONTRACT, CROISSANT, POLICY, SUMS, TABLE, open_package
from dxai.errors import DataError, IntegrityError, NotFoundError, SettingsError
from dxai.intake.pack import pack

CONTRACTS = sorted((Path(__file__).parents[1] / "contracts").glob("*.yaml"), key=lambda path: path.name)
CONCRETE = next(path for path in CONTRACTS if path.stem == "concrete_strength")
POLICY_TERMS = {"contractType": "platform", "provider": "Plant A", "recipients": "members of the alliance"}
DAY = date(2026, 11, 23)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = data_folder(tmp_path / "concrete", CONCRETE, usagePolicy=POLICY_TERMS)
    (made / "mapping.yaml").write_text("columns: {}  # our own headers", "utf-8")
    (made / "table-conversion.json").write_text("{}", "utf-8")
    return made


@pytest.fixture
def package(folder: Path) -> Path:
    return pack(folder, published=DAY)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def data_folder(folder: Path, contract: Path, **said: object) -> Path:
    folder.mkdir()
    odcs = yaml.safe_load(contract.read_text("utf-8"))
    odcs["customProperties"] += [{"property": name, "value": value} for name, value in said.items()]
    (folder / CONTRACT).write_text(yaml.safe_dump(odcs, allow_unicode=True), "utf-8")
    tiny_table(load_contract(folder / CONTRACT)).write_parquet(folder / TABLE)
    return folder


def tiny_table(contract: Contract, rows: int = 5) -> pl.DataFrame:
    return pl.DataFrame({c.name: [value(c, row) for row in range(rows)] for c in contract.columns})


def value(column: Column, row: int) -> object:
    if column.kind == "number":
        return min((column.minimum or 0.0) + row, float("inf") if column.maximum is None else column.maximum)
    if column.kind == "category":
        return column.categories[row % len(column.categories)] if column.categories else f"부품 {row}"
    return date(2020, 1, 31) + timedelta(days=row)


# --- packing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda path: path.stem)
def test_every_contract_packs_with_a_table_that_keeps_it(contract: Path, tmp_path: Path, cache: Path) -> None:
    folder = data_folder(tmp_path / "data", contract, licence="CC-BY-4.0")
    opened = open_package(pack(folder), cache)
    assert load_contract(opened / CONTRACT) == load_contract(folder / CONTRACT)
    assert pl.read_parquet(opened / TABLE).equals(pl.read_parquet(folder / TABLE))
    assert not (opened / POLICY).exists()


def test_package_holds_its_members_and_nothing_of_the_firm(package: Path) -> None:
    assert package.name == "concrete-strength-1.0.0.zip"
    with zipfile.ZipFile(package) as archive:
        assert archive.namelist() == sorted([CONTRACT, TABLE, CROISSANT, POLICY, SUMS])


def test_packing_again_gives_the_same_bytes(folder: Path, package: Path, tmp_path: Path) -> None:
    os.utime(folder / TABLE, (0, 0))
    again = pack(shutil.copytree(folder, tmp_path / "elsewhere"), tmp_path / "again.zip", published=DAY)
    assert again.read_bytes() == package.read_bytes()


def test_day_of_publication_is_that_of_the_table_when_none_is_given(folder: Path) -> None:
    os.utime(folder / TABLE, (0, 0))
    with zipfile.ZipFile(pack(folder)) as archive:
        assert b'"datePublished": "1970-01-01"' in archive.read(CROISSANT)


@pytest.mark.process
@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
def test_sha256sum_accepts_the_checksums(package: Path, cache: Path) -> None:
    opened = open_package(package, cache)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", SUMS], cwd=opened, capture_output=True, text=True, check=True
    )
    assert done.stdout.count(": OK") == len(list(opened.iterdir())) - 1


def without_policy(folder: Path) -> None:
    shutil.copy(CONCRETE, folder / CONTRACT)


def with_values_out_of_range(folder: Path) -> None:
    table = pl.read_parquet(folder / TABLE)
    table.with_columns(cement=pl.lit(9999.0)).write_parquet(folder / TABLE)


def with_another_column(folder: Path) -> None:
    table = pl.read_parquet(folder / TABLE)
    table.with_columns(customer=pl.lit("Kim")).write_parquet(folder / TABLE)


def without_a_column(folder: Path) -> None:
    pl.read_parquet(folder / TABLE).drop("cement").write_parquet(folder / TABLE)


def as_csv(folder: Path) -> None:
    pl.read_parquet(folder / TABLE).write_csv(folder / TABLE)


def with_a_path_for_an_id(folder: Path) -> None:
    text = (folder / CONTRACT).read_text("utf-8")
    (folder / CONTRACT).write_text(text.replace("id: concrete-strength", "id: ../../concrete"), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (without_policy, "neither a usagePolicy nor a licence"),
        (with_values_out_of_range, "cement"),
        (with_another_column, "customer"),
        (without_a_column, "cement"),
        (as_csv, "no Parquet"),
        (with_a_path_for_an_id, "../../concrete"),
    ],
)
def test_folder_that_must_not_be_shared_is_refused(folder: Path, spoil: Callable[[Path], None], told: str) -> None:
    spoil(folder)
    before = files_under(folder.parent)
    with pytest.raises(DataError, match=told):
        pack(folder)
    assert files_under(folder.parent) == before


def test_output_must_be_a_zip_file_in_a_folder_that_is_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="zip"):
        pack(folder, tmp_path / "package.tar")
    with pytest.raises(NotFoundError, match="mkdir -p"):
        pack(folder, tmp_path / "nowhere" / "package.zip")


def test_package_that_cannot_be_finished_leaves_the_earlier_one(folder: Path, package: Path) -> None:
    earlier = package.read_bytes()

    def stop(blocks: Iterable[pl.DataFrame]) -> Iterable[pl.DataFrame]:
        yield from blocks
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(folder, watch=stop)
    assert package.read_bytes() == earlier


# --- opening ----------------------------------------------------------------------------------------------------------

Members = list[tuple[zipfile.ZipInfo, bytes]]


def rewritten(package: Path, change: Callable[[Members], object], target: Path) -> Path:
    """The package with its members changed and all checksums of the zip format right."""
    with zipfile.ZipFile(package) as archive:
        members = [(entry, archive.read(entry)) for entry in archive.infolist()]
    change(members)
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w") as archive:
        warnings.simplefilter("ignore")  # a name twice
        for entry, content in members:
            archive.writestr(entry, content, entry.compress_type)
    return target


def member(members: Members, name: str) -> int:
    return [entry.filename for entry, _ in members].index(name)


def change_byte(members: Members) -> None:
    at = member(members, TABLE)
    entry, content = members[at]
    members[at] = entry, content[:100] + bytes([content[100] ^ 1]) + content[101:]


def swap_members(members: Members) -> None:
    one, other = member(members, CROISSANT), member(members, POLICY)
    members[one], members[other] = (members[one][0], members[other][1]), (members[other][0], members[one][1])


def drop(name: str) -> Callable[[Members], object]:
    return lambda members: members.pop(member(members, name))


def add(name: str, content: bytes = b"x") -> Callable[[Members], object]:
    return lambda members: members.append((zipfile.ZipInfo(name), content))


def link(members: Members) -> None:
    members[member(members, TABLE)][0].external_attr = 0o120777 << 16


def compress(members: Members) -> None:
    at = member(members, TABLE)
    members[at] = members[at][0], bytes(100 << 20)
    members[at][0].compress_type = zipfile.ZIP_DEFLATED


def spoil_sums(members: Members) -> None:
    at = member(members, SUMS)
    members[at] = members[at][0], members[at][1] + b"0" * 64 + b"  ../../passwords\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(change_byte, f"{TABLE} is not the file", id="a byte"),
        pytest.param(swap_members, "is not the file", id="members swapped"),
        pytest.param(drop(TABLE), f"lacks {TABLE}", id="no table"),
        pytest.param(drop(SUMS), f"lacks {SUMS}", id="no checksums"),
        pytest.param(drop(POLICY), "does not list the files", id="no policy"),
        pytest.param(add("notes.txt"), "notes.txt", id="a member more"),
        pytest.param(add("../x"), "../x", id="a path upwards"),
        pytest.param(add("/tmp/x"), "/tmp/x", id="an absolute path"),
        pytest.param(add("folder/"), "folder/", id="a folder"),
        pytest.param(add(TABLE), TABLE, id="a member twice"),
        pytest.param(link, TABLE, id="a link"),
        pytest.param(compress, TABLE, id="a zip bomb"),
        pytest.param(spoil_sums, "does not list the files", id="other checksums"),
    ],
)
def test_changed_package_is_refused_and_nothing_is_unpacked(
    package: Path, tmp_path: Path, cache: Path, change: Callable[[Members], object], told: str
) -> None:
    refused(rewritten(package, change, tmp_path / "changed.zip"), cache, told)


def test_sizes_that_are_not_true_are_refused(package: Path, tmp_path: Path, cache: Path) -> None:
    content = package.read_bytes()
    with zipfile.ZipFile(package) as archive:
        size = archive.getinfo(TABLE).file_size.to_bytes(4, "little")
    lying = tmp_path / "lying.zip"
    lying.write_bytes(content.replace(size * 2, (1 << 31).to_bytes(4, "little") * 2))
    refused(lying, cache, "more bytes than it has")


def test_encrypted_package_is_refused(package: Path, tmp_path: Path, cache: Path) -> None:
    content = bytearray(package.read_bytes())
    content[content.rindex(b"PK\1\2") + 8] |= 1
    encrypted = tmp_path / "encrypted.zip"
    encrypted.write_bytes(content)
    refused(encrypted, cache, "what no package holds")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.999])
def test_truncated_package_is_refused(package: Path, tmp_path: Path, cache: Path, kept: float) -> None:
    content = package.read_bytes()
    torn = tmp_path / "torn.zip"
    torn.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    refused(torn, cache, "cannot be read")


def test_whatever_byte_is_changed_the_files_are_the_same_or_refused(package: Path, tmp_path: Path, cache: Path) -> None:
    content, good = package.read_bytes(), files_under(open_package(package, cache))
    outcomes = set()
    for at in range(0, len(content), 29):
        spoilt = tmp_path / "spoilt.zip"
        spoilt.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            opened = open_package(spoilt, tmp_path / "spoilt")
        except IntegrityError:
            outcomes.add("refused")
        else:
            assert files_under(opened) == good
            outcomes.add("same")
    assert outcomes == {"refused", "same"}  # a date in the zip format is nobody's data


def test_package_is_unpacked_once_and_held_against_its_checksums_each_time(package: Path, cache: Path) -> None:
    opened = open_package(package, cache)
    before = opened.stat().st_ino
    assert open_package(package, cache) == opened
    assert opened.stat().st_ino == before
    (opened / TABLE).write_bytes(b"other")
    with pytest.raises(IntegrityError, match=TABLE):
        open_package(package, cache)


def test_data_folder_and_its_table_are_taken_as_they_are(folder: Path, cache: Path) -> None:
    assert open_package(folder, cache) == open_package(folder / TABLE, cache) == folder
    assert not cache.exists()


def test_unpacked_package_with_another_table_is_refused_until_its_checksums_are_deleted(
    package: Path, tmp_path: Path, cache: Path
) -> None:
    folder = shutil.copytree(open_package(package, cache), tmp_path / "mine")
    pl.read_parquet(folder / TABLE).head(2).write_parquet(folder / TABLE)
    with pytest.raises(IntegrityError, match=f"delete {SUMS}"):
        open_package(folder, cache)
    (folder / SUMS).unlink()
    assert open_package(folder, cache) == folder


def test_package_that_many_open_at_once_is_unpacked_by_one(package: Path, cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: open_package(package, cache), range(8)))
    assert len(set(opened)) == 1
    assert {path.name for path in cache.iterdir()} == {opened[0].name, ".lock"}


def test_what_is_not_there_is_told_with_the_command_that_makes_it(folder: Path, tmp_path: Path, cache: Path) -> None:
    (folder / TABLE).unlink()
    with pytest.raises(NotFoundError, match="dxai data convert"):
        open_package(folder, cache)
    with pytest.raises(NotFoundError, match="no folder"):
        pack(folder / "nowhere")
    (folder / CONTRACT).unlink()
    with pytest.raises(NotFoundError, match="dxai data init"):
        open_package(folder, cache)
    for name, told in (("nothing.zip", "There is no"), ("rows.csv", "no data package")):
        (tmp_path / "rows.csv").write_text("a,b\n", "utf-8")
        with pytest.raises(NotFoundError, match=told):
            open_package(tmp_path / name, cache)


def refused(package: Path, cache: Path, told: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        open_package(package, cache)
    assert told in caught.value.problem
    assert len(caught.value.message()) < 600
    assert len(caught.value.message().splitlines()) == 3
    assert {path.name for path in cache.glob("*")} <= {".lock"}


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- the command ------------------------------------------------------------------------------------------------------


def dxai(*words: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, words)))


def test_command_packs_beside_the_folder_and_lists_what_it_packed_and_left(folder: Path, cache: Path) -> None:
    done = dxai("data", "pack", folder, "--published", "2026-11-23")
    assert done.exit_code == 0, done.output
    place = folder.parent / "concrete-strength-1.0.0.zip"
    assert f"packed {place}" in done.output
    assert f"{(folder / TABLE).stat().st_size:,} bytes" in done.output
    assert "left out: mapping.yaml, table-conversion.json" in done.output
    assert (open_package(place, cache) / TABLE).read_bytes() == (folder / TABLE).read_bytes()


def test_command_refuses_with_the_errors_of_the_others(folder: Path) -> None:
    with_values_out_of_range(folder)
    assert isinstance(dxai("data", "pack", folder).exception, DataError)
    assert isinstance(dxai("data", "pack", folder / "nowhere").exception, NotFoundError)
