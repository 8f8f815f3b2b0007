"""The tar index against the standard library, on complete, truncated, damaged and hostile archives."""

import gzip
import io
import os
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qvl.pipeline.sources.tar_index import BLOCK, MAX_PAX_RECORDS, Member, TarIndex, _end_of_zeros, index_tar
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import tar_bytes

LAYOUTS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
FAULTS = {"not_a_tar", "damaged_tar", "truncated_tar"}
MEMBERS = [("a.jpg", b"x" * 700), ("a.txt", b""), ("b.jpg", b"y" * 512), ("b.txt", b"caption"), ("c.txt", b"z" * 1_025)]


def index(data: bytes) -> TarIndex:
    return index_tar(memoryview(data))


def by_tarfile(data: bytes) -> list[tuple[str, int, int, bool]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = [m for m in archive.getmembers() if not m.isdir()]
        return [(m.name, m.offset_data, m.size if m.isreg() else 0, m.isreg()) for m in found]


def as_tuples(found: TarIndex) -> list[tuple[str, int, int, bool]]:
    return [(m.name, m.offset, m.size, m.regular) for m in found.members]


NAMES = [
    "short.jpg",
    "d" * 90 + "/" + "n" * 60 + ".jpg",
    "目录/图片.jpg",
    "é" * 80 + ".txt",
    "with blank.jpg",
    "a.b.c.json",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_agree_with_tarfile(layout: str) -> None:
    names = [n for n in NAMES if layout != "ustar" or len(n.encode()) <= 155]
    data = tar_bytes([(name, name.encode()) for name in names], LAYOUTS[layout])
    assert as_tuples(index(data)) == by_tarfile(data)
    assert [m.name for m in index(data).members] == names
    assert index(data).fault is None


@pytest.mark.parametrize("layout", ["gnu", "pax"])
def test_very_long_names_are_read(layout: str) -> None:
    names = ["x" * 3_000 + ".jpg", "short.txt", "目" * 500 + "/图.png"]
    data = tar_bytes([(name, b"1") for name in names], LAYOUTS[layout])
    assert [m.name for m in index(data).members] == names
    assert as_tuples(index(data)) == by_tarfile(data)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_links_folders_and_devices_are_not_regular(layout: str) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=LAYOUTS[layout]) as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"member{kind.decode()}")
            info.type, info.linkname, info.size = kind, "/etc/passwd", 4_096
            archive.addfile(info)
        archive.addfile(_sized("end.txt", 3), io.BytesIO(b"end"))
    found = index(target.getvalue())
    assert as_tuples(found) == by_tarfile(target.getvalue())
    assert [m.name for m in found.members if m.regular] == ["end.txt"]
    assert "member5" not in [m.name for m in found.members]
    assert found.fault is None


def _sized(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def test_an_empty_archive_is_complete() -> None:
    assert index(tar_bytes([])) == TarIndex([], None)


def test_global_pax_headers_belong_to_no_member() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}) as archive:
        archive.addfile(_sized("a.txt", 1), io.BytesIO(b"a"))
    assert [m.name for m in index(target.getvalue()).members] == ["a.txt"]


@pytest.mark.parametrize("layout", LAYOUTS)
@given(st.data())
@example(None)
def test_a_truncated_archive_keeps_its_complete_members(layout: str, data: st.DataObject | None) -> None:
    archive = tar_bytes(MEMBERS, LAYOUTS[layout])
    whole = index(archive)
    end = whole.members[-1].offset + 1_536
    cut = data.draw(st.integers(0, end + BLOCK - 1)) if data is not None else end
    found = index(archive[:cut])
    before = [m for m in whole.members if m.offset + m.size <= cut]
    assert found.members == before
    assert found.fault in (FAULTS - {"damaged_tar"})
    assert (found.fault == "not_a_tar") <= (not before)


def test_a_truncation_between_two_members_is_a_fault() -> None:
    archive = tar_bytes(MEMBERS)
    boundary = index(archive).members[2].offset - BLOCK
    found = index(archive[:boundary])
    assert ([m.name for m in found.members], found.fault) == (["a.jpg", "a.txt"], "truncated_tar")


def test_one_block_of_zeros_ends_an_archive() -> None:
    archive = tar_bytes(MEMBERS)
    end = index(archive).members[-1].offset + 1_536
    assert index(archive[: end + BLOCK]).fault is None


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("end", [2 * BLOCK, None], ids=["bare ends", "padded ends"])
def test_concatenated_archives_are_read_to_the_last(layout: str, end: int | None) -> None:
    first, second = (tar_bytes([(f"{name}{n}", data) for n, data in MEMBERS], LAYOUTS[layout]) for name in "xy")
    if end is not None:
        first, second = (data.rstrip(b"\0") for data in (first, second))
        first, second = (data + bytes(-len(data) % BLOCK + end) for data in (first, second))
    found = index(first + second + first)
    assert [m.name for m in found.members] == [f"{name}{n}" for name in "xyx" for n, _ in MEMBERS]
    assert found.fault is None
    one = index(second).members[1]
    assert found.members[6] == one._replace(offset=one.offset + len(first))


def test_a_truncation_in_the_second_archive_is_a_fault() -> None:
    archive = tar_bytes(MEMBERS)
    found = index(archive + archive[:2_000])
    assert (len(found.members), found.fault) == (len(MEMBERS) + 1, "truncated_tar")


def test_an_extended_name_does_not_carry_over_to_the_next_archive() -> None:
    announced = pax(b"14 path=other\n")[: 2 * BLOCK]
    found = index(announced + bytes(2 * BLOCK) + tar_bytes(MEMBERS[:1]))
    assert ([m.name for m in found.members], found.fault) == (["a.jpg"], "damaged_tar")
    assert index(announced + bytes(2 * BLOCK)).fault == "damaged_tar"


@pytest.mark.parametrize("layout", LAYOUTS)
@given(at=st.integers(0, 40), length=st.integers(1, 16), tail=st.integers(0, 2))
def test_a_hole_in_the_file_is_never_the_end_of_the_archive(layout: str, at: int, length: int, tail: int) -> None:
    """Zeros over one or more headers: either every member is found, or there is a fault."""
    members = [(f"{n}.{kind}", b"x" * size) for n in range(8) for kind, size in (("jpg", 3_000), ("txt", 9))]
    archive = bytearray(tar_bytes(members, LAYOUTS[layout]))
    whole = index(bytes(archive)).members
    start, end = at * BLOCK, min((at + length) * BLOCK, whole[-1].offset)
    archive[start:end] = bytes(max(0, end - start))
    found = index(bytes(archive) + b"tail"[:tail])
    assert found.fault is not None or found.members == whole


def test_a_page_of_zeros_over_a_header_is_damage_and_what_follows_is_read() -> None:
    members = [(f"{n}.txt", b"x" * 512) for n in range(20)]
    archive = bytearray(tar_bytes(members))
    archive[4_096:8_192] = bytes(4_096)
    found = index(bytes(archive))
    assert [m.name for m in found.members] == [f"{n}.txt" for n in range(20) if not 4 <= n < 8]
    assert found.fault == "damaged_tar"


@pytest.mark.parametrize("junk", [b"x", b"junk" * 500])
def test_other_data_after_the_end_is_damage(junk: bytes) -> None:
    found = index(tar_bytes(MEMBERS) + junk)
    assert ([m.name for m in found.members], found.fault) == ([name for name, _ in MEMBERS], "damaged_tar")


def test_gigabytes_of_zeros_after_the_end_are_damage_and_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tar"
    path.write_bytes(tar_bytes(MEMBERS))
    os.truncate(path, 10 << 30)
    start = time.process_time()
    with Storage().mapped(str(path)) as data:
        found = index_tar(data)
    assert (len(found.members), found.fault) == (len(MEMBERS), "damaged_tar")
    assert time.process_time() - start < 1


@given(st.integers(0, BLOCK - 1), st.integers(1, 255), st.integers(0, 4))
def test_a_flipped_byte_in_a_header_is_damage(at: int, flip: int, number: int) -> None:
    archive = bytearray(tar_bytes(MEMBERS))
    member = index(bytes(archive)).members[number]
    archive[member.offset - BLOCK + at] ^= flip
    found = index(bytes(archive))
    harmless = 148 <= at < 156 and found.fault is None  # another spelling of the same checksum
    if not harmless:
        assert found.fault == ("damaged_tar" if number else "not_a_tar")
        assert [m.name for m in found.members] == [name for name, _ in MEMBERS[:number]]


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"PK\x03\x04" + bytes(100), b"<html>" * 500, b"X" + os.urandom(4_096)],
    ids=["empty", "one byte", "zip", "html", "random"],
)
def test_other_data_is_not_a_tar(data: bytes) -> None:
    assert index(data) == TarIndex([], "not_a_tar")


def test_a_compressed_tar_is_named_as_that() -> None:
    assert index(gzip.compress(tar_bytes(MEMBERS))) == TarIndex([], "compressed_tar:gzip")


def header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """A header with the given size field and a correct checksum."""
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[124:136] = size.ljust(12, b"\0")
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("size", [b"-0000001000", b"-1", b"+7", b"0o10", b"1_0", b"9", b"abc", b"\xff" * 12])
def test_a_size_that_is_not_an_octal_number_is_damage(size: bytes) -> None:
    good = tar_bytes(MEMBERS[:1])[:1_536]
    found = index(good + header(b"b.jpg", size) + bytes(10_240))
    assert ([m.name for m in found.members], found.fault) == (["a.jpg"], "damaged_tar")


@pytest.mark.parametrize("size", [b"00000001000", b"00000001000 ", b"   1000", b"1000\0", b"1000 \0"])
def test_every_spelling_of_an_octal_size_is_read(size: bytes) -> None:
    found = index(header(b"a.jpg", size) + bytes(512) + bytes(1_024))
    assert found == TarIndex([Member("a.jpg", 512, 512)], None)


def test_sizes_in_base_256_are_read() -> None:
    found = index(header(b"a.jpg", b"\x80" + (700).to_bytes(11, "big")) + bytes(1_024) + bytes(1_024))
    assert found == TarIndex([Member("a.jpg", 512, 700)], None)
    huge = index(header(b"a.jpg", b"\x80" + b"\xff" * 11) + bytes(1_024))
    assert huge == TarIndex([], "truncated_tar")


def pax(records: bytes, size: int = 3) -> bytes:
    body = records + bytes(-len(records) % BLOCK)
    return header(b"pax", b"%011o" % len(records), b"x") + body + header(b"a.txt", b"%011o" % size) + bytes(512)


@pytest.mark.parametrize(
    "records",
    [b"", b"x", b"9" * 5_000, b"9" * 5_000 + b" path=b\n", b"0 path=b\n", b"1 path=b\n", b"99 path=b\n"],
)
@pytest.mark.parametrize("more", [b"", b"-5 path=b\n", b"6 size", b"12 size=-10\n", b"9999 size=3\n"])
def test_malformed_pax_records_are_ignored(records: bytes, more: bytes) -> None:
    found = index(pax(records + more) + bytes(1_024))
    assert [m.name for m in found.members] == ["a.txt"]
    assert found.fault is None


def test_a_pax_size_of_six_thousand_digits_is_ignored() -> None:
    digits = b"9" * 6_000
    record = b" size=" + digits + b"\n"
    length = len(record) + 4
    found = index(pax(b"%d" % length + record) + bytes(1_024))
    assert ([m.name for m in found.members], found.fault) == (["a.txt"], None)


@pytest.mark.parametrize(("records", "fault"), [(MAX_PAX_RECORDS, None), (MAX_PAX_RECORDS + 1, "damaged_tar")])
def test_pax_header_when_it_has_too_many_records_is_damage(records: int, fault: str | None) -> None:
    good = tar_bytes(MEMBERS[2:3])[: 2 * BLOCK]
    assert index(good + pax(b"6 a=b\n" * records) + bytes(1_024)).fault == fault


def test_a_megabyte_of_pax_records_is_not_read_to_its_end() -> None:
    found = index(tar_bytes(MEMBERS[2:3])[: 2 * BLOCK] + pax(b"6 a=b\n" * 170_000) + bytes(1_024))
    assert ([m.name for m in found.members], found.fault) == (["b.jpg"], "damaged_tar")


def test_ends_of_many_small_archives_are_found_without_reading_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    frombuffer = np.frombuffer
    monkeypatch.setattr(np, "frombuffer", lambda data, kind: looked.append(len(data)) or frombuffer(data, kind))
    archive = tar_bytes(MEMBERS[3:4])
    for position in range(0, 200 * len(archive), len(archive)):
        assert _end_of_zeros(memoryview(archive * 200), position + 2 * BLOCK) == position + len(archive)
    assert sum(looked) < 4 * 200 * len(archive)


@given(st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 255)), max_size=6))
def test_damage_anywhere_never_raises_and_members_stay_inside_the_file(changes: list[tuple[int, int]]) -> None:
    archive = bytearray(tar_bytes(MEMBERS, tarfile.PAX_FORMAT))
    for at, value in changes:
        archive[at] = value
    found = index(bytes(archive))
    assert found.fault is None or found.fault in FAULTS
    assert all(0 <= m.offset <= m.offset + m.size <= len(archive) for m in found.members)


def test_ten_gigabytes_of_zeros_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tar"
    size = 10 << 30
    with path.open("wb") as file:
        file.write(header(b"a.jpg", b"\x80" + size.to_bytes(11, "big")))
        os.truncate(path, BLOCK + size)
        file.seek(BLOCK + size)
        file.write(tar_bytes([("b.txt", b"end")]))
    start = time.process_time()
    with Storage().mapped(str(path)) as data:
        found = index_tar(data)
    assert [(m.name, m.size) for m in found.members] == [("a.jpg", size), ("b.txt", 3)]
    assert found.fault is None
    assert time.process_time() - start < 1


@pytest.mark.parametrize("kind", [b"x", b"L", b"K", b"g"])
def test_an_extended_header_of_ten_gigabytes_is_damage(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "sparse.tar"
    size = 10 << 30
    good = tar_bytes(MEMBERS[2:3])[: 2 * BLOCK]
    path.write_bytes(good + header(b"pax", b"\x80" + size.to_bytes(11, "big"), kind))
    os.truncate(path, 3 * BLOCK + size + 10_240)
    start = time.process_time()
    with Storage().mapped(str(path)) as data:
        found = index_tar(data)
    assert ([m.name for m in found.members], found.fault) == (["b.jpg"], "damaged_tar")
    assert time.process_time() - start < 1
