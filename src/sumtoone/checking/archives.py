"""The members of a zip of submissions, read in memory: nothing of it is ever written to the disk."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

# 4 MiB of directory are some 40,000 members; each costs a kilobyte of memory while it is read.
_MOST_DIRECTORY = 4 * 2**20
MOST_ARCHIVE = 2**30
_END, _LOCATOR, _END_64 = b"PK\5\6", b"PK\6\7", b"PK\6\6"
# The length of the last record, of the two of Zip64 before it, and of the longest comment.
_END_SIZE, _LOCATOR_SIZE, _END_64_SIZE, _LONGEST_COMMENT = 22, 20, 56, 2**16
_ENCRYPTED, _UTF_8 = 0x1, 0x800


class Damaged(Exception):  # noqa: N818 - it is no error of ours
    """Bytes that are no zip, or no whole member of one."""


@dataclass(frozen=True)
class Member:
    """A file in an archive: where it stands, and what the archive says of it."""

    archive: Path
    name: str
    offset: int
    compressed: int
    size: int
    checksum: int
    method: int
    encrypted: bool
    safe: bool


def members(path: Path) -> list[Member]:
    """Return the files of a zip in the order of their names, each name as a person reads it.

    Raises
    ------
    OSError
        If it cannot be opened.
    Damaged
        If it is no zip, or its directory is larger than that of thousands of files.
    """
    with path.open("rb") as file:
        _check_directory(file)
        try:
            with zipfile.ZipFile(file) as archive:
                found = [_member(path, info) for info in archive.infolist() if not info.is_dir()]
        except MemoryError:
            raise
        except Exception as error:
            raise Damaged(str(error) or type(error).__name__) from None
    return sorted(found, key=lambda member: (PurePosixPath(member.name).parts, member.offset))


def content_of(member: Member, most: int) -> bytes:
    """Return the bytes of a member that holds at most ``most`` of them.

    Raises
    ------
    OSError
        If the archive cannot be opened.
    ValueError
        If it holds more.
    Damaged
        If it is packed in a way that is not read here, cut short, or not what its checksum says.
    """
    if max(member.size, member.compressed) > most:
        raise ValueError(f"more than {most:,} bytes")
    with member.archive.open("rb") as file:
        file.seek(member.offset)
        header = file.read(30)
        if len(header) < 30 or not header.startswith(b"PK\3\4"):
            raise Damaged("no local header")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        file.seek(name_length + extra_length, 1)
        packed = file.read(member.compressed)
    content = _unpacked(packed, member.method, most)
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes")
    if zlib.crc32(content) != member.checksum:
        raise Damaged("CRC-32")
    return content


def _unpacked(packed: bytes, method: int, most: int) -> bytes:
    if method == zipfile.ZIP_STORED:
        return packed
    if method != zipfile.ZIP_DEFLATED:
        raise Damaged(f"compression {method}")
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most + 1)
    except zlib.error as error:
        raise Damaged(str(error)) from None


def _check_directory(file: BinaryIO) -> None:
    """Refuse a directory that would take the memory of millions of members, before it is read."""
    size = file.seek(0, 2)
    if size > MOST_ARCHIVE:
        raise Damaged(f"{size:,} > {MOST_ARCHIVE:,}")
    longest = _LONGEST_COMMENT + _END_SIZE + _LOCATOR_SIZE + _END_64_SIZE
    file.seek(max(0, size - longest))
    tail = file.read(longest)
    place = len(tail) - _END_SIZE
    if place < 0 or not (tail[place:].startswith(_END) and tail.endswith(b"\0\0")):
        place = tail.rfind(_END)
    if place < 0 or len(tail) - place < _END_SIZE:
        raise Damaged("no directory")
    claimed = struct.unpack_from("<L", tail, place + 12)[0]
    locator = place - _LOCATOR_SIZE
    if locator >= 0 and tail[locator:].startswith(_LOCATOR):
        if locator < _END_64_SIZE or not tail[locator - _END_64_SIZE :].startswith(_END_64):
            raise Damaged("Zip64")
        claimed = struct.unpack_from("<Q", tail, locator - _END_64_SIZE + 40)[0]
    if claimed > _MOST_DIRECTORY:
        raise Damaged(f"{claimed:,} > {_MOST_DIRECTORY:,}")


def _member(path: Path, info: zipfile.ZipInfo) -> Member:
    name = _readable(info)
    parts = PurePosixPath(name.replace("\\", "/")).parts
    drive = len(name) > 1 and name[1] == ":"
    link = stat.S_ISLNK(info.external_attr >> 16)
    return Member(
        archive=path,
        name=name,
        offset=info.header_offset,
        compressed=info.compress_size,
        size=info.file_size,
        checksum=info.CRC,
        method=info.compress_type,
        encrypted=bool(info.flag_bits & _ENCRYPTED),
        safe=not (link or drive or name.startswith(("/", "\\")) or ".." in parts or not parts),
    )


def _readable(info: zipfile.ZipInfo) -> str:
    """Return a member's name; Windows writes it in the code page of its country and does not say so."""
    if info.flag_bits & _UTF_8:
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename
