"""Tables, archives and folders as programs and collections write them: the same numbers, or a true refusal."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datafiles import image_bytes, refusal
from sumtoone import DataError, Dataset, load

RNG = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {
        "width": RNG.normal(size=60).round(4),
        "long side": RNG.normal(size=60).round(3) * 1000,
        "label": ["ant", "bee"] * 30,
    }
)
some_files = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fingerprint(frame: pandas.DataFrame, folder: Path, label: str = "label") -> str:
    frame.to_csv(folder / "plain.csv", index=False)
    return load(folder / "plain.csv", label=label).fingerprint


def written(**options: object) -> bytes:
    return FRAME.to_csv(index=False, **options).encode()  # type: ignore[arg-type]


def zipped(content: bytes, **more: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.csv", content)
        for name, other in more.items():
            archive.writestr(name, other)
    return stream.getvalue()


def r_table() -> bytes:
    """What write.table of R writes: no name over the names of the rows."""
    lines = ['"width" "long side" "label"']
    lines += [f'"{number}" {row[0]!r} {row[1]!r} "{row[2]}"' for number, row in enumerate(FRAME.values.tolist(), 1)]
    return "\n".join(lines).encode()


WAYS = {
    "semicolons.csv": written(sep=";"),
    "tabs.csv": written(sep="\t"),
    "tabs.tsv": written(sep="\t"),
    "bars.txt": written(sep="|"),
    "spaces.txt": written(sep=" "),
    "decimal commas.csv": written(sep=";", decimal=","),
    "decimal commas in quotes.csv": written(decimal=",", quoting=1),
    "decimal commas and tabs.tsv": written(sep="\t", decimal=","),
    "sep.csv": b"sep=;\r\n" + written(sep=";"),
    "windows.csv": written(lineterminator="\r\n"),
    "mac.csv": written(lineterminator="\r"),
    "utf-8 with a mark.csv": b"\xef\xbb\xbf" + written(),
    "utf-16.csv": FRAME.to_csv(index=False).encode("utf-16"),
    "utf-16-le without a mark.csv": FRAME.to_csv(index=False).encode("utf-16-le"),
    "utf-16-be without a mark.csv": FRAME.to_csv(index=False).encode("utf-16-be"),
    "utf-32.csv": FRAME.to_csv(index=False).encode("utf-32"),
    "excel's unicode text.txt": FRAME.to_csv(index=False, sep="\t", lineterminator="\r\n").encode("utf-16"),
    "packed.csv.gz": gzip.compress(written()),
    "packed.csv.bz2": bz2.compress(written()),
    "packed.tsv.xz": lzma.compress(written(sep="\t")),
    "packed.csv.zst": pyarrow.Codec("zstd").compress(written(), asbytes=True),
    "packed.csv.zip": zipped(written()),
    "packed on a mac.csv.zip": zipped(written(), **{"__MACOSX/._train.csv": b"junk"}),
    "packed, though it does not say so.csv": gzip.compress(written(sep=";", decimal=",")),
    "quotes everywhere.csv": written(quoting=1),
    "from R.txt": r_table(),
    "no line end.csv": written().rstrip(b"\n"),
    "blank lines above.csv": b"\n\n" + written(),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_table_is_the_same_however_it_is_written(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(WAYS[name])
    found = load(tmp_path / name)
    assert found.fingerprint == fingerprint(FRAME, tmp_path)
    assert found.columns == ("width", "long side")


def test_names_and_cells_over_several_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"length\n(cm)",label,"a\r\nb"\n1,"x",3\n2,"y","4"\n')
    data = load(tmp_path / "t.csv", whole=True)
    assert data.columns == ("length\n(cm)", "a\r\nb")
    assert data.test.inputs.tolist() == [[1, 3], [2, 4]]
    (tmp_path / "t.csv").write_text('a,label\n1,"x\n"\n2,"x\n"\n3,y\n')
    assert load(tmp_path / "t.csv", whole=True).classes == ("x", "y")


@pytest.mark.parametrize("words", [("True", "False"), ("TRUE", "FALSE"), ("true", "false")])
def test_truths_are_one_and_zero(words: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"red,x,label\n{words[0]},1,a\n{words[1]},2,b\n {words[0]},3,b\n")
    assert load(tmp_path / "t.csv", whole=True).test.inputs.tolist() == [[1, 1], [0, 2], [1, 3]]
    (tmp_path / "t.csv").write_text(f"red,x,label\n{words[0]},1,a\nyes,2,b\n")
    assert refusal(lambda: load(tmp_path / "t.csv"))[0] == "data-table-type"


# --- decimal marks


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,5", "2,25"], [1.5, 2.25]),
        (["1.234,5", "7"], [1234.5, 7]),
        (["1.234", "0,5"], [1234, 0.5]),
        (["-1,5e3", "+2,0"], [-1500, 2]),
        (["38,153.50", "1,000"], [38153.5, 1000]),
        (["1,234,567", "12"], [1234567, 12]),
        (["0,125", "3,333"], [0.125, 3.333]),
    ],
)
def test_decimal_marks_that_are_certain(cells: list[str], values: list[float], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;label\n" + "".join(f"{cell};{n}\n" for n, cell in enumerate(cells)))
    assert load(tmp_path / "t.csv", whole=True).test.inputs[:, 0].tolist() == np.float32(values).tolist()
    (tmp_path / "t.csv").write_text("a,label\n" + "".join(f'"{cell}",{n}\n' for n, cell in enumerate(cells)))
    assert load(tmp_path / "t.csv", whole=True).test.inputs[:, 0].tolist() == np.float32(values).tolist()


@pytest.mark.parametrize(
    "cells", [["1,234", "5"], ["1,234", "2,345"], ["1,5", "1.5"], ["1,5", "1,234.5"], ["1,234", "1.5"]]
)
def test_decimal_marks_that_could_be_either_are_refused(cells: list[str], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;label\n" + "".join(f"{cell};{n}\n" for n, cell in enumerate(cells)))
    with pytest.raises(DataError) as caught:
        load(tmp_path / "t.csv", whole=True)
    assert (caught.value.code, caught.value.got) == (
        "data-table-mark",
        f"'{cells[0]}' in row 1, column a of {tmp_path / 't.csv'}",
    )


@some_files
@given(st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 2)), min_size=3, max_size=20))
def test_a_decimal_comma_is_a_decimal_point(tmp_path: Path, values: list[float]) -> None:
    values = [0.25, *values]
    frame = pandas.DataFrame({"a": values, "label": np.arange(len(values)) % 2})
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";", decimal=",", float_format="%.2f")
    found = load(tmp_path / "t.csv", whole=True).test.inputs[:, 0].numpy().astype(np.float32)
    assert found.tolist() == np.float32(values).tolist()


@pytest.mark.parametrize("start", [10**17, -(10**18), 2**53])
def test_identifiers_that_float64_cannot_tell_apart_are_refused(tmp_path: Path, start: int) -> None:
    frame = pandas.DataFrame({"id": start + np.arange(40), "label": np.arange(40) % 2})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", x=frame[["id"]].to_numpy(), y=frame["label"])
    for name in ("t.csv", "t.parquet", "t.npz"):
        assert refusal(lambda name=name: load(tmp_path / name))[0] == "array-precision"
    # Written in two ways, it is the same number.
    (tmp_path / "t.csv").write_text(f"id,label\n{start},a\n {start}.0,b\n{start},a\n")
    assert len(load(tmp_path / "t.csv", whole=True).test) == 3


# --- encodings and delimiters


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("길이,너비,종\n1,2,장미\n3,4,튤립\n5,6,장미\n", "cp949"),
        ("長さ,幅,種類\n1,2,バラ\n3,4,チューリップ\n", "cp932"),
    ],
)
def test_other_encodings_are_read_with_a_word_where_there_is_one_way(tmp_path: Path, text: str, encoding: str) -> None:
    label = text.splitlines()[0].split(",")[2]
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    with pytest.warns(UserWarning, match=f"t.csv is not written in UTF-8; it is read as {encoding}"):
        found = load(tmp_path / "t.csv", label=label, whole=True)
    (tmp_path / "u.csv").write_text(text)
    assert found.fingerprint == load(tmp_path / "u.csv", label=label, whole=True).fingerprint


@pytest.mark.parametrize("text", ["a,종\n1,가\n2,나\n".encode("cp949"), "a,label\n1,naïve\n2,b\n".encode("cp1252")])
def test_encodings_that_could_be_either_are_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(DataError) as caught:
        load(tmp_path / "t.csv")
    assert caught.value.code == "data-csv-encoding"
    assert "cp" in caught.value.got


def test_delimiters_that_could_be_either_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;b|label;c\n1;2|x;3\n4;5|y;6\n")
    assert refusal(lambda: load(tmp_path / "t.csv", label="d")) == (
        "data-csv-delimiter",
        "one character that stands between all cells",
        f"';', '|' in {tmp_path / 't.csv'}",
    )


def test_a_delimiter_at_the_end_of_rows_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,label\n1,x,\n2,y,\n")
    assert refusal(lambda: load(tmp_path / "t.csv"))[:2] == ("data-table-ragged", "2 cells")
    (tmp_path / "t.csv").write_text("a\tlabel\n1\tx\t\n2\ty\t\n")
    assert refusal(lambda: load(tmp_path / "t.csv"))[:2] == ("data-table-ragged", "2 cells")


def test_a_decimal_comma_between_commas_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,label\n1,5,x\n2,5,y\n3,5,x\n")
    assert refusal(lambda: load(tmp_path / "t.csv"))[:2] == ("data-table-ragged", "2 cells")


def test_packed_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv.zip").write_bytes(zipped(written(), other=b"a"))
    assert refusal(lambda: load(tmp_path / "t.csv.zip"))[::2] == (
        "data-csv-archive",
        f"2 files in {tmp_path / 't.csv.zip'}",
    )
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(written())[:-20])
    assert refusal(lambda: load(tmp_path / "t.csv.gz"))[0] == "data-csv-broken"
    # A quarter of a gigabyte of nothing in some kilobytes.
    (tmp_path / "t.csv.xz").write_bytes(lzma.compress(b"a,label\n" + b"\n" * 2**26, preset=0) * 4)
    assert refusal(lambda: load(tmp_path / "t.csv.xz"))[0] == "data-ratio"


# --- arrays as libraries lay them

PIXELS = RNG.integers(0, 256, (40, 5, 4)).astype(np.uint8)
LABELS = np.arange(40) % 3
PLAIN = Dataset.from_arrays(PIXELS, LABELS).fingerprint


@pytest.mark.parametrize(
    "arrays",
    [
        {"arr_0": PIXELS, "arr_1": LABELS},
        {"x": PIXELS[:, None], "y": LABELS},
        {"x": PIXELS[..., None], "y": LABELS[:, None]},
        {"x": PIXELS, "y": np.eye(3)[LABELS]},
        {"images": PIXELS, "labels": np.eye(3, dtype=np.uint8)[LABELS]},
        {"X": PIXELS, "target": np.eye(3, dtype=bool)[LABELS]},
    ],
)
def test_arrays_as_libraries_lay_them(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    found = load(tmp_path / "t.npz")
    assert found.fingerprint == PLAIN
    assert found.image_shape == (5, 4)
    assert Dataset.from_arrays(*arrays.values()).fingerprint == PLAIN


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "i8", "u2", "u4", "f2", "f8", "?"])
def test_whole_numbers_are_rows_of_numbers(tmp_path: Path, kind: str) -> None:
    rows = (PIXELS.reshape(40, -1) % 2).astype(kind)
    np.savez(tmp_path / "t.npz", x=rows, y=LABELS)
    assert load(tmp_path / "t.npz").fingerprint == Dataset.from_arrays(rows.astype(np.float32), LABELS).fingerprint


def test_channels_first_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.zeros((40, 3, 5, 4), np.uint8), y=LABELS)
    assert refusal(lambda: load(tmp_path / "t.npz"))[0] == "data-npz-shape"


# --- folders as collections lay them


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


IDX = {
    "train-images-idx3-ubyte": idx(PIXELS),
    "train-labels-idx1-ubyte": idx(LABELS),
    "t10k-images-idx3-ubyte": idx(PIXELS[:9]),
    "t10k-labels-idx1-ubyte": idx(LABELS[:9]),
}


@pytest.mark.parametrize("form", ["{0}", "raw/{0}", "MNIST/raw/{0}", "{0}.gz", "{0}/{1}", "{1}"])
def test_idx_files_where_collections_put_them(tmp_path: Path, form: str) -> None:
    for name, content in IDX.items():
        path = tmp_path / "d" / form.format(name, name.replace("-idx", ".idx"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if form.endswith("gz") else content)
    data = load(tmp_path / "d")
    wanted = Dataset.from_arrays(PIXELS, LABELS, test=(PIXELS[:9], LABELS[:9]))
    assert (data.fingerprint, data.name) == (wanted.fingerprint, "d")


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("training", "val", "testing"), ("Train", "valid", "Test")]
)
@pytest.mark.parametrize("above", ["", "inner", "two/deep"])
def test_splits_by_their_usual_names(tmp_path: Path, names: tuple[str, ...], above: str) -> None:
    home = tmp_path / "d" / above
    for split, name in enumerate(names):
        for label in "01":
            (home / name / label).mkdir(parents=True)
            for number in range(4 - split):
                picture = np.full((3, 3), 50 * number + split, np.uint8)
                (home / name / label / f"{number}.png").write_bytes(image_bytes(picture))
    for litter in ("__MACOSX/0/._a.png", ".DS_Store", "Thumbs.db"):
        (tmp_path / "d" / litter).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / litter).write_bytes(b"junk")
    data = load(tmp_path / "d")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [8, 6, 4]
    assert data.classes == ("0", "1")
    shutil.copytree(home / names[1], home / "dev")
    assert refusal(lambda: load(tmp_path / "d"))[0] == "data-folder-twice"


def test_splits_of_tables_by_their_usual_names(tmp_path: Path) -> None:
    rows = FRAME.assign(split=["Training"] * 40 + ["val"] * 8 + ["testing"] * 12)
    rows.to_csv(tmp_path / "t.csv", index=False)
    data = load(tmp_path / "t.csv")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [40, 8, 12]
