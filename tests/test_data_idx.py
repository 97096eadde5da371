from __future__ import annotations

import errno
import gzip
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from datafiles import assert_read_or_refused, damaged, idx_bytes, limited, pictures, refusal, write_idx
from sumtoone.data import idx, limits
from sumtoone.errors import DataError

IMAGES = pictures(30)
LABELS = np.arange(30, dtype=np.uint8) % 3

some_files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_folder(folder: Path, prefix: str = "", test: str | None = "t10k", suffix: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    for part in ("train", test):
        if part:
            write_idx(folder / f"{prefix}{part}-images-idx3-ubyte{suffix}", IMAGES if part == "train" else IMAGES[:6])
            write_idx(folder / f"{prefix}{part}-labels-idx1-ubyte{suffix}", LABELS if part == "train" else LABELS[:6])
    return folder


@some_files
@given(arrays.arrays(np.uint8, st.one_of(st.tuples(st.integers(1, 50)), st.tuples(*[st.integers(1, 6)] * 3))))
def test_what_was_written_is_read(tmp_path: Path, array: np.ndarray) -> None:
    for name in ("plain", "packed.gz"):
        found = idx.read_array(write_idx(tmp_path / name, array))
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, array)


def test_compression_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(idx_bytes(IMAGES))
    np.testing.assert_array_equal(idx.read_array(path), IMAGES)
    path = tmp_path / "images"
    # A gzip file may consist of several, one after another.
    content = idx_bytes(IMAGES)
    path.write_bytes(gzip.compress(content[:40]) + gzip.compress(content[40:]))
    np.testing.assert_array_equal(idx.read_array(path), IMAGES)


@pytest.mark.parametrize(("test", "suffix"), [("t10k", ""), ("t10k", ".gz"), ("test", ".gz")])
def test_a_folder_of_four_files(tmp_path: Path, test: str, suffix: str) -> None:
    data = idx.read_folder(write_folder(tmp_path / "shapes", test=test, suffix=suffix))
    assert (data.name, data.classes, data.image_shape, data.features) == ("shapes", ("0", "1", "2"), (4, 5), 20)
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 6)
    np.testing.assert_array_equal(data.test.inputs.numpy(), IMAGES[:6].reshape(6, 20))
    assert data.test.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_without_test_files_the_test_rows_are_cut(tmp_path: Path) -> None:
    data = idx.read_folder(write_folder(tmp_path, test=None))
    assert (len(data.train), len(data.validation), len(data.test)) == (22, 2, 6)


@pytest.mark.parametrize("prefix", ["emnist-letters", "emnist-letters-"])
def test_files_with_a_prefix_and_images_on_their_side(tmp_path: Path, prefix: str) -> None:
    write_folder(tmp_path, prefix="emnist-digits-", test=None)
    write_folder(tmp_path, prefix="emnist-letters-", test="test")
    data = idx.read_folder(tmp_path, name="letters", classes=("a", "b", "c"), transpose=True, prefix=prefix)
    assert (data.name, data.classes, data.image_shape) == ("letters", ("a", "b", "c"), (5, 4))
    np.testing.assert_array_equal(data.test.inputs.numpy().reshape(6, 5, 4), IMAGES[:6].transpose(0, 2, 1))


def test_labels_need_not_begin_at_zero(tmp_path: Path) -> None:
    write_folder(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", LABELS * 2 + 1)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", LABELS[:6] * 2 + 1)
    data = idx.read_folder(tmp_path)
    assert data.classes == ("1", "3", "5")
    assert data.test.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_names_with_a_dot_and_the_name_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "train-images.idx3-ubyte", IMAGES)
    write_idx(tmp_path / "train-labels.idx1-ubyte", LABELS)
    monkeypatch.chdir(tmp_path)
    assert idx.read_folder(Path()).name == tmp_path.name


def test_a_missing_file_in_full(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError) as caught:
        idx.read_folder(tmp_path)
    assert str(caught.value) == (
        "A file of the IDX data set is missing [data-idx-missing]\n"
        "  expected: t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz\n"
        f"  got: none in {tmp_path}\n"
        "  try: put the file there; images and labels come in pairs"
    )
    assert caught.value.exit_code == 3


HEADER = idx_bytes(IMAGES)[:16]


@pytest.mark.parametrize(
    ("content", "code", "expected", "got"),
    [
        (b"", "data-empty-file", "a file with data in it", "0 bytes in {path}"),
        (
            b"<html>",
            "data-idx-broken",
            "a whole file that begins with the bytes 00 00 08, plain or compressed by gzip",
            "{path}: 3c 68 74 6d",
        ),
        (
            gzip.compress(b"", mtime=0),
            "data-idx-broken",
            "a whole file that begins with the bytes 00 00 08, plain or compressed by gzip",
            "{path}: -",
        ),
        (idx_bytes(IMAGES, kind=13), "data-idx-type", "type 0x08", "type 0x0d in {path}"),
        (
            idx_bytes(IMAGES[0]),
            "data-idx-dimensions",
            "1, 3 (labels have 1, images have 3)",
            "2 in {path}",
        ),
        (HEADER[:9], "data-size", "12 bytes", "5 bytes in {path}"),
        (HEADER, "data-size", "600 bytes", "0 bytes in {path}"),
        (idx_bytes(IMAGES)[:-1], "data-size", "600 bytes", "599 bytes in {path}"),
        (idx_bytes(IMAGES) + b"more", "data-size", "600 bytes", "604 bytes in {path}"),
        (idx_bytes(IMAGES[:, :0]), "data-idx-shape", "1 or more in every dimension", "(30, 0, 5) in {path}"),
        (gzip.compress(idx_bytes(IMAGES)[:-1]), "data-size", "600 bytes", "599 bytes in {path}"),
        (gzip.compress(idx_bytes(IMAGES) + b"more"), "data-size", "600 bytes", "604 bytes in {path}"),
        (
            gzip.compress(idx_bytes(IMAGES) + bytes(2**21)),
            "data-size",
            "600 bytes",
            "≥ 1049176 bytes in {path}",
        ),
        (
            gzip.compress(HEADER[:4] + b"\xff\xff\xff\xff" * 3, mtime=0),
            "data-too-large",
            "at most 4294967296 bytes",
            "79228162458924105385300197375 bytes in {path}",
        ),
        (
            gzip.compress(HEADER[:4] + b"\0\0\xff\xff" * 2 + b"\0\0\0\1", mtime=0),
            "data-ratio",
            "at most 1100 bytes for each compressed byte",
            "a claim of 4294836225 bytes in {size} compressed bytes in {path}",
        ),
    ],
)
def test_files_that_are_no_idx(tmp_path: Path, content: bytes, code: str, expected: str, got: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    assert refusal(lambda: idx.read_array(path)) == (code, expected, got.format(path=path, size=len(content)))


def test_a_wrong_checksum_is_found(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    content = gzip.compress(idx_bytes(IMAGES), mtime=0)
    path.write_bytes(content[:-8] + bytes([content[-8] ^ 1]) + content[-7:])
    assert refusal(lambda: idx.read_array(path))[0] == "data-idx-broken"


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    write_folder(tmp_path)
    images, labels = tmp_path / "t10k-images-idx3-ubyte", tmp_path / "t10k-labels-idx1-ubyte"
    write_idx(labels, LABELS[:5])
    assert refusal(lambda: idx.read_folder(tmp_path)) == (
        "data-rows-labels",
        "one label for each of the 6 rows to test",
        f"5 labels in {tmp_path.name}",
    )
    write_idx(labels, LABELS[:6] + 1)
    assert refusal(lambda: idx.read_folder(tmp_path))[2] == f"'3' in the test rows of {labels}"
    write_idx(images, IMAGES[:6].reshape(6, 5, 4))
    assert refusal(lambda: idx.read_folder(tmp_path)) == (
        "data-shapes",
        "(4, 5), as the rows to train have",
        f"(5, 4) in the test rows of {tmp_path}",
    )
    write_idx(images, LABELS[:6])
    assert refusal(lambda: idx.read_folder(tmp_path)) == (
        "data-idx-dimensions",
        "3 (labels have 1, images have 3)",
        f"1 in {images}",
    )
    assert refusal(lambda: idx.read_folder(tmp_path, classes=("a", "b"))) == (
        "data-class-names",
        "a name for each of the 3 labels",
        f"2 names for {tmp_path / 'train-labels-idx1-ubyte'}",
    )


def test_what_is_no_file_is_refused_unopened(tmp_path: Path) -> None:
    pipe, device, listener = tmp_path / "pipe", tmp_path / "zero", tmp_path / "s"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(listener))
        for path, kind in (
            (tmp_path, "a folder"),
            (pipe, "a named pipe"),
            (device, "a device or socket"),
            (listener, "a device or socket"),
        ):
            assert refusal(lambda path=path: idx.read_array(path)) == ("data-path-kind", "a file", f"{kind}: {path}")


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    expected = "the path of a file or folder that is there"
    file, loop = write_idx(tmp_path / "labels", LABELS), tmp_path / "loop"
    loop.symlink_to(loop)
    for path, why in ((tmp_path / "none", errno.ENOENT), (file / "inside", errno.ENOTDIR)):
        wanted = ("data-missing-path", expected, f"{path}: {os.strerror(why)}")
        assert refusal(lambda path=path: idx.read_array(path)) == wanted
        assert refusal(lambda path=path: idx.read_folder(path)) == wanted
    assert refusal(lambda: idx.read_folder(file)) == ("data-path-kind", "a folder", f"a file: {file}")
    code, _, got = refusal(lambda: idx.read_array(loop))
    assert (code, got) == ("data-missing-path", f"{loop}: {os.strerror(errno.ELOOP)}")
    with pytest.raises(ValueError, match="embedded null") as caught:
        Path("a\0b").stat()
    assert refusal(lambda: idx.read_array(Path("a\0b"))) == (
        "data-missing-path",
        expected,
        rf"a\x00b: {caught.value}",
    )


@contextmanager
def as_nobody() -> Iterator[None]:
    """Take away from root, who may read everything, what others do not have."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_what_may_not_be_read(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "labels", LABELS)
    path.chmod(0)
    tmp_path.chmod(0o444)
    with as_nobody():
        for read in (idx.read_array, idx.read_folder):
            assert refusal(lambda read=read: read(path)) == (
                "data-permission",
                "permission to read it",
                str(path),
            )
    tmp_path.chmod(0o755)


def test_a_file_beyond_the_limit_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(limits.MOST_BYTES + 1)
    assert refusal(lambda: idx.read_array(path))[2] == f"4294967297 bytes in {path}"


def run_limited(call: str, room: int = 2**30) -> tuple[str, int]:
    result = subprocess.run([sys.executable, "-c", limited(call, room)], capture_output=True, text=True, check=True)
    code, memory = result.stdout.split()
    return code, int(memory)


def test_a_bomb_costs_no_more_than_its_header_claims(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    # Claims 600 bytes; holds half a gibibyte.
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)) + gzip.compress(bytes(2**24)) * 32)
    code, memory = run_limited(f"idx.read_array(Path({str(path)!r}))")
    assert code == "data-size"
    assert memory < 2**15


def test_a_claim_of_a_gigabyte_costs_nothing(tmp_path: Path) -> None:
    path, claim = tmp_path / "claim", b"\0\0\x08\x03" + (1000).to_bytes(4, "big") * 3
    path.write_bytes(gzip.compress(claim))
    code, memory = run_limited(f"idx.read_array(Path({str(path)!r}))")
    assert code == "data-ratio"
    assert memory < 2**13


def test_too_little_memory_is_an_error_of_ours(tmp_path: Path) -> None:
    path, claim = tmp_path / "claim", b"\0\0\x08\x03" + (1000).to_bytes(4, "big") * 3
    # As many compressed bytes as a gigabyte could come from.
    path.write_bytes(gzip.compress(claim) + os.urandom(2**20))
    assert run_limited(f"idx.read_array(Path({str(path)!r}))", room=2**28)[0] == "memory"


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, packed: bool) -> None:
    folder = write_folder(tmp_path_factory.mktemp("idx"), test=None)
    content = gzip.compress(idx_bytes(IMAGES), mtime=0) if packed else idx_bytes(IMAGES)

    @settings(deadline=None, max_examples=150)
    @given(damaged(content))
    def check(broken: bytes) -> None:
        (folder / "train-images-idx3-ubyte").write_bytes(broken)
        assert_read_or_refused(idx.read_folder, folder)

    check()


SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def test_mnist_in_full(mnist_folder: Path) -> None:
    for name, digest in SHA256.items():
        array = idx.read_array(mnist_folder / f"{name}.gz")
        assert hashlib.sha256(idx_bytes(array)).hexdigest() == digest
    data = idx.read_folder(mnist_folder)
    assert (len(data.train) + len(data.validation), len(data.test)) == (60_000, 10_000)
    assert (data.train.inputs.shape, data.test.inputs.shape) == ((54_000, 784), (10_000, 784))
    assert (data.image_shape, data.classes) == ((28, 28), tuple("0123456789"))
    # The first test row is a seven.
    assert data.test.labels[0] == 7


FASHION = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
def test_fashion_mnist_in_full() -> None:
    digest = hashlib.sha256(idx_bytes(idx.read_array(FASHION / "t10k-images-idx3-ubyte.gz"))).hexdigest()
    assert digest == "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    data = idx.read_folder(FASHION)
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
