"""The warnings of a process are everyone's: no reader changes their filters, and none makes a library warn."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import textwrap
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datafiles import csv_text, damaged, image_bytes, npz_bytes, parquet_bytes, pictures, write_idx
from sumtoone import SumtooneError, load
from sumtoone.data.folders import read_image
from sumtoone.photos import prepare


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One data set of each kind, and one of each kind that cannot be read."""
    home = tmp_path_factory.mktemp("sources")
    rows, labels = pictures(12), np.arange(12) % 2
    (home / "idx").mkdir()
    write_idx(home / "idx" / "train-images-idx3-ubyte.gz", rows)
    write_idx(home / "idx" / "train-labels-idx1-ubyte", labels.astype(np.uint8))
    for number, pixels in enumerate(rows):
        folder = home / "folders" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(image_bytes(pixels))
    (home / "a.npz").write_bytes(npz_bytes(x=rows, y=labels))
    columns = {"a": list(range(12)), "label": labels.tolist()}
    (home / "a.csv").write_text(csv_text(columns))
    (home / "a.parquet").write_bytes(parquet_bytes(columns))
    for name in ("a.npz", "a.csv", "a.parquet"):
        content = (home / name).read_bytes()
        (home / f"broken-{name}").write_bytes(content[: len(content) // 2] + b"\xff\xff")
    return sorted(home.iterdir())


def test_threads_read_while_another_one_warns(sources: list[Path]) -> None:
    # In a process of its own: what the readers of old left behind would be left in this one.
    program = """
        import sys, threading, warnings
        import sumtoone as s1
        from sumtoone.photos import prepare
        from PIL import Image, ImageDraw

        picture = Image.new("L", (90, 90), 255)
        ImageDraw.Draw(picture).line([(20, 20), (60, 70)], fill=0, width=9)
        warnings.simplefilter("ignore", ResourceWarning)
        caught, raised, stop = 0, [], threading.Event()

        def show(*arguments, **options):
            global caught
            caught += 1

        def read():
            try:
                for source in sys.argv[1:] * 6:
                    try:
                        s1.load(source)
                    except s1.DataError:
                        pass
                    prepare(picture)
            except BaseException as error:
                raised.append(error)

        def warn():
            count = 0
            while not stop.is_set():
                try:
                    warnings.warn(f"number {count}")
                except BaseException as error:
                    raised.append(error)
                count += 1
            global warned
            warned = count

        for source in sys.argv[1:]:
            try:
                s1.load(source)  # what is imported on the way may set filters of its own
            except s1.DataError:
                pass
        prepare(picture)
        warnings.showwarning = show
        warnings.simplefilter("always", UserWarning)
        before = list(warnings.filters)
        readers, warner = [threading.Thread(target=read) for _ in range(4)], threading.Thread(target=warn)
        for thread in (*readers, warner):
            thread.start()
        for thread in readers:
            thread.join()
        stop.set()
        warner.join()
        print(raised[:1], warned == caught, warned > 0, warnings.filters == before)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[] True True True\n"


def test_no_reader_looks_at_the_filters(sources: list[Path]) -> None:
    # With what would raise at any warning: the files of the fixture are read, or refused for what is wrong with them.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before, found = list(warnings.filters), []
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(outcome, sources * 4))
        assert warnings.filters == before
    assert found == [outcome(source) for source in sources] * 4
    assert sorted(set(found)) == ["data-csv-encoding", "data-npz-broken", "data-parquet-broken", "read"]


def outcome(source: Path) -> str:
    try:
        load(source)
    except SumtooneError as error:
        return error.code
    return "read"


# --- files at which libraries warn


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks after its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def gif_of_another_size(width: int, height: int) -> bytes:
    """A GIF whose first frame is larger than its canvas."""
    content = bytearray(image_bytes(np.zeros((4, 4), np.uint8), "GIF"))
    place = content.index(b",\0\0\0\0\4\0\4\0") + 5
    content[place : place + 4] = struct.pack("<HH", width, height)
    return bytes(content)


def jpeg(**options: object) -> bytes:
    return image_bytes(np.zeros((8, 8), np.uint8), "JPEG", **options)


def with_segment(content: bytes, marker: int, body: bytes) -> bytes:
    return content[:2] + bytes([255, marker]) + struct.pack(">H", len(body) + 2) + body + content[2:]


TIFF = b"II*\0\x08\0\0\0"
PNG = image_bytes(np.zeros((4, 4), np.uint8))
ODD = {
    "EXIF cut off": jpeg(exif=b"Exif\0\0" + TIFF + b"\xff\xff"),
    "EXIF of huge tags": jpeg(exif=b"Exif\0\0" + TIFF + b"\1\0\x1a\1\5\0\xff\xff\xff\x7f\xff\xff\xff\x7f\0\0\0\0"),
    "EXIF elsewhere": jpeg(exif=b"Exif\0\0II*\0\xf0\xff\xff\xff"),
    "EXIF of many values": jpeg(exif=b"Exif\0\0" + TIFF + b"\1\0\x12\1\3\0\2\0\0\0\6\0\1\0\0\0\0\0"),
    "EXIF in PNG": with_chunks(PNG, chunk(b"eXIf", TIFF + b"\xff\xff")),
    "malformed MPO": with_segment(jpeg(), 0xE2, b"MPF\0" + TIFF + b"\xff\xff"),
    "frames twice": with_chunks(PNG, *[chunk(b"acTL", struct.pack(">II", 2, 0))] * 2),
    "no frames": with_chunks(PNG, chunk(b"acTL", struct.pack(">II", 0, 0))),
    "frames cut off": with_chunks(PNG, chunk(b"acTL", b"\0")),
    "frames after the pixels": PNG[:-12] + chunk(b"acTL", bytes(8)) * 2 + PNG[-12:],
    "frames and no end": PNG[:-12] + chunk(b"acTL", bytes(8)) * 2,
    "large frame": gif_of_another_size(10_000, 9_500),
    "larger frame": gif_of_another_size(60_000, 60_000),
    "large": with_chunks(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 9_400, 9_600, 8, 0, 0, 0, 0))),
    "transparency of bytes": image_bytes(np.zeros((4, 4), np.uint8), "PNG", transparency=0),
}


def palette() -> bytes:
    picture, file = Image.new("P", (4, 4)), io.BytesIO()
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.save(file, "PNG", transparency=b"\x80\x40")
    return file.getvalue()


@pytest.fixture
def heard() -> Iterator[list[warnings.WarningMessage]]:
    """What is warned of while a test runs, all of it."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found


READERS: list[Callable[[Path], object]] = [read_image, prepare, lambda path: prepare(path, (5, 5, 3))]


@pytest.mark.parametrize("reader", READERS, ids=["row", "digit", "picture"])
@pytest.mark.parametrize("content", [*ODD.values(), palette()], ids=[*ODD, "palette"])
def test_no_library_warns_of_an_odd_picture(
    heard: list[warnings.WarningMessage], tmp_path: Path, reader: Callable[[Path], object], content: bytes
) -> None:
    path = tmp_path / "i"
    path.write_bytes(content)
    try:
        reader(path)
    except SumtooneError as error:
        assert str(error)
    assert [str(each.message) for each in heard] == []


KINDS = [("PNG", {}), ("JPEG", {"exif": b"Exif\0\0" + TIFF + b"\1\0\x12\1\3\0\1\0\0\0\6\0\0\0"}), ("GIF", {})]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_no_library_warns_of_a_damaged_picture(tmp_path: Path, data: st.DataObject, kind: tuple[str, dict]) -> None:
    path = tmp_path / "i"
    path.write_bytes(data.draw(damaged(image_bytes(pictures(1, (9, 8, 3))[0], kind[0], **kind[1]))))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for reader in READERS:
            try:
                reader(path)
            except SumtooneError as error:
                assert str(error)
    assert [str(each.message) for each in found] == []
