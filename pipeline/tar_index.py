"""The members of a tar, from their headers alone.

Reads POSIX ustar, GNU long names and sizes, and pax records. Names are keys and never become paths. A damaged or cut
archive gives every whole member before the damage and says where it stopped.
"""

from dataclasses import dataclass, field

import numpy as np

BLOCK = 512
REGULAR = (b"0", b"\0", b"7")


@dataclass(frozen=True, slots=True)
class Member:
    """``offset`` and ``size`` of the member's bytes in the tar; ``regular`` is False for links, devices and pipes."""

    name: str
    offset: int
    size: int
    regular: bool = True


@dataclass
class TarIndex:
    """Whole members in order, and ``fault``: None, or why the rest of the archive cannot be read."""

    members: list[Member] = field(default_factory=list)
    fault: str | None = None


def index_tar(data: memoryview) -> TarIndex:
    """Index an uncompressed tar. Never raises for its content; a compressed or foreign file gives ``not_a_tar``."""
    index, headers, position, end = TarIndex(), [], 0, len(data)
    name: str | None = None
    size: int | None = None
    while position + BLOCK <= end:
        header = bytes(data[position : position + BLOCK])
        if header[0] == 0 and not any(header):
            break
        kind = header[156:157]
        try:
            length = _number(header[124:136])
        except ValueError:
            index.fault = "not_a_tar" if not headers else "damaged_tar"
            break
        body = position + BLOCK
        if kind == b"x" and body + length <= end:
            name, size = _pax(bytes(data[body : body + length]), name, size)
        elif kind == b"L" and body + length <= end:
            name = bytes(data[body : body + length]).rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif kind not in (b"5", b"g", b"x", b"L", b"K"):
            length = length if size is None else size
            if body + length > end:
                index.fault = "truncated_tar"
            else:
                index.members.append(Member(name or _name(header), body, length, kind in REGULAR))
            name = size = None
        headers.append(position)
        position = body + -(-length // BLOCK) * BLOCK
    if index.fault is None and position > end:
        index.fault = "truncated_tar"
    if index.fault is None and position + BLOCK > end and position != end:
        index.fault = "truncated_tar"
    return _check(data, index, headers)


def _check(data: memoryview, index: TarIndex, headers: list[int]) -> TarIndex:
    """Verify all header checksums at once; members from the first wrong one on are not trusted."""
    if not headers:
        return index
    blocks = np.stack([np.frombuffer(data[p : p + BLOCK], np.uint8) for p in headers])
    stated = blocks[:, 148:156]
    sums = blocks.sum(axis=1, dtype=np.int64) - stated.sum(axis=1, dtype=np.int64) + 8 * 32
    digits = stated.copy()
    wrong = [
        i for i, (total, text) in enumerate(zip(sums, digits, strict=True)) if not _same(int(total), text.tobytes())
    ]
    if not wrong:
        return index
    limit = headers[wrong[0]]
    members = [member for member in index.members if member.offset <= limit]
    return TarIndex(members, "damaged_tar" if wrong[0] else "not_a_tar")


def _same(total: int, text: bytes) -> bool:
    try:
        return total == int(text.strip(b"\0 ") or b"0", 8)
    except ValueError:
        return False


def _number(text: bytes) -> int:
    """Octal, or GNU base 256. Raises ValueError for anything else, and for negative sizes."""
    if text[0] & 0x80:
        value = int.from_bytes(bytes([text[0] & 0x7F]) + text[1:], "big")
        if text[0] == 0xFF:
            raise ValueError("negative size")
        return value
    return int(text.strip(b"\0 ") or b"0", 8)


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")


def _pax(records: bytes, name: str | None, size: int | None) -> tuple[str | None, int | None]:
    """``path`` and ``size`` of a pax header: records of the form ``LENGTH KEY=VALUE newline``."""
    while records:
        head, _, _ = records.partition(b" ")
        if not head.isdigit() or not 0 < int(head) <= len(records):
            break
        key, _, value = records[len(head) + 1 : int(head) - 1].partition(b"=")
        if key == b"path":
            name = value.decode("utf-8", "surrogateescape")
        elif key == b"size" and value.isdigit():
            size = int(value)
        records = records[int(head) :]
    return name, size
