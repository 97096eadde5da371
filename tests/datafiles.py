"""Writers of small data files, and the ways to damage them."""

from __future__ import annotations

import csv
import gzip
import io
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from sumtoone.data.dataset import Dataset
from sumtoone.errors import SumtooneError


def idx_bytes(array: NDArray[np.uint8], kind: int = 8) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(path: Path, array: NDArray[np.uint8]) -> Path:
    """An IDX file, gzip where the name says so."""
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def npz_bytes(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def write_npz(path: Path, **arrays: Any) -> Path:
    path.write_bytes(npz_bytes(**arrays))
    return path


def csv_text(columns: dict[str, Sequence[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()


def parquet_bytes(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def image_bytes(pixels: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def pictures(rows: int, shape: tuple[int, ...] = (4, 5), seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (rows, *shape), dtype=np.uint8)


def damaged(valid: bytes) -> st.SearchStrategy[bytes]:
    """What is left of valid bytes after some of them are changed, cut off, doubled or thrown together."""
    places = st.integers(0, len(valid))
    changed = st.lists(st.tuples(st.integers(0, len(valid) - 1), st.integers(0, 255)), min_size=1, max_size=8)
    # Numbers at the edges of what a header can hold.
    edges = st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff" * 8, b"\0" * 16])
    return st.one_of(
        changed.map(lambda pairs: _replaced(valid, pairs)),
        places.map(lambda end: valid[:end]),
        st.tuples(places, places).map(lambda cut: valid[: cut[0]] + valid[cut[1] :]),
        st.tuples(places, edges).map(lambda cut: valid[: cut[0]] + cut[1] + valid[cut[0] + len(cut[1]) :]),
        st.tuples(places, st.binary(max_size=20)).map(lambda cut: valid[: cut[0]] + cut[1] + valid[cut[0] :]),
    )


def _replaced(valid: bytes, pairs: list[tuple[int, int]]) -> bytes:
    content = bytearray(valid)
    for place, value in pairs:
        content[place] = value
    return bytes(content)


def assert_read_or_refused(reader: Callable[[Path], Dataset], path: Path) -> None:
    """The promise about hostile files: a data set that keeps its own, or an error of ours with all its words."""
    error, data = _outcome(lambda: reader(path))
    if isinstance(error, SumtooneError):
        assert error.exit_code == 3
        assert all(character.isprintable() or character == "\n" for character in str(error))
    else:
        assert len(data.train) >= 1
        assert len(data.classes) >= 2
        assert data.train.inputs.isfinite().all()
        assert int(data.train.labels.max()) < len(data.classes)


def refusal(call: Callable[[], object]) -> tuple[str, str, str]:
    """The code of the error that a call raises, what it says it expected and what it says it got."""
    error, _ = _outcome(call)
    assert isinstance(error, SumtooneError), "nothing was refused"
    assert error.message
    assert error.try_
    return error.code, error.expected, error.got


def _outcome(call: Callable[[], Any]) -> tuple[SumtooneError | None, Any]:
    try:
        return None, call()
    except SumtooneError as error:
        return error, None


# The peak of this process's memory from here on, in KiB. What getrusage tells is inherited from the parent.
PEAK = """
def peak(reset=False):
    if reset:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1])
"""

# Run in a process of its own: a memory limit cannot be taken back. 1 GiB on top of what the imports hold.
LIMITED = """
    import resource, sys
    from pathlib import Path
    import torch, numpy, PIL.Image, pyarrow.csv, pyarrow.parquet
    from sumtoone.data import folders, idx, npz, tables
    from sumtoone.errors import SumtooneError
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + {room}
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = peak(reset=True)
    try:
        {call}
    except SumtooneError as error:
        print(error.code, peak() - before)
"""


def limited(call: str, room: int = 2**30) -> str:
    """The program that makes a call under a memory limit and prints the error's code and the memory it took, in KiB."""
    return PEAK + textwrap.dedent(LIMITED).format(call=call, room=room)


GROWTH = """
{peak}
{before}
_before = peak(reset=True)
{call}
print(1024 * (peak() - _before))
"""


def growth(before: str, call: str) -> int:
    """The bytes that the peak of a new process's memory grows by in a call, after what comes before it."""
    program = GROWTH.format(peak=PEAK, before=textwrap.dedent(before), call=textwrap.dedent(call))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return int(done.stdout.split()[-1])
