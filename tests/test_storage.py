"""Files are whole or absent, and an altered one is noticed."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sumtoone.storage import json_from_bytes, json_to_bytes, tensors_from_bytes, tensors_to_bytes, write_atomically

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def _equal(one: object, two: object) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)


@given(st.dictionaries(st.text().filter(lambda key: key != "digest"), PLAIN, max_size=5))
def test_documents_round_trip(document: dict[str, object]) -> None:
    assert _equal(json_from_bytes(json_to_bytes(document)), document)


@given(st.data())
def test_one_changed_byte_is_noticed(data: st.DataObject) -> None:
    content = bytearray(json_to_bytes({"epoch": 3, "loss": 0.25, "name": "a b"}))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        document = json_from_bytes(bytes(content))
    except ValueError:
        return
    # Only white space between the parts may change without a word.
    assert document == {"epoch": 3, "loss": 0.25, "name": "a b"}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"3", b'{"digest": 1}', b"\xff\xfe", b"[" * 100_000])
def test_other_bytes_are_no_document(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError, and nothing else
        json_from_bytes(content)


def test_tensors_round_trip_to_the_bit() -> None:
    tensors = {"a": torch.randn(3, 4), "b.c": torch.tensor([float("nan"), -0.0]), "d": torch.arange(5)[::2]}
    again = tensors_from_bytes(tensors_to_bytes(tensors))
    assert set(again) == set(tensors)
    for name, tensor in tensors.items():
        assert again[name].numpy().tobytes() == tensor.contiguous().numpy().tobytes()


@given(st.binary(max_size=200))
def test_any_bytes_are_tensors_or_a_value_error(content: bytes) -> None:
    try:
        assert isinstance(tensors_from_bytes(content), dict)
    except ValueError as error:
        assert str(error)


def test_a_write_returns_the_digest_and_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write_atomically(path, b"old") == hashlib.sha256(b"old").hexdigest()
    write_atomically(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"new"


def test_a_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write_atomically(tmp_path / "ours", b"")
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_full_disk_keeps_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(OSError, match="File too large"):
            write_atomically(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_kill_9_leaves_the_old_bytes_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = (
        "import sys; from pathlib import Path; from sumtoone.storage import write_atomically\n"
        "while True:\n"
        "    for letter in (b'a', b'b'):\n"
        "        write_atomically(Path(sys.argv[1]), letter * 300_000)"
    )
    for wait in (0.05, 0.08, 0.13):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)])
        while not path.exists():
            time.sleep(0.005)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        content = path.read_bytes()
        assert content in (b"a" * 300_000, b"b" * 300_000)
        path.unlink()
