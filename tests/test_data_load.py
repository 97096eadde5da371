"""One name or path in, one data set out: which reader is chosen, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

import sumtoone
from sumtoone import DataError, Dataset, DtypeError, UnavailableError, load
from sumtoone.data import named

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 2, 3)).astype(np.uint8)
LABELS = (np.arange(40) % 2).astype(np.uint8)


def idx_folder(path: Path) -> Path:
    path.mkdir()
    for part, rows in (("train", slice(30)), ("t10k", slice(30, None))):
        for kind, array in (("images-idx3", PIXELS[rows]), ("labels-idx1", LABELS[rows])):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            (path / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return path


def class_folders(path: Path) -> Path:
    for number, (pixels, label) in enumerate(zip(PIXELS, LABELS, strict=True)):
        folder = path / f"{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return path


def npz_file(path: Path) -> Path:
    np.savez(path, x=PIXELS[:30], y=LABELS[:30], x_test=PIXELS[30:], y_test=LABELS[30:])
    return path


def table(label: str) -> pa.Table:
    columns = {f"x{place}": column for place, column in enumerate(PIXELS.reshape(40, 6).T)}
    return pa.table({**columns, label: LABELS, "split": ["train"] * 30 + ["test"] * 10})


def csv_file(path: Path, label: str = "label") -> Path:
    table(label).to_pandas().to_csv(path, index=False)
    return path


def parquet_file(path: Path, label: str = "label") -> Path:
    pyarrow.parquet.write_table(table(label), path)
    return path


def pairs(dataset: Dataset, *splits: str) -> list[tuple[float, ...]]:
    """Return the rows with their labels, in the order of their values."""
    found = [getattr(dataset, split) for split in splits]
    rows = [(*row.tolist(), int(label)) for split in found for row, label in zip(*split, strict=True)]
    return sorted(rows)


EVERYTHING = sorted((*row.tolist(), int(label)) for row, label in zip(PIXELS.reshape(40, 6), LABELS, strict=True))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (idx_folder, "idx"),
        (class_folders, "classes"),
        (npz_file, "a.npz"),
        (csv_file, "a.csv"),
        (parquet_file, "a.parquet"),
    ],
)
def test_every_kind_of_path_gives_the_same_rows(make: object, name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name)  # type: ignore[operator]
    for given in (path, str(path)):
        dataset = load(given)
        assert pairs(dataset, "train", "validation", "test") == EVERYTHING
        assert dataset.classes == ("0", "1")
        if make is not class_folders:
            assert np.array_equal(dataset.test.inputs.numpy(), PIXELS[30:].reshape(10, 6))


@pytest.mark.parametrize(("make", "name"), [(npz_file, "B.NPZ"), (csv_file, "B.CSV"), (parquet_file, "B.Parquet")])
def test_suffixes_in_capitals(make: object, name: str, tmp_path: Path) -> None:
    made = make(tmp_path / name.lower())  # type: ignore[operator]
    made.rename(tmp_path / name)
    assert len(load(tmp_path / name).test) == 10


@pytest.mark.parametrize(("make", "name"), [(csv_file, "a.csv"), (parquet_file, "a.parquet")])
def test_the_label_column_by_another_name(make: object, name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, label="which")  # type: ignore[operator]
    assert pairs(load(path, label="which"), "train", "validation", "test") == EVERYTHING
    with pytest.raises(DataError):
        load(path)


def test_a_name_wins_and_a_path_says_that_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    idx_folder(tmp_path / "digits")
    assert load("digits").features == 784
    for path in ("./digits", Path("digits"), tmp_path / "digits"):
        assert load(path).features == 6


def test_a_word_that_is_no_name_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    idx_folder(tmp_path / "mine")
    assert load("mine").name == "mine"


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    npz_file(tmp_path / "a.npz")
    assert load("~/a.npz").features == 6


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("mnsit", "did you mean mnist?"),
        ("MNIST", "did you mean mnist?"),
        ("fashion_mnist", "did you mean fashion-mnist?"),
        ("emnist-leters", "did you mean emnist-letters?"),
        ("xyz", "choose one of " + ", ".join(named.names())),
    ],
)
def test_no_such_name(given: str, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        load(given)
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "There is no data set of this name, and no file or folder either [source-unknown]\n"
        "  expected: a name that 'sumtoone data list' shows, or a path\n"
        f"  got: {given}\n"
        f"  try: {hint}"
    )


@pytest.mark.parametrize(
    ("given", "path", "what"),
    [
        ("no/such/folder", "no/such/folder", "No such file or directory"),
        ("nothing.csv", "nothing.csv", "No such file or directory"),
        (Path("nothing"), "nothing", "No such file or directory"),
        ("./" + "b" * 300, "./" + "b" * 300, "File name too long"),
        ("a/\0", r"a/\x00", None),
    ],
)
def test_no_such_path(given: str | Path, path: str, what: str | None) -> None:
    if what is None:
        # Python's own words, which differ between versions.
        with pytest.raises(ValueError, match="null") as own:
            Path(given).stat()
        what = str(own.value)
    with pytest.raises(DataError) as caught:
        load(given)
    assert str(caught.value) == (
        "This path leads to no file or folder [data-missing-path]\n"
        "  expected: the path of a file or folder that is there\n"
        f"  got: {path}: {what}\n"
        "  try: check the spelling, give the whole path, or copy the data to another place"
    )


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (3, "int"),
        (None, "NoneType"),
        (b"digits", "bytes"),
        (os.fsencode("a.csv"), "bytes"),
        (np.zeros((2, 2)), "ndarray"),
        (["digits"], "list"),
    ],
)
def test_what_is_neither_name_nor_path(given: object, kind: str) -> None:
    with pytest.raises(DtypeError) as caught:
        load(given)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "load does not take this as name_or_path [argument-type]\n"
        "  expected: str | Path\n"
        f"  got: {kind}\n"
        "  try: Dataset.from_arrays(x, y), load(str(path))"
    )


@pytest.mark.parametrize("label", [3, None, b"label"])
@pytest.mark.parametrize("given", ["digits", "a.csv"])
def test_a_label_that_is_no_name(given: str, label: object) -> None:
    with pytest.raises(DtypeError) as caught:
        load(given, label=label)  # type: ignore[arg-type]
    assert (caught.value.message, caught.value.expected, caught.value.got) == (
        "load does not take this as label",
        "str",
        type(label).__name__,
    )


@pytest.mark.parametrize("given", ["~nobody-of-this-name/x.csv", "~nobody\0/x.csv", "~\udcff/x.csv", ""])
def test_homes_that_there_are_not_and_nothing_at_all(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(idx_folder(tmp_path / "here"))
    for path in (given, Path(given)) if given else (given,):
        with pytest.raises(DataError) as caught:
            load(path)
        assert caught.value.code == "data-missing-path"


@pytest.mark.parametrize("variable", ["SUMTOONE_DATA", "SUMTOONE_CACHE"])
def test_folders_of_the_environment_that_lead_nowhere(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "~nobody-of-this-name/data")
    monkeypatch.setenv("SUMTOONE_OFFLINE", "1")
    with pytest.raises(UnavailableError) as caught:
        load("kmnist")
    assert caught.value.code == "source-offline"


def test_a_path_that_no_run_could_write_down(tmp_path: Path) -> None:
    # A name in Latin-1, as old archives unpack.
    path = npz_file(tmp_path / "a.npz").rename(tmp_path / os.fsdecode(b"n\xe9.npz"))
    with pytest.raises(DataError) as caught:
        load(path)
    assert caught.value.code == "dataset-text"
    assert caught.value.got == r"'n\udce9.npz' for name"


def test_another_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"MATLAB")
    with pytest.raises(DataError) as caught:
        load(tmp_path / "a.mat")
    assert str(caught.value) == (
        "sumtoone does not read data from this kind of file [source-kind]\n"
        "  expected: a .npz, .csv or .parquet file, or a folder of IDX files or of class folders of images\n"
        f"  got: {tmp_path / 'a.mat'}\n"
        "  try: numpy.savez('data.npz', x=inputs, y=labels) writes a file it reads"
    )


def test_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, sumtoone.data; from sumtoone.data import named, sources;"
        "named.names(); [named.find(source) for source in sources.SOURCES.values()];"
        "print(sorted({'torch', 'numpy', 'requests', 'mlxtend', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_names_of_the_package() -> None:
    assert sumtoone.load is sumtoone.data.load
    assert sumtoone.data.Dataset is Dataset
    with pytest.raises(AttributeError) as caught:
        sumtoone.data.missing  # noqa: B018
    assert str(caught.value) == "module 'sumtoone.data' has no attribute 'missing'"


# What may do everything is made to respect permissions, as the tests may run as root.
UNPRIVILEGED = """
import ctypes, os, sys
from pathlib import Path
import mlxtend.data, PIL.Image, pyarrow.csv, pyarrow.parquet, torch
from sumtoone import SumtooneError, load
from sumtoone.photos import prepare

system = ctypes.CDLL(None)
header, capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert system.capget(header, capabilities) == 0
capabilities[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
assert system.capset(header, capabilities) == 0
for path in sys.argv[1:]:
    try:
        (prepare if path.endswith("png") else load)(path)
    except SumtooneError as error:
        print(error.code, error.got)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's capabilities")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    closed, seen = class_folders(tmp_path / "closed"), class_folders(tmp_path / "seen")
    npz_file(closed / "a.npz")
    files = [npz_file(tmp_path / "a.npz"), csv_file(tmp_path / "a.csv"), parquet_file(tmp_path / "a.parquet")]
    files += [tmp_path / "a.png", idx_folder(tmp_path / "idx") / "train-labels-idx1-ubyte"]
    Image.fromarray(PIXELS[0]).save(files[3])
    inside, archive = class_folders(tmp_path / "inside") / "1", tmp_path / "cache" / "emnist" / "gzip.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"PK")
    wanted = {
        str(closed): closed,
        str(closed / "0"): closed / "0",
        str(closed / "a.npz"): closed / "a.npz",
        str(seen): seen / "0",
        str(tmp_path / "inside"): inside,
        str(tmp_path / "idx"): files[4],
        **{str(file): file for file in files[:4]},
        "emnist-letters": archive,
    }
    modes = {closed: 0, seen: 0o444, inside: 0, archive: 0, **dict.fromkeys(files, 0)}
    for path, mode in modes.items():
        path.chmod(mode)
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, *wanted],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "SUMTOONE_CACHE": str(tmp_path / "cache"), "SUMTOONE_DATA": ""},
        )
    finally:
        for path in modes:
            path.chmod(0o755)
    assert done.stdout.splitlines() == [f"data-permission {path}" for path in wanted.values()]
