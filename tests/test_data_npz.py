from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from datafiles import assert_read_or_refused, damaged, growth, limited, npz_bytes, pictures, refusal, write_npz
from sumtoone.data import npz
from sumtoone.errors import DataError

X = pictures(12)
Y = np.arange(12) % 3


def npy_bytes(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def header_bytes(shape: object, descr: object = "|u1", version: int = 1) -> bytes:
    """The head of a .npy file that claims whatever is asked."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text


def write_zip(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


y_member = ("y.npy", npy_bytes(Y))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.float16, np.float32, np.float64, ">f4", ">f8"]),
        st.one_of(st.just((6, 3)), st.just((6, 3, 2)), st.just((6, 2, 2, 3)), st.just((6, 2, 3, 1))),
        elements=st.integers(0, 255),
    ),
    st.sampled_from(["C", "F"]),
    st.booleans(),
)
def test_what_was_saved_is_read(tmp_path: Path, x: np.ndarray, order: Any, packed: bool) -> None:
    path = tmp_path / "data.npz"
    (np.savez_compressed if packed else np.savez)(
        path, x=np.asarray(x, order=order), y=[0, 1] * 3, x_test=np.asarray(x, order=order), y_test=[1] * 6
    )
    data = npz.read(path)
    assert data.test.inputs.dtype == (torch.uint8 if x.dtype == np.uint8 else torch.float32)
    np.testing.assert_array_equal(data.test.inputs.numpy(), x.reshape(6, -1))
    shapes = {(3,): None, (3, 2): (3, 2), (2, 2, 3): (2, 2, 3), (2, 3, 1): (2, 3)}
    assert data.image_shape == shapes[x.shape[1:]]
    assert (data.name, data.classes) == ("data.npz", ("0", "1"))
    assert data.test.labels.tolist() == [1] * 6


def test_splits_are_respected_or_cut(tmp_path: Path) -> None:
    others = {"x_test": X[:3], "y_test": Y[:3], "x_validation": X[:2], "y_validation": Y[:2]}
    data = npz.read(write_npz(tmp_path / "a.npz", x=X, y=Y, **others))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [12, 2, 3]
    data = npz.read(write_npz(tmp_path / "a.npz", x=X, y=Y))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [9, 1, 2]


def test_labels_of_any_kind(tmp_path: Path) -> None:
    for y, classes in (
        (np.array(["개", "새"] * 6), ("개", "새")),
        (np.array([b"a", b"b"] * 6), ("a", "b")),
        (np.array([True, False] * 6), ("False", "True")),
        (np.array([2.0, -1.0] * 6, ">f4"), ("-1", "2")),
    ):
        data = npz.read(write_npz(tmp_path / "a.npz", x=X, y=y, x_test=X[:1], y_test=y[:1]))
        assert data.classes == classes
        assert classes[data.test.labels[0]] == str(y[:1].astype("U")[0]).removesuffix(".0")


def test_a_header_of_version_2_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", ("x.npy", npy_bytes(X, version=(2, 0))), y_member)
    assert npz.read(path).image_shape == (4, 5)


LARGE = np.float64(1e300)


@pytest.mark.parametrize(
    ("arrays", "code", "expected", "got"),
    [
        ({"x": X}, "data-npz-missing", "y", "x in {path}"),
        ({}, "data-npz-missing", "x", "- in {path}"),
        ({"x": X, "y": Y, "x_test": X}, "data-npz-missing", "y_test", "x, y, x_test in {path}"),
        ({"x": X, "y": Y, "y_validation": Y}, "data-npz-missing", "x_validation", "x, y, y_validation in {path}"),
        (
            {"x": X, "y": Y, "x_tset": X},
            "data-npz-key",
            "x, y, x_test, y_test, x_validation, y_validation",
            "x_tset.npy in {path}",
        ),
        (
            {"x": X, "y": Y.astype(object)},
            "data-npz-type",
            "numbers for inputs, numbers or text for labels; Python objects are never unpickled",
            "object for y in {path}",
        ),
        (
            {"x": X, "y": np.zeros(12, "M8[s]")},
            "data-npz-type",
            "numbers for inputs, numbers or text for labels; Python objects are never unpickled",
            "datetime64[s] for y in {path}",
        ),
        (
            {"x": X.astype(str), "y": Y},
            "data-npz-type",
            "numbers for inputs, numbers or text for labels; Python objects are never unpickled",
            f"{X.astype(str).dtype} for x in {{path}}",
        ),
        (
            {"x": X, "y": Y, "x_test": X / 2, "y_test": Y},
            "data-shapes",
            "uint8, as the rows to train have",
            "float32 in the test rows of {path}",
        ),
        (
            {"x": np.zeros((12, 3, 4, 4), np.uint8), "y": Y},
            "data-npz-shape",
            "shape (N, D), (N, H, W), (N, H, W, 1) or (N, H, W, 3)",
            "(12, 3, 4, 4) for x in {path}",
        ),
        (
            {"x": X[:, 0, 0], "y": Y},
            "data-npz-shape",
            "shape (N, D), (N, H, W), (N, H, W, 1) or (N, H, W, 3)",
            "(12,) for x in {path}",
        ),
        (
            {"x": X, "y": Y, "x_test": X[:, 1:], "y_test": Y},
            "data-shapes",
            "(4, 5), as the rows to train have",
            "(3, 5) in the test rows of {path}",
        ),
        (
            {"x": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, LARGE]]), "y": [0, 1]},
            "data-finite",
            "finite numbers",
            "1e+300 in row 2, column 3 of {path}: x",
        ),
        (
            {"x": np.array([[1.0, np.nan], [4.0, 5.0]]), "y": [0, 1]},
            "data-finite",
            "finite numbers",
            "nan in row 1, column 2 of {path}: x",
        ),
        (
            {"x": X, "y": Y[:11]},
            "data-rows-labels",
            "one label for each of the 12 rows to train",
            "11 labels in {path.name}",
        ),
        (
            {"x": X, "y": Y, "x_test": X, "y_test": Y + 1},
            "data-label-unseen",
            None,
            "'3' in the test rows of {path}: y_test",
        ),
        (
            {"x": X, "y": np.eye(12) * 2},
            "data-label-shape",
            "shape (N,), or a single 1 in each row of shape (N, K)",
            "shape (12, 12) in {path}: y",
        ),
        ({"x": X[:, :0], "y": Y}, "data-features", "1 to 10000000 values in a row", "0 in {path.name}"),
        ({"x": X[:0], "y": Y[:0]}, "data-rows", "1 to 100000000 rows to train", "0 rows in {path.name}"),
        ({"x": X, "y": Y * 0}, "data-one-class", "two classes or more", "only '0' in {path.name}"),
    ],
)
def test_arrays_that_make_no_data_set(
    tmp_path: Path, arrays: dict[str, Any], code: str, expected: str | None, got: str
) -> None:
    path = write_npz(tmp_path / "a.npz", **arrays)
    found, wanted, said = refusal(lambda: npz.read(path))
    assert (found, said) == (code, got.format(path=path))
    assert wanted == (expected or wanted)


def test_a_wrong_name_in_full(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", x=X, y=Y, x_tests=X)
    with pytest.raises(DataError) as caught:
        npz.read(path)
    assert str(caught.value) == (
        "sumtoone reads no array of this name [data-npz-key]\n"
        "  expected: x, y, x_test, y_test, x_validation, y_validation\n"
        f"  got: x_tests.npy in {path}\n"
        "  try: did you mean x_test?"
    )


@pytest.mark.parametrize(
    ("shape", "descr", "content", "code", "got"),
    [
        ((10**9,), "|u1", b"", "data-size", "0 bytes in {path}: x"),
        ((2**40, 2**40, 2**40), "|u1", b"", "data-size", "0 bytes in {path}: x"),
        ((-1, -4), "|u1", b"1234", "data-size", "4 bytes in {path}: x"),
        ((3,), "|u1", b"1234", "data-size", "4 bytes in {path}: x"),
        ((2, 2), "|O", b"1234", "data-npz-type", "object for x in {path}"),
        ((2, 2), "<U0", b"", "data-npz-type", "<U0 for x in {path}"),
        ((2, 2), "<u1, <u1", b"12345678", "data-npz-type", "<u1, <u1 for x in {path}"),
        (
            (2, 2),
            [("a", "<u1"), ("b", "<u1")],
            b"12345678",
            "data-npz-type",
            "[['a', '<u1'], ['b', '<u1']] for x in {path}",
        ),
        # Names of types at which NumPy warns.
        ((2, 2), "|a1", b"1234", "data-npz-type", "|a1 for x in {path}"),
        ((2, 2), "1u1", b"1234", "data-npz-type", "1u1 for x in {path}"),
        ((2, 2), "|V1", b"1234", "data-npz-type", "|V1 for x in {path}"),
    ],
)
def test_headers_that_claim_too_much(
    tmp_path: Path, shape: object, descr: object, content: bytes, code: str, got: str
) -> None:
    path = write_zip(tmp_path / "a.npz", ("x.npy", header_bytes(shape, descr) + content), y_member)
    found, _, said = refusal(lambda: npz.read(path))
    assert (found, said) == (code, got.format(path=path))


@pytest.mark.parametrize(
    "content",
    [
        b"no array",
        header_bytes("(" * 5000),
        header_bytes("(1.5,)"),
        header_bytes("'\\d'"),
        # What NumPy under Python 2 wrote, and names that Python warns of.
        header_bytes("(4L,)") + b"1234",
        header_bytes("(4if 1else 2,)") + b"1234",
        header_bytes("(True,)") + b"1",
        header_bytes((4,)).replace(b"False", b"'no'.") + b"1234",
        header_bytes((4,) + (1,) * 9000) + b"1234",
    ],
)
def test_headers_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = write_zip(tmp_path / "a.npz", ("x.npy", content), y_member)
    assert refusal(lambda: npz.read(path))[:2] == ("data-npz-broken", "a file as numpy.savez writes it")


def test_archives_that_numpy_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    member = ("x.npy", npy_bytes(X))
    write_zip(path, member, y_member, method=zipfile.ZIP_LZMA)
    expected = "a file as numpy.savez writes it"
    assert refusal(lambda: npz.read(path)) == (
        "data-npz-broken",
        expected,
        f"{path}: x.npy is compressed by method 14, which is neither 0 (stored) nor 8 (deflated)",
    )
    write_zip(path, ("x.npy", header_bytes((4,), version=2).replace(b"NUMPY\2", b"NUMPY\3")), y_member)
    assert (
        refusal(lambda: npz.read(path))[2]
        == f"{path}: x is in version 3.0 of the .npy format, which is neither 1.0 nor 2.0"
    )
    write_zip(path, ("../x.npy", npy_bytes(X)), y_member)
    assert refusal(lambda: npz.read(path))[2] == f"../x.npy in {path}"
    write_zip(path, ("inner.npz", npz_bytes(x=X, y=Y)))
    assert refusal(lambda: npz.read(path))[2] == f"inner.npz in {path}"
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_zip(path, member, member, y_member)
    assert refusal(lambda: npz.read(path)) == ("data-npz-broken", expected, f"{path}: x.npy is there 2 times")


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", ("x.npy", npy_bytes(X)), y_member)
    content = bytearray(path.read_bytes())
    # The flags, in the member's own head and in the list at the end.
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    assert refusal(lambda: npz.read(path)) == (
        "data-npz-broken",
        "a file as numpy.savez writes it",
        f"{path}: x.npy asks for a password",
    )


def test_a_long_or_64_bit_list_of_members_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", x=X, y=Y)
    content = path.read_bytes()
    end = content.rfind(b"PK\5\6")
    what = "its list of arrays is longer than 1048576 bytes, or in the 64-bit form"
    expected = ("data-npz-broken", "a file as numpy.savez writes it", f"{path}: {what}")
    path.write_bytes(content[: end + 12] + struct.pack("<I", 2**20 + 1) + content[end + 16 :])
    assert refusal(lambda: npz.read(path)) == expected
    path.write_bytes(content[:end] + b"PK\6\7" + bytes(16) + content[end:])
    assert refusal(lambda: npz.read(path)) == expected


def test_members_that_claim_more_than_they_can_hold(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", x=X, y=Y)
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\1\2") + 24
    for claim, code in ((2**30, "data-ratio"), (2**32 - 2, "data-too-large"), (5, "data-npz-broken")):
        content[place : place + 4] = struct.pack("<I", claim)
        path.write_bytes(content)
        assert refusal(lambda: npz.read(path))[0] == code


def test_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for content in (b"text", npy_bytes(X), b"PK\5\6"):
        path.write_bytes(content)
        assert refusal(lambda: npz.read(path)) == (
            "data-npz-broken",
            "a file as numpy.savez writes it",
            f"{path}: File is not a zip file",
        )
    assert refusal(lambda: npz.read(tmp_path))[0] == "data-path-kind"
    assert refusal(lambda: npz.read(tmp_path / "none"))[0] == "data-missing-path"


def test_a_header_that_claims_gigabytes_costs_little(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    head = b"\x93NUMPY\2\0" + struct.pack("<I", 2**27)
    write_zip(path, ("x.npy", head + bytes(2**27 - 100)), y_member)
    call = f"npz.read(Path({str(path)!r}))"
    result = subprocess.run([sys.executable, "-c", limited(call)], capture_output=True, text=True, check=True)
    code, memory = result.stdout.split()
    assert code == "data-npz-broken"
    assert int(memory) < 2**15


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    y = np.array([Trap(), Trap()], object)
    path = write_npz(tmp_path / "a.npz", x=X[:2], y=y)
    assert refusal(lambda: npz.read(path))[0] == "data-npz-type"
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_read_or_refused(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.npz"
    (np.savez_compressed if packed else np.savez)(path, x=X, y=Y)

    @settings(deadline=None, max_examples=150)
    @given(damaged(path.read_bytes()))
    def check(broken: bytes) -> None:
        path.write_bytes(broken)
        assert_read_or_refused(npz.read, path)

    check()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(broken=damaged(npy_bytes(X)))
def test_damaged_arrays_in_whole_archives_are_read_or_refused(tmp_path: Path, broken: bytes) -> None:
    assert_read_or_refused(npz.read, write_zip(tmp_path / "a.npz", ("x.npy", broken), y_member))


def test_labels_in_a_column_are_labels(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", ("x.npy", npy_bytes(X)), ("y.npy", npy_bytes(Y[:, np.newaxis])))
    assert torch.equal(npz.read(path).train.labels, npz.read(write_npz(tmp_path / "b.npz", x=X, y=Y)).train.labels)


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "y_train", "X_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("data", "target", "x_test", "y_test"),
        ("images", "labels", "x_test", "y_test"),
        ("features", "labels", "x_test", "y_test"),
        ("X", "y", "x_test", "y_test"),
    ],
)
def test_the_names_of_other_libraries_mean_the_same_arrays(tmp_path: Path, names: tuple[str, ...]) -> None:
    members = [(f"{name}.npy", npy_bytes(array)) for name, array in zip(names, (X, Y, X, Y), strict=True)]
    data = npz.read(write_zip(tmp_path / "a.npz", *members))
    own = [(f"{name}.npy", npy_bytes(a)) for name, a in zip(("x", "y", "x_test", "y_test"), (X, Y, X, Y), strict=True)]
    same = npz.read(write_zip(tmp_path / "b.npz", *own))
    for part, other in ((data.train, same.train), (data.validation, same.validation), (data.test, same.test)):
        assert torch.equal(part.inputs, other.inputs)
        assert torch.equal(part.labels, other.labels)


def test_two_names_of_one_array_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", ("x.npy", npy_bytes(X)), ("x_train.npy", npy_bytes(X)), y_member)
    assert refusal(lambda: npz.read(path)) == (
        "data-npz-broken",
        "a file as numpy.savez writes it",
        f"{path}: x.npy is there 2 times",
    )


@pytest.mark.parametrize("kind", ["f4", "u1"])
def test_arrays_are_loaded_in_little_more_than_twice_their_size(tmp_path: Path, kind: str) -> None:
    rows, features = 200_000, 200 if kind == "u1" else 50
    np.savez(tmp_path / "t.npz", x=np.ones((rows, features), kind), y=np.arange(rows) % 10)
    before = "import sumtoone as s1, torch\ns1.load('digits')"
    size = rows * features * np.dtype(kind).itemsize
    assert growth(before, f"s1.load({str(tmp_path / 't.npz')!r})") < 2.2 * size + 40 * rows
