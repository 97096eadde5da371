"""What has been judged, kept while it goes on: a check that was killed goes on where it was.

One JSON line for each submission, with a sum of its own; a line that is torn or damaged counts as never written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from sumtoone.checking.verdict import Verdict
from sumtoone.errors import DataError
from sumtoone.version import __version__

# What is kept of a check by another version, or in another form, is not gone on with.
_FORM = "1"
_SUM_LENGTH = 16


class Journal:
    """The verdicts of one check, by the digest of each submission.

    Parameters
    ----------
    key
        What makes two checks the same: the paths, the exercise, the options that decide a verdict.
    folder
        The cache folder; it need not exist.

    Raises
    ------
    DataError
        ``check-busy`` if another process or thread has this journal open; ``check-journal`` if it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with Journal("softmax /home/kim", Path(tempfile.mkdtemp())) as journal:
    ...     journal.known
    ...     journal.finish()
    {}
    """

    def __init__(self, key: str, folder: Path) -> None:
        from filelock import FileLock, Timeout

        name = hashlib.sha256("\0".join((_FORM, __version__, key)).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self.path = folder / "checks" / f"{name}.jsonl"
        # Workers are threads: whichever of them closes it must be able to.
        self._lock = FileLock(self.path.with_suffix(".lock"), timeout=0.0, thread_local=False)
        self._writing = Lock()
        self._handle = -1
        with _told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout:
                raise DataError("check-busy", given=str(self.path.with_suffix(".lock"))) from None
        try:
            with _told(self.path):
                # A learner's code is in it: for its owner alone.
                flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
                self._handle = os.open(self.path, flags, 0o600)
                content = self.path.read_bytes()
        except BaseException:
            self.close()
            raise
        self._torn = bool(content) and not content.endswith(b"\n")
        self.known: dict[str, list[Verdict]] = dict(_entries(content))

    def add(self, digest: str, verdicts: Sequence[Verdict]) -> None:
        """Note down what was found in a submission; when this returns it survives the end of the process.

        Raises
        ------
        DataError
            If it cannot be written, such as on a full disk; nothing of it counts then.
        """
        body = json.dumps([digest, [verdict.packed() for verdict in verdicts]]).encode()
        line = b"%s %s\n" % (_sum(body), body)
        with self._writing, _told(self.path):
            # One write of the whole line, after the end of a line that another one was killed in.
            whole = b"\n" + line if self._torn else line
            self._torn = True
            if os.write(self._handle, whole) != len(whole):
                raise OSError("not all of it could be written")
            self._torn = False
        self.known[digest] = list(verdicts)

    def finish(self) -> None:
        """Remove what was kept: the check is over and its verdicts are told."""
        with _told(self.path):
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the journal and leave it for another time; doing it twice changes nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
        if self._lock.is_locked:
            # While it is held: whoever has opened it meanwhile finds that it has no name any more, and looks again.
            with suppress(OSError):
                Path(self._lock.lock_file).unlink()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sum(body: bytes) -> bytes:
    return hashlib.blake2s(body, digest_size=_SUM_LENGTH // 2).hexdigest().encode()


def _entries(content: bytes) -> Iterator[tuple[str, list[Verdict]]]:
    for line in content.split(b"\n"):
        total, _, body = line.partition(b" ")
        if len(total) == _SUM_LENGTH and total == _sum(body):
            digest, packed = json.loads(body)
            yield digest, [Verdict.unpacked(values) for values in packed]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says against writing into our error."""
    try:
        yield
    except OSError as error:
        raise DataError("check-journal", given=f"{path}: {error.strerror or error}") from None
