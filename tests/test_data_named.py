"""Named data sets: found where they lie, else downloaded, from real servers that behave badly in every known way."""

from __future__ import annotations

import gzip
import hashlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sumtoone import DataError, UnavailableError, load
from sumtoone.data import cache, download, named, sources
from sumtoone.data.download import RemoteFile
from sumtoone.data.sources import Source

# What the person who runs the tests has set, before a fixture clears it.
DATA_FOLDERS = os.environ.get("SUMTOONE_DATA", "")

# --- a server that does as it is told


class Server(ThreadingHTTPServer):
    """Serves ``files`` under every mirror; its plan says how each request in turn goes, the last word for all after."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.plans: dict[str, list[str]] = {}
        self.log: list[tuple[str, str, str | None]] = []

    def mirror(self, name: str, *plan: str) -> str:
        self.plans[name] = list(plan or ("good",))
        return f"http://127.0.0.1:{self.server_address[1]}/{name}/"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, mirror, name = self.path.split("/", 2)
        asked = self.headers["Range"]
        self.server.log.append((mirror, name, asked))
        plan = self.server.plans[mirror]
        how, _, number = (plan.pop(0) if len(plan) > 1 else plan[0]).partition(" ")
        content = self.server.files.get(name, b"")
        if how == "status":
            self.answer(int(number), b"")
        elif how == "wrong":
            self.answer(200, b"<html>Please sign in</html>")
        elif how == "silent":
            time.sleep(float(number))
        elif how == "wait":
            time.sleep(float(number))
            self.answer(200, content)
        elif how == "endless":
            self.answer(200, bytes(int(number)), length=None)
        elif how == "whole":
            self.answer(200, content, extra={"Content-Encoding": "gzip"})
        elif how == "drop":
            self.part(content, asked, stop=int(number))
        else:
            self.part(content, asked, stop=len(content))

    def part(self, content: bytes, asked: str | None, stop: int) -> None:
        """Answer the range that was asked for, but break off after ``stop`` bytes of it."""
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(content) and asked:
            return self.answer(416, b"", extra={"Content-Range": f"bytes */{len(content)}"})
        extra = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
        rest = content[start:]
        return self.answer(206 if asked else 200, rest[:stop], length=len(rest), extra=extra)

    def answer(self, status: int, body: bytes, length: int | None = -1, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        self.send_header("Connection", "close")
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *words: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


# --- a small data set of the same kind


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (60, 3, 4))
LABELS = np.arange(60) % 3
FILES = {
    "train-images-idx3-ubyte.gz": idx(IMAGES[:45]),
    "train-labels-idx1-ubyte.gz": idx(LABELS[:45]),
    "t10k-images-idx3-ubyte.gz": idx(IMAGES[45:]),
    "t10k-labels-idx1-ubyte.gz": idx(LABELS[45:]),
}
PACKED = {name: gzip.compress(content, mtime=0) for name, content in FILES.items()}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def tiny(*mirrors: str) -> Source:
    files = tuple(RemoteFile(name, content_sha256=sha256(content)) for name, content in FILES.items())
    return Source("tiny", ("a", "b", "c"), (45, 15), mirrors, files)


@pytest.fixture(autouse=True)
def _nothing_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUMTOONE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SUMTOONE_DATA", raising=False)
    monkeypatch.delenv("SUMTOONE_OFFLINE", raising=False)


def put(folder: Path, *, packed: bool = True) -> Path:
    folder.mkdir(parents=True)
    for name, content in (PACKED if packed else FILES).items():
        (folder / (name if packed else name.removesuffix(".gz"))).write_bytes(content)
    return folder


# --- one file

BODY = np.random.default_rng(1).bytes(3000)
PACK = gzip.compress(BODY, mtime=0)
FILE = RemoteFile("body.gz", content_sha256=sha256(BODY))


def test_a_download(server: Server, tmp_path: Path) -> None:
    server.files["body.gz"] = PACK
    download.fetch([FILE], [server.mirror("a")], tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "body.gz").read_bytes() == PACK
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [".lock", "body.gz"]
    assert server.log == [("a", "body.gz", None)]


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "body.gz").write_bytes(b"mine")
    download.fetch([FILE], [server.mirror("a")], tmp_path)
    assert server.log == []
    assert (tmp_path / "body.gz").read_bytes() == b"mine"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, len(PACK) - 1))
def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path, cut: int) -> None:
    server.files["body.gz"] = PACK
    server.log.clear()
    (tmp_path / "body.gz").unlink(missing_ok=True)
    download.fetch([FILE], [server.mirror("a", f"drop {cut}", "good")], tmp_path)
    assert (tmp_path / "body.gz").read_bytes() == PACK
    assert server.log == [("a", "body.gz", None), ("a", "body.gz", f"bytes={cut}-")]


def test_what_arrived_is_kept_for_another_day(server: Server, tmp_path: Path) -> None:
    server.files["body.gz"] = PACK
    mirror = server.mirror("a", "drop 700", "status 500")
    with pytest.raises(UnavailableError):
        download.fetch([FILE], [mirror], tmp_path)
    assert not (tmp_path / "body.gz").exists()
    server.mirror("a", "good")
    download.fetch([FILE], [mirror], tmp_path)
    assert (tmp_path / "body.gz").read_bytes() == PACK
    assert [asked for _, _, asked in server.log] == [None, "bytes=700-", "bytes=700-"]


def test_a_file_that_was_whole_but_not_yet_named(server: Server, tmp_path: Path) -> None:
    # The program was stopped between the last byte and the new name: the mirror has nothing after what we have.
    server.files["body.gz"] = PACK + b"more"
    mirror = server.mirror("a", f"drop {len(PACK)}", "status 500")
    with pytest.raises(UnavailableError):
        download.fetch([FILE], [mirror], tmp_path)
    server.files["body.gz"] = PACK
    server.mirror("a", "good")
    download.fetch([FILE], [mirror], tmp_path)
    assert (tmp_path / "body.gz").read_bytes() == PACK
    assert server.log[-1] == ("a", "body.gz", f"bytes={len(PACK)}-")


def test_a_mirror_that_knows_no_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.files["body.gz"] = PACK
    download.fetch([FILE], [server.mirror("a", "drop 700", "whole")], tmp_path)
    assert (tmp_path / "body.gz").read_bytes() == PACK


def test_bytes_are_kept_as_they_lie_on_the_server(server: Server, tmp_path: Path) -> None:
    # A server that calls a .gz file gzip-encoded makes most clients unpack it.
    server.files["body.gz"] = PACK
    download.fetch([FILE], [server.mirror("a", "whole")], tmp_path)
    assert (tmp_path / "body.gz").read_bytes() == PACK


def test_the_file_changed_between_two_days(server: Server, tmp_path: Path) -> None:
    server.files["body.gz"] = gzip.compress(bytes(3000), compresslevel=0, mtime=0)
    mirror = server.mirror("a", "drop 700", "status 500")
    with pytest.raises(UnavailableError):
        download.fetch([FILE], [mirror], tmp_path)
    server.files["body.gz"] = PACK
    server.mirror("a", "good")
    download.fetch([FILE], [mirror], tmp_path)
    assert (tmp_path / "body.gz").read_bytes() == PACK
    assert [asked for _, _, asked in server.log[2:]] == ["bytes=700-", None]


def test_a_re_compressed_copy_is_the_same_file(server: Server, tmp_path: Path) -> None:
    other = gzip.compress(BODY, compresslevel=0, mtime=1)
    assert other != PACK
    server.files["body.gz"] = other
    download.fetch([replace(FILE, md5=md5(PACK))], [server.mirror("a")], tmp_path)
    assert (tmp_path / "body.gz").read_bytes() == other


@pytest.mark.parametrize("plan", ["status 404", "status 500", "wrong", "silent 1", "drop 0", "endless 5000"])
def test_the_next_mirror_is_tried(server: Server, tmp_path: Path, plan: str) -> None:
    server.files["body.gz"] = PACK
    mirrors = [server.mirror("bad", plan), server.mirror("good")]
    download.fetch([replace(FILE, largest=4000)], mirrors, tmp_path, timeout=0.2)
    assert (tmp_path / "body.gz").read_bytes() == PACK
    assert [mirror for mirror, _, _ in server.log] == ["bad", "good"]


def test_no_half_of_one_mirror_is_joined_to_the_half_of_another(server: Server, tmp_path: Path) -> None:
    server.files["body.gz"] = PACK
    mirrors = [server.mirror("bad", "drop 700", "status 500"), server.mirror("good")]
    download.fetch([FILE], mirrors, tmp_path)
    assert server.log[-1] == ("good", "body.gz", None)


def test_all_mirrors_fail(server: Server, tmp_path: Path) -> None:
    server.files["body.gz"] = PACK
    nobody = Server()
    closed = nobody.mirror("closed")
    nobody.server_close()
    mirrors = [
        server.mirror("a", "status 404"),
        server.mirror("b", "silent 1"),
        server.mirror("c", "endless 5000"),
        server.mirror("d", "drop 0"),
        closed,
    ]
    files = [replace(FILE, largest=4000), RemoteFile("second.gz", content_sha256=sha256(b""))]
    with pytest.raises(UnavailableError) as caught:
        download.fetch(files, mirrors, tmp_path, timeout=0.2)
    error = caught.value
    assert error.exit_code == 4
    assert str(error) == (
        "No mirror gave body.gz [source-unreachable]\n"
        "  expected: an answer from one of the mirrors\n"
        f"  got: {mirrors[0]}body.gz: it answered with status 404; "
        f"{mirrors[1]}body.gz: nothing came for 0.2 seconds; "
        f"{mirrors[2]}body.gz: it sent more than 4000 bytes; "
        f"{mirrors[3]}body.gz: the connection failed (ProtocolError); "
        f"{mirrors[4]}body.gz: the connection failed (ConnectionError)\n"
        f"  try: try again later, what has arrived is kept; or put body.gz, second.gz into {tmp_path} yourself"
    )


def test_a_mirror_that_never_ends_the_trickle_is_given_up(server: Server, tmp_path: Path) -> None:
    server.files["body.gz"] = PACK
    with pytest.raises(UnavailableError):
        download.fetch([FILE], [server.mirror("a", "drop 1")], tmp_path)
    assert [asked for _, _, asked in server.log] == [None, *(f"bytes={have}-" for have in range(1, 20))]


SIGN_IN = b"<html>Please sign in</html>"


@pytest.mark.parametrize(
    ("file", "expected", "found"),
    [
        (FILE, f"sha256:{sha256(BODY)}", f"{len(SIGN_IN)} bytes that are no whole gzip file"),
        (RemoteFile("body.gz", md5=md5(PACK)), f"md5:{md5(PACK)}", f"md5:{md5(SIGN_IN)}"),
    ],
)
def test_wrong_bytes_from_every_mirror(
    server: Server, tmp_path: Path, file: RemoteFile, expected: str, found: str
) -> None:
    mirrors = [server.mirror("a", "wrong"), server.mirror("b", "status 404")]
    with pytest.raises(DataError) as caught:
        download.fetch([file], mirrors, tmp_path)
    assert str(caught.value) == (
        "body.gz is not the file it should be [source-digest]\n"
        f"  expected: {expected}\n"
        f"  got: {found} from {mirrors[0]}body.gz\n"
        "  try: try again; a sign-in page of the local network may have answered in its place"
    )
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_other_content_of_the_right_kind(server: Server, tmp_path: Path) -> None:
    server.files["body.gz"] = gzip.compress(b"other", mtime=0)
    with pytest.raises(DataError) as caught:
        download.fetch([FILE], [server.mirror("a")], tmp_path)
    assert caught.value.got == f"sha256:{sha256(b'other')} from http://127.0.0.1:{server.server_address[1]}/a/body.gz"


def test_a_bomb_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(2**20))
    whole = RemoteFile("bomb.gz", content_sha256=sha256(bytes(64 * 2**20)))
    download.verify(bomb, whole)
    with pytest.raises(DataError):
        download.verify(bomb, replace(whole, largest=2**20))


def test_an_unwritable_cache(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError) as caught:
        download.fetch([FILE], [server.mirror("a")], tmp_path / "file" / "folder")
    assert str(caught.value) == (
        "The cache folder cannot be written [source-cache]\n"
        "  expected: a folder that can be made and written\n"
        f"  got: {tmp_path / 'file' / 'folder'}: Not a directory\n"
        "  try: set SUMTOONE_CACHE to another folder, or make room on the disk"
    )
    assert server.log == []


def test_many_who_want_the_same_file_download_it_once(server: Server, tmp_path: Path) -> None:
    server.files["body.gz"] = PACK
    mirror = server.mirror("a", "wait 0.2")
    threads = [threading.Thread(target=download.fetch, args=([FILE], [mirror], tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.log == [("a", "body.gz", None)]
    assert (tmp_path / "body.gz").read_bytes() == PACK


@pytest.mark.measured
@pytest.mark.parametrize(("terminal", "progress"), [(True, True), (True, False), (False, True)])
def test_the_bar_is_drawn_on_a_terminal_and_nowhere_else(
    server: Server, tmp_path: Path, terminal: bool, progress: bool
) -> None:
    server.files["body.gz"] = PACK
    program = (
        "from pathlib import Path; from sumtoone.data import download;"
        f"file = download.RemoteFile('body.gz', content_sha256={FILE.content_sha256!r});"
        f"download.fetch([file], [{server.mirror('a')!r}], Path({str(tmp_path)!r}), progress={progress})"
    )
    reading, writing = pty.openpty() if terminal else os.pipe()
    try:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, stderr=writing, stdout=subprocess.PIPE, check=True, timeout=60)
        os.write(writing, b"end")
        shown = os.read(reading, 100_000).decode()
    finally:
        os.close(reading)
        os.close(writing)
    assert done.stdout == b""
    assert ("body.gz" in shown) == (terminal and progress)
    assert (terminal and progress) or shown == "end"


# --- a data set: where it is looked for


def test_a_download_is_a_data_set_and_needs_the_network_once(server: Server) -> None:
    server.files |= PACKED
    source = tiny(server.mirror("a"))
    assert named.find(source) is None
    dataset = named.read(source)
    assert (dataset.name, dataset.classes, dataset.image_shape) == ("tiny", ("a", "b", "c"), (3, 4))
    assert torch.equal(dataset.test.inputs, torch.from_numpy(IMAGES[45:].reshape(15, 12).astype(np.uint8)))
    assert torch.equal(dataset.test.labels, torch.from_numpy(LABELS[45:]))
    assert named.find(source) == ("cache", cache.folder() / "tiny")
    assert len(server.log) == 4
    assert named.read(source).fingerprint == dataset.fingerprint
    assert len(server.log) == 4


@pytest.mark.parametrize("packed", [True, False])
def test_the_folders_of_sumtoone_data_come_first(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    source = tiny(server.mirror("a"))
    put(cache.folder() / "tiny")
    monkeypatch.setenv("SUMTOONE_DATA", os.pathsep.join([str(tmp_path / "none"), str(tmp_path / "school"), ""]))
    assert named.find(source) == ("cache", cache.folder() / "tiny")
    put(tmp_path / "school" / "tiny", packed=packed)
    assert named.find(source) == ("folder", tmp_path / "school" / "tiny")
    assert len(named.read(source).test) == 15
    assert server.log == []


def test_a_folder_counts_itself_only_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUMTOONE_DATA", str(put(tmp_path / "tiny")))
    assert named.find(tiny()) == ("folder", tmp_path / "tiny")
    monkeypatch.setenv("SUMTOONE_DATA", str(put(tmp_path / "other")))
    assert named.find(tiny()) is None


def test_a_relative_folder_and_one_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUMTOONE_DATA", ".")
    assert named.find(tiny()) == ("folder", tmp_path / "tiny")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SUMTOONE_DATA", "~")
    assert named.find(tiny()) == ("folder", tmp_path / "tiny")


@pytest.mark.parametrize("missing", FILES)
def test_a_folder_that_lacks_a_file_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    (put(tmp_path / "tiny") / missing).unlink()
    monkeypatch.setenv("SUMTOONE_DATA", str(tmp_path))
    assert named.find(tiny()) is None


@pytest.mark.parametrize("value", ["1", "yes"])
def test_offline_nothing_is_asked_of_anyone(server: Server, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SUMTOONE_OFFLINE", value)
    with pytest.raises(UnavailableError) as caught:
        named.read(tiny(server.mirror("a")))
    assert server.log == []
    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        "tiny is not on this machine, and SUMTOONE_OFFLINE forbids downloads [source-offline]\n"
        "  expected: the files train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
        "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz\n"
        "  got: no folder that holds them all\n"
        f"  try: put them into {cache.folder() / 'tiny'}, or unset SUMTOONE_OFFLINE"
    )
    # What it says to do helps.
    put(cache.folder() / "tiny")
    assert len(named.read(tiny()).test) == 15


def test_zero_is_not_offline(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUMTOONE_OFFLINE", "0")
    server.files |= PACKED
    assert len(named.read(tiny(server.mirror("a"))).test) == 15


# --- EMNIST: an archive, images on their side, letters counted from 1


LETTERS = np.arange(78) % 26 + 1
PICTURES = np.random.default_rng(2).integers(0, 256, (78, 2, 5))
MEMBERS = {
    "train-images-idx3": idx(PICTURES[:52].transpose(0, 2, 1)),
    "train-labels-idx1": idx(LETTERS[:52]),
    "test-images-idx3": idx(PICTURES[52:].transpose(0, 2, 1)),
    "test-labels-idx1": idx(LETTERS[52:]),
}


def zipped(path: Path, **changes: bytes | None) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../escape", b"out of the folder")
        for kind, content in (MEMBERS | {key.replace("_", "-"): value for key, value in changes.items()}).items():
            if content is not None:
                archive.writestr(f"gzip/emnist-letters-{kind}-ubyte.gz", gzip.compress(content, mtime=0))
    return path.read_bytes()


def letters(content: bytes, *mirrors: str) -> Source:
    source = sources.SOURCES["emnist-letters"]
    return replace(source, mirrors=mirrors, archive=RemoteFile("gzip.zip", md5=md5(content)))


def test_emnist_letters(server: Server, tmp_path: Path) -> None:
    server.files["gzip.zip"] = zipped(tmp_path / "made.zip")
    source = letters(server.files["gzip.zip"], server.mirror("a"))
    dataset = named.read(source)
    assert (dataset.name, "".join(dataset.classes)) == ("emnist-letters", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert dataset.image_shape == (2, 5)
    # Upright: what was transposed in the files stands as it was drawn.
    assert torch.equal(dataset.test.inputs, torch.from_numpy(PICTURES[52:].reshape(26, 10).astype(np.uint8)))
    assert dataset.test.labels.tolist() == list(range(26))
    home = cache.folder() / "emnist"
    names = sorted([".lock", "gzip.zip", *(f"emnist-letters-{kind}-ubyte.gz" for kind in MEMBERS)])
    assert sorted(path.name for path in home.iterdir()) == names
    assert not (cache.folder() / "escape").exists()
    assert named.find(source) == ("cache", home)
    assert len(server.log) == 1


def test_an_archive_that_lies_here_is_not_downloaded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "emnist").mkdir()
    content = zipped(tmp_path / "emnist" / "gzip.zip")
    monkeypatch.setenv("SUMTOONE_DATA", str(tmp_path))
    monkeypatch.setenv("SUMTOONE_OFFLINE", "1")
    source = letters(content, server.mirror("a"))
    assert named.obtain(source) == cache.folder() / "emnist"
    assert len(named.read(source).test) == 26
    assert server.log == []


def test_files_that_lie_here_unpacked_are_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "emnist-letters").mkdir()
    for kind, content in MEMBERS.items():
        (tmp_path / "emnist-letters" / f"emnist-letters-{kind}-ubyte").write_bytes(content)
    monkeypatch.setenv("SUMTOONE_DATA", str(tmp_path))
    assert named.find(letters(b"")) == ("folder", tmp_path / "emnist-letters")
    assert len(named.read(letters(b"")).test) == 26


def test_an_archive_here_with_other_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "emnist").mkdir()
    content = zipped(tmp_path / "emnist" / "gzip.zip")
    monkeypatch.setenv("SUMTOONE_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        named.obtain(letters(b"the published bytes"))
    assert str(caught.value) == (
        "gzip.zip is not the file it should be [source-digest]\n"
        f"  expected: md5:{md5(b'the published bytes')}\n"
        f"  got: md5:{md5(content)} from {tmp_path / 'emnist' / 'gzip.zip'}\n"
        "  try: try again; a sign-in page of the local network may have answered in its place"
    )


@pytest.mark.parametrize("kind", ["missing", "too large", "no archive"])
def test_an_archive_without_its_files(tmp_path: Path, kind: str) -> None:
    home = cache.folder() / "emnist"
    home.mkdir(parents=True)
    content = zipped(home / "gzip.zip", **({"test_labels_idx1": None} if kind == "missing" else {}))
    member = "gzip/emnist-letters-test-labels-idx1-ubyte.gz"
    if kind == "no archive":
        content = b"PK, but no more"
        (home / "gzip.zip").write_bytes(content)
        member = "gzip/emnist-letters-train-images-idx3-ubyte.gz"
    source = letters(content)
    if kind == "too large":
        source = replace(source, files=(*source.files[:3], replace(source.files[3], largest=10)))
    with pytest.raises(DataError) as caught:
        named.obtain(source)
    assert str(caught.value) == (
        "The archive does not hold a file it should [source-archive]\n"
        f"  expected: {member}, of its published size\n"
        f"  got: {home / 'gzip.zip'} without it\n"
        f"  try: delete {home / 'gzip.zip'} and fetch it again"
    )


def test_an_archive_that_cannot_be_unpacked_for_want_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "emnist").mkdir()
    content = zipped(tmp_path / "emnist" / "gzip.zip")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SUMTOONE_DATA", str(tmp_path))
    monkeypatch.setenv("SUMTOONE_CACHE", str(tmp_path / "file"))
    with pytest.raises(UnavailableError) as caught:
        named.obtain(letters(content))
    assert (caught.value.code, caught.value.got) == (
        "source-cache",
        f"{tmp_path / 'file' / 'emnist'}: Not a directory",
    )


# --- the table


def test_the_table_is_whole() -> None:
    for name, source in sources.SOURCES.items():
        assert source.name == name
        assert len(source.files) == len({file.name for file in source.files}) == 4
        assert len(set(source.classes)) == len(source.classes)
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in source.mirrors)
        # The first host of MNIST refuses downloads.
        assert not any("lecun" in mirror for mirror in source.mirrors)
        known = [source.archive] if source.archive else source.files
        assert all(len(file.content_sha256) == 64 or len(file.md5) == 32 for file in known)
        assert all(file.name.startswith(source.prefix) for file in source.files)


def test_the_numbers_of_classes_are_the_published_ones() -> None:
    assert {name: len(source.classes) for name, source in sources.SOURCES.items()} == {
        "mnist": 10,
        "fashion-mnist": 10,
        "kmnist": 10,
        "emnist-balanced": 47,
        "emnist-byclass": 62,
        "emnist-bymerge": 47,
        "emnist-digits": 10,
        "emnist-letters": 26,
        "emnist-mnist": 10,
    }


def whole_files(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images, labels


def by_row(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
    return sorted(np.hstack([images, labels[:, None]]).astype(np.uint8).view("S785").ravel().tolist())


def check_whole(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a named data set against its files, read another way, and these against the table's digests."""
    source = sources.SOURCES[name]
    for file in source.files:
        download.verify(folder / file.name, file)
    monkeypatch.setenv("SUMTOONE_DATA", str(folder.parent))
    monkeypatch.setenv("SUMTOONE_OFFLINE", "1")
    dataset = load(name)
    assert (dataset.name, dataset.classes, dataset.image_shape) == (name, source.classes, (28, 28))
    images, labels = whole_files(folder, "t10k")
    assert np.array_equal(dataset.test.inputs.numpy(), images)
    assert np.array_equal(dataset.test.labels.numpy(), labels)
    # Training and validation rows together are the training file, each row once.
    learned = [torch.cat(parts).numpy() for parts in zip(dataset.train, dataset.validation, strict=True)]
    assert by_row(*learned) == by_row(*whole_files(folder, "train"))
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == source.rows


def test_mnist_is_mnist(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUMTOONE_DATA", DATA_FOLDERS)
    check_whole(request.getfixturevalue("mnist_folder"), "mnist", monkeypatch)


def test_fashion_mnist_of_the_system_is_fashion_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = named.SYSTEM_FOLDER / "fashion-mnist"
    if not folder.is_dir():
        pytest.skip("needs Debian's package dataset-fashion-mnist")
    assert named.find(sources.FASHION_MNIST) == ("system", folder)
    check_whole(folder, "fashion-mnist", monkeypatch)


# --- who waits for another process


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Another process is fetching into {folder}; waiting for it. Ctrl-C stops waiting."),
        ("ko", "다른 프로세스가 {folder}에 내려받고 있어 끝나기를 기다립니다. Ctrl-C를 누르면 그만 기다립니다."),
    ],
)
@pytest.mark.measured
@pytest.mark.parametrize("interrupted", [False, True])
def test_who_waits_for_another_process_is_told_once(
    server: Server, tmp_path: Path, language: str, said: str, interrupted: bool
) -> None:
    content = gzip.compress(b"rows", mtime=0)
    server.files["a.gz"] = content
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    program = (
        "import sys\nfrom pathlib import Path\nfrom sumtoone.data.download import RemoteFile, fetch\n"
        f"fetch([RemoteFile('a.gz', {digest!r})], [{server.mirror('m')!r}], Path(sys.argv[1]))\nprint('there')\n"
    )
    environment = {**os.environ, "SUMTOONE_LANG": language, "PYTHONIOENCODING": "utf-8"}
    with FileLock(tmp_path / ".lock"):
        waiting = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment,
        )
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == said.format(folder=tmp_path) + "\n"
        if interrupted:
            waiting.send_signal(signal.SIGINT)
            _, rest = waiting.communicate(timeout=60)
            assert rest.splitlines()[-1] == "KeyboardInterrupt"
            return
    printed, rest = waiting.communicate(timeout=60)
    assert (printed, rest, waiting.returncode) == ("there\n", "", 0)
    assert (tmp_path / "a.gz").read_bytes() == content
