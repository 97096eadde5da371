"""One file from the first mirror that has it: resumed where it broke off, verified before it takes its name.

What has arrived is kept when a connection breaks, and a mirror may serve a re-compressed copy, for it is the content
that is held against its digest.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sumtoone.errors import DataError, UnavailableError
from sumtoone.language import text

_MIB = 1024 * 1024
_BLOCK = 256 * 1024
# How often a broken connection is taken up again while each attempt brings something.
_ATTEMPTS = 20
# In seconds: who waits longer for another process is told so.
_PATIENCE = 1.0

Watch = Callable[[int, int | None], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file that mirrors offer, and how to know it.

    Parameters
    ----------
    name
        Its name on the mirrors and in the folder it comes to.
    md5
        The digest of the file as its publisher serves it; used only where ``content_sha256`` is unknown.
    content_sha256
        The digest of what the gzip file holds, the same however it was compressed.
    largest
        In bytes, served or unpacked: more than this is not the file.
    """

    name: str
    md5: str = ""
    content_sha256: str = ""
    largest: int = 64 * _MIB

    @property
    def digest(self) -> str:
        """The digest it is held against, with its kind: ``"sha256:…"`` or ``"md5:…"``."""
        return f"sha256:{self.content_sha256}" if self.content_sha256 else f"md5:{self.md5}"


class _MirrorError(Exception):
    """A mirror that does not give the file; the reason is in the reader's language."""


def fetch(
    files: Sequence[RemoteFile],
    mirrors: Sequence[str],
    folder: Path,
    *,
    timeout: float = 30.0,
    progress: bool = True,
) -> None:
    """Bring ``files`` into ``folder``; those that are there already are left as they are.

    Parameters
    ----------
    mirrors
        Base addresses that end in ``/``, tried in turn for each file.
    timeout
        Seconds without a byte after which a mirror is given up.
    progress
        Whether to draw a bar on standard error, where that is a terminal.

    Raises
    ------
    DataError
        If what came has another digest; it is thrown away.
    UnavailableError
        If no mirror gave a file, or the folder cannot be written to.
    """

    def missing() -> list[RemoteFile]:
        return [file for file in files if not (folder / file.name).exists()]

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Whoever else wants the same files waits here, and then finds them.
        with _alone(folder):
            for file in missing():
                reasons = _from_mirrors(file, mirrors, folder, timeout, progress)
                if reasons:
                    wanted = ", ".join(file.name for file in missing())
                    raise UnavailableError(
                        "source-unreachable", file=file.name, files=wanted, folder=folder, given="; ".join(reasons)
                    )
    except OSError as error:
        raise UnavailableError("source-cache", given=f"{folder}: {error.strerror or error}") from None


def _alone(folder: Path) -> AbstractContextManager[object]:
    """Hold the folder's lock; who has to wait for it is told so, once."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        return lock.acquire(timeout=_PATIENCE)
    except Timeout:
        print(text("source.waiting", folder=folder), file=sys.stderr, flush=True)
        return lock.acquire()


def verify(path: Path, file: RemoteFile, *, origin: str = "") -> None:
    """Do nothing if ``path`` holds ``file``, else raise :class:`DataError` with both digests."""
    found = _digest_of(path, file)
    if found != file.digest:
        raise DataError("source-digest", file=file.name, origin=origin or path, expected=file.digest, found=found)


def _from_mirrors(file: RemoteFile, mirrors: Sequence[str], folder: Path, timeout: float, progress: bool) -> list[str]:
    """Bring one file into ``folder`` and return nothing, or return why no mirror gave it."""
    wrong: list[DataError] = []
    reasons: list[str] = []
    for mirror in mirrors:
        url = mirror + file.name
        # One for each mirror: halves of differently compressed copies make no whole.
        partial = folder / f".{file.name}.{hashlib.sha256(url.encode()).hexdigest()[:12]}.part"
        try:
            with _bar(file.name, shown=progress and sys.stderr.isatty()) as watch:
                _whole(url, partial, file, timeout, watch)
            partial.replace(folder / file.name)
            return []
        except DataError as error:
            wrong.append(error)
        except _MirrorError as reason:
            reasons.append(f"{url}: {reason}")
    if wrong:
        raise wrong[0]
    return reasons


def _whole(url: str, partial: Path, file: RemoteFile, timeout: float, watch: Watch) -> None:
    """Bring ``partial`` to the whole, verified file."""
    kept = partial.exists()
    while True:
        _complete(url, partial, file.largest, timeout, watch)
        try:
            return verify(partial, file, origin=url)
        except DataError:
            partial.unlink()
            if not kept:
                raise
            # What was kept from an earlier time may be of a file that has changed since: once more from the start.
            kept = False


def _complete(url: str, partial: Path, largest: int, timeout: float, watch: Watch) -> None:
    """Append to ``partial`` until the mirror has no more, taking broken connections up again."""
    import requests
    import urllib3

    for _ in range(_ATTEMPTS):
        before = _size(partial)
        try:
            return _append(url, partial, largest, timeout, watch)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            reason = text("source.reason-timeout", seconds=f"{timeout:g}")
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reason = text("source.reason-connection", kind=type(error).__name__)
        if _size(partial) <= before:
            break
    raise _MirrorError(reason)


def _append(url: str, partial: Path, largest: int, timeout: float, watch: Watch) -> None:
    import requests

    have = _size(partial)
    # Identity: the bytes as they lie on the server, which is what the offset counts.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
        if answer.status_code == 416 and have:
            return  # Nothing after what we have: the file was whole, or it is another one, as the digest will show.
        if answer.status_code not in (200, 206):
            raise _MirrorError(text("source.reason-status", status=answer.status_code))
        length = answer.headers.get("Content-Length", "")
        with partial.open("ab" if answer.status_code == 206 else "wb") as out:
            total = out.tell() + int(length) if length.isdecimal() else None
            for block in answer.raw.stream(_BLOCK, decode_content=False):
                out.write(block)
                if out.tell() > largest:
                    out.truncate(0)
                    raise _MirrorError(text("source.reason-large", limit=largest))
                watch(out.tell(), total)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest_of(path: Path, file: RemoteFile) -> str:
    """Return the digest of the kind that ``file`` is known by, or words for what has none."""
    if not file.content_sha256:
        with path.open("rb") as served:
            return "md5:" + _hashed(served, hashlib.md5(usedforsecurity=False), file.largest)
    try:
        with gzip.open(path, "rb") as content:
            return "sha256:" + _hashed(content, hashlib.sha256(), file.largest)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return text("source.no-gzip", size=_size(path))


def _hashed(stream: BinaryIO | gzip.GzipFile, digest: hashlib._Hash, largest: int) -> str:
    """Return the digest of what the stream holds, reading a little over ``largest`` bytes and never a bomb's worth."""
    for _ in range(largest // _BLOCK + 1):
        block = stream.read(_BLOCK)
        if not block:
            break
        digest.update(block)
    return digest.hexdigest()


@contextmanager
def _bar(name: str, *, shown: bool) -> Iterator[Watch]:
    """Give a function that takes (bytes so far, bytes in all) and draws them."""
    if not shown:
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as drawn:
        task = drawn.add_task(name, total=None)
        yield lambda done, total: drawn.update(task, completed=done, total=total)
