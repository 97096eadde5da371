from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from datafiles import assert_read_or_refused, csv_text, damaged, growth, limited, parquet_bytes, refusal
from sumtoone.data import tables
from sumtoone.errors import DataError

COLUMNS = {"width": [0.5, 1.5] * 6, "height": list(range(12)), "label": ["cat", "dog"] * 6}
PARTS = ["train"] * 8 + ["test"] * 3 + ["validation"]

some_files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, columns: dict[str, Any]) -> Path:
    """A table of the kind that the name says."""
    if path.suffix.lower() == ".csv":
        path.write_text(csv_text(columns), encoding="utf-8")
    else:
        path.write_bytes(parquet_bytes(columns))
    return path


def write_csv(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


both = pytest.mark.parametrize("name", ["t.csv", "t.parquet", "T.CSV"])


@both
def test_the_label_column_and_the_numbers(tmp_path: Path, name: str) -> None:
    columns = {**COLUMNS, "split": PARTS}
    data = tables.read(write(tmp_path / name, columns))
    assert (data.name, data.classes, data.image_shape, data.features) == (name, ("cat", "dog"), None, 2)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [8, 1, 3]
    assert data.train.inputs.tolist() == [
        [width, height] for width, height in zip([0.5, 1.5] * 4, range(8), strict=True)
    ]
    assert data.test.inputs.tolist() == [[0.5, 8.0], [1.5, 9.0], [0.5, 10.0]]
    assert (data.test.labels.tolist(), data.validation.labels.tolist()) == ([0, 1, 0], [1])


@both
def test_without_split_or_with_some_of_it_the_rest_is_cut(tmp_path: Path, name: str) -> None:
    data = tables.read(write(tmp_path / name, COLUMNS))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [9, 1, 2]
    data = tables.read(write(tmp_path / name, {**COLUMNS, "split": ["train "] * 10 + ["test"] * 2}))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [9, 1, 2]


@both
def test_another_column_of_labels(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"a": [1, 2], "split": ["x", "y"]})
    assert tables.read(path, label="split").classes == ("x", "y")
    path = write(tmp_path / name, {"label": [1, 2], "class": [10, 9]})
    data = tables.read(path, label="class")
    assert (data.classes, data.train.inputs.tolist(), data.train.labels.tolist()) == (
        ("9", "10"),
        [[1.0], [2.0]],
        [1, 0],
    )


# What people and programs write for a number.
numbers = st.one_of(
    st.integers(-(10**15), 10**15).map(str),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1.", ".5", "+3", "-0", " 2", "1e3", "1E-3", "007"]),
)


@some_files
@given(st.lists(st.tuples(numbers, numbers, st.sampled_from("ab")), min_size=2, max_size=30))
@example([("0", "0", "a")] * 6 + [("-999999953436673", "0", "a"), ("-999999953436674", "0", "a")])
def test_csv_is_what_the_csv_module_and_float_read(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    rows = [(*rows[0][:2], "a"), (*rows[1][:2], "b"), *rows[2:]]
    content = csv_text(
        {
            "x": [r[0] for r in rows],
            "y": [r[1] for r in rows],
            "label": [r[2] for r in rows],
            "split": ["train"] * len(rows),
        }
    )
    path = write_csv(tmp_path / "t.csv", content)
    _, *oracle = csv.reader(io.StringIO(content))
    exact = np.array([[float(x), float(y)] for x, y, *_ in oracle])
    try:
        data = tables.read(path)
    except DataError as error:
        # Different values that would be one to the network.
        assert error.code == "array-precision"
        columns = [np.unique(column) for column in exact.T]
        scaled = [
            ((column - mean) / (std or 1.0)).astype(np.float32)
            for column, mean, std in zip(columns, exact.mean(0), exact.std(0), strict=True)
        ]
        assert any((np.diff(column) == 0).any() for column in (*scaled, *(each.astype(np.float32) for each in columns)))
        return
    found = np.concatenate([data.train.inputs, data.validation.inputs, data.test.inputs]).astype(np.float32)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, exact.astype(np.float32).tolist()))


def test_csv_as_programs_write_it(tmp_path: Path) -> None:
    plain = tables.read(write_csv(tmp_path / "t.csv", "a,b,label\n1,2,x\n3,4,y z\n")).fingerprint
    for twin in (
        "\ufeffa,b,label\n1,2,x\n3,4,y z\n",
        "a,b,label\r\n1,2,x\r\n3,4,y z",
        '"a","b","label"\n"1","2",x\n\n 3 ,4,"y z"\n\n',
        "\na,b,label\n1,2,x\n3.0,4e0, y z \n",
    ):
        assert tables.read(write_csv(tmp_path / "t.csv", twin)).fingerprint == plain


def test_a_file_larger_than_a_block(tmp_path: Path) -> None:
    rows, filling = 40_000, "0" * 500
    path = tmp_path / "t.csv"
    path.write_text("a,b,label\n" + "".join(f"{row},1{filling}e-500,{row % 2}\n" for row in range(rows)))
    assert path.stat().st_size > 2**24
    data = tables.read(path)
    found = np.concatenate([data.train.inputs, data.validation.inputs, data.test.inputs])
    assert sorted(found[:, 0].tolist()) == list(range(rows))
    assert set(found[:, 1].tolist()) == {1.0}
    with path.open("a") as file:
        file.write("1,x,0\n")
    assert refusal(lambda: tables.read(path))[2] == f"'x' in row 40001, column b of {path}"


def test_parquet_of_any_numbers(tmp_path: Path) -> None:
    columns = {
        "a.b": pa.array([1, 2**60], pa.int64()),
        "a": pa.array([1, 255], pa.uint8()),
        "flag": pa.array([True, False]),
        "half": pa.array(np.array([0.5, 2], np.float16)),
        "kind": pa.array([7, 8]).dictionary_encode(),
        "label": pa.array(["가", "나"]).dictionary_encode(),
    }
    data = tables.read(write(tmp_path / "t.parquet", columns))
    assert data.classes == ("가", "나")
    assert data.train.inputs.tolist() == [[1.0, 1.0, 1.0, 0.5, 7.0], [float(2**60), 255.0, 0.0, 2.0, 8.0]]


def test_parquet_in_several_groups_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({**COLUMNS, "split": PARTS}), path, row_group_size=5)
    whole = tables.read(write(tmp_path / "u.parquet", {**COLUMNS, "split": PARTS}))
    assert tables.read(path).fingerprint == whole.fingerprint


def test_what_a_dictionary_holds_and_no_row_has_is_no_class(tmp_path: Path) -> None:
    labels = pa.DictionaryArray.from_arrays(pa.array([2, 0] * 6), pa.array(["dog", "cow", "cat", ""]))
    parts = pa.DictionaryArray.from_arrays(pa.array([1] * 12), pa.array(["dev", "train"]))
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": list(range(12)), "label": labels, "split": parts}), path, row_group_size=5)
    data = tables.read(path)
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [int(row) % 2 for row in data.train.inputs[:, 0]]


@both
@pytest.mark.parametrize("count", [999, 2000])
def test_a_column_of_many_splits(tmp_path: Path, name: str, count: int) -> None:
    columns = {"a": [1] * count, "label": ["x", "y"] * (count // 2) + ["x"] * (count % 2)}
    path = write(tmp_path / name, {**columns, "split": ["train"] * 5 + [f"part {row}" for row in range(5, count)]})
    assert refusal(lambda: tables.read(path))[2] == f"'part 5' in row 6 of {path}"
    path = write(tmp_path / name, {**columns, "split": ["train" + " " * row for row in range(count)]})
    if count < 1000:
        assert len(tables.read(path).classes) == 2
    else:
        assert refusal(lambda: tables.read(path))[0] == "data-table-split"


@both
def test_a_column_of_measurements_is_none_of_labels(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"a": [1] * 70_000, "label": [f"{row}.5" for row in range(70_000)]})
    assert refusal(lambda: tables.read(path)) == (
        "data-many-classes",
        "at most 65536 different labels",
        f"70000 in {path}: label",
    )


def test_labels_of_a_csv_file_larger_than_a_block_are_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    names = ["x", "y", "z"]
    path.write_text("a,label\n" + "".join(f"{row}{' ' * 900},{names[row // 15_000]}\n" for row in range(45_000)))
    assert path.stat().st_size > 2 * 2**24
    data = tables.read(path)
    assert data.classes == ("x", "y", "z")
    for split in (data.train, data.validation, data.test):
        assert torch.equal(split.labels, (split.inputs[:, 0] // 15_000).long())


def test_a_label_of_a_thousand_accents_is_refused_and_not_sorted(tmp_path: Path) -> None:
    accents = "a" + "\u0301" * 40_000 + "\u0323" * 40_000
    for path in (tmp_path / "t.csv", tmp_path / "t.parquet"):
        write(path, {"a": [1, 2], "label": ["b", accents]})
        assert refusal(lambda path=path: tables.read(path))[0] == "data-label-name"


def test_few_bytes_of_many_rows_are_read_in_the_memory_that_the_limits_say(tmp_path: Path) -> None:
    path, rows = tmp_path / "t.parquet", 3_000_000
    parquet.write_table(pa.table({"a": np.zeros(rows, np.float32), "label": np.arange(rows) % 2}), path)
    before = "from pathlib import Path\nimport torch, pyarrow.parquet\nfrom sumtoone.data import tables"
    # Twice the values and labels, 12 bytes, and 60 of what is made on the way.
    assert growth(before, f"tables.read(Path({str(path)!r}))") < rows * (2 * 12 + 60) + 2**25


@pytest.mark.parametrize(
    ("text", "code", "expected", "got"),
    [
        ("a,label\n1,x\n,y\n", "data-table-missing", "a number in every cell", "nothing in row 2, column a of {path}"),
        (
            "a,label\n1,x\n  ,y\n",
            "data-table-missing",
            "a number in every cell",
            "nothing in row 2, column a of {path}",
        ),
        ("a,label\n1,x\n2,\n", "data-label-missing", "a label for every row", "none in row 2 of {path}: label"),
        (
            "a,label\n1,1\n2,nan\n",
            "data-table-label-mark",
            "a label for every row",
            "'nan' in 1 rows of {path}: label, the first: 2",
        ),
        (
            "a,label\n1,1\n2,0.5\n",
            "data-label-fraction",
            "whole numbers or text, one for each class",
            "0.5 in row 2 of {path}: label",
        ),
        (
            "a,b,label\n1,1,x\n2,2,y\n3,3 cm,y\n4,huh,x\n",
            "data-table-type",
            "numbers, or text for labels",
            "'3 cm' in row 3, column b of {path}",
        ),
        (
            "a,label\n0x1F,x\n1_0,y\n",
            "data-table-type",
            "numbers, or text for labels",
            "'0x1F' in row 1, column a of {path}",
        ),
        ("a,label\n1,x\nNaN,y\n", "data-finite", "finite numbers", "'NaN' in row 2, column a of {path}"),
        ("a,label\n1,x\n-inf,y\n", "data-finite", "finite numbers", "'-inf' in row 2, column a of {path}"),
        ("a,label\n1,x\n1e39,y\n", "data-finite", "finite numbers", "'1e39' in row 2, column a of {path}"),
        ("a,label\n1,x\n\n2,y,3\n", "data-table-ragged", "2 cells", "3 in row 2 of {path}"),
        ("a,label\n1\n2,y\n", "data-table-ragged", "2 cells", "1 in row 1 of {path}"),
        (
            "a,label,split\n1,x,train\n2,y,rest\n",
            "data-table-split",
            "one of train, validation, test in the column split",
            "'rest' in row 2 of {path}",
        ),
        ("a,label,split\n1,x,test\n2,y,test\n", "data-rows", "1 to 100000000 rows to train", "0 rows in t.csv"),
        (
            "a,label,split\n1,x,train\n2,z,train\n2,y,test\n",
            "data-label-unseen",
            "labels that the rows to train have too",
            "'y' in the test rows of t.csv",
        ),
        ("a,label\n", "data-rows", "1 to 100000000 rows to train", "0 rows in {path}"),
        ("a,label", "data-rows", "1 to 100000000 rows to train", "0 rows in {path}"),
        ("\n\n", "data-rows", "1 to 100000000 rows to train", "0 rows in {path}"),
        ("a,label\n1,x\n2,x\n", "data-one-class", "two classes or more", "only 'x' in t.csv"),
        ("label\nx\ny\n", "data-table-features", "one column of numbers or more", "only label in {path}"),
        ("a,a,label\n1,2,x\n", "data-table-twice", "a name of its own for every column", "a twice in {path}"),
        (
            ",a,label\n0,1,x\n",
            "data-table-unnamed",
            "a name for every column in the header",
            "none for column 1 of {path}",
        ),
        ("a;b\n1;x\n", "data-table-label", "a column label", "a, b in {path}"),
        ("a" + ",b" * 70_000 + "\n", "data-table-wide", "at most 65538 columns", "70001 in {path}"),
        (
            "a,label\n1,개\n".encode()[:-2],
            "data-csv-encoding",
            "UTF-8, UTF-16, or what reads in one way alone",
            "line 2 of {path}; it could be big5: 穈; cp949: 媛; euc_jp: 螳; gb18030: 臧",
        ),
        ('"a\nb",label\n1,x\n', "data-one-class", "two classes or more", "only 'x' in t.csv"),
        ("a,label\n" + "1" * 2**26 + ",x\n", "data-csv-broken", None, None),
        ("", "data-empty-file", "a file with data in it", "0 bytes in {path}"),
    ],
)
def test_csv_files_that_make_no_data_set(
    tmp_path: Path, text: str | bytes, code: str, expected: str | None, got: str | None
) -> None:
    path = write_csv(tmp_path / "t.csv", text)
    found, wanted, said = refusal(lambda: tables.read(path))
    assert (found, wanted) == (code, expected or wanted)
    assert said == (got.format(path=path) if got else said)


def test_a_misspelt_column_in_full(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", "a,labels\n1,x\n")
    with pytest.raises(DataError) as caught:
        tables.read(path)
    assert str(caught.value) == (
        "The table has no column of labels [data-table-label]\n"
        "  expected: a column label\n"
        f"  got: a, labels in {path}\n"
        "  try: name the column of labels with --label NAME; did you mean labels?"
    )


@pytest.mark.parametrize(
    ("columns", "code", "expected", "got"),
    [
        (
            {"a": [1, None], "label": ["x", "y"]},
            "data-table-missing",
            "a number in every cell",
            "nothing in row 2, column a of {path}",
        ),
        (
            {"a": [1.0, float("inf")], "label": ["x", "y"]},
            "data-finite",
            "finite numbers",
            "inf in row 2, column a of {path}",
        ),
        (
            {"a": ["1", "2"], "label": ["x", "y"]},
            "data-table-type",
            "numbers, or text for labels",
            "'1' in row 1, column a of {path}",
        ),
        (
            {"a": [[1], [2]], "label": ["x", "y"]},
            "data-table-type",
            "numbers, or text for labels",
            "list<element: int64> in row 1, column a of {path}",
        ),
        (
            {"a": [1, 2], "label": [b"x", b"y"]},
            "data-table-type",
            "numbers, or text for labels",
            "binary in row 1, column label of {path}",
        ),
        (
            {"a": [1, 2], "label": ["x", None]},
            "data-label-missing",
            "a label for every row",
            "none in row 2 of {path}: label",
        ),
        (
            {"a": [1, 2], "label": ["x", "y"], "split": ["train", None]},
            "data-table-split",
            "one of train, validation, test in the column split",
            "None in row 2 of {path}",
        ),
        (
            {"a": pa.array([], pa.int64()), "label": pa.array([], pa.string())},
            "data-rows",
            "1 to 100000000 rows to train",
            "0 rows in {path}",
        ),
    ],
)
def test_parquet_files_that_make_no_data_set(
    tmp_path: Path, columns: dict[str, Any], code: str, expected: str, got: str
) -> None:
    path = write(tmp_path / "t.parquet", columns)
    assert refusal(lambda: tables.read(path)) == (code, expected, got.format(path=path))


def test_a_row_with_too_many_cells_in_a_later_block(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", "a,label\n" + ("1" + " " * 998 + ",x\n") * 40_000 + "1,x,2\n")
    assert refusal(lambda: tables.read(path)) == ("data-table-ragged", "2 cells", f"3 in row 40001 of {path}")


def test_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    path.write_bytes(b"PK")
    assert refusal(lambda: tables.read(path)) == (
        "data-table-kind",
        "a name that ends in .csv, .tsv, .txt, .tab, .dat, .data, .psv, .parquet",
        str(path),
    )
    path = write_csv(tmp_path / "t.parquet", "a,label\n1,x\n")
    assert refusal(lambda: tables.read(path))[:2] == ("data-parquet-broken", "a whole Parquet file")
    path = tmp_path / "t.csv"
    path.write_bytes(parquet_bytes(COLUMNS))
    assert refusal(lambda: tables.read(path))[0] in ("data-csv-encoding", "data-rows")
    assert refusal(lambda: tables.read(tmp_path / "none.csv"))[0] == "data-missing-path"


def test_a_few_bytes_that_claim_many_rows_cost_little(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = pa.nulls(100_000_001, pa.bool_())
    parquet.write_table(pa.table({"label": rows, "a": rows}), path)
    assert path.stat().st_size < 2**20
    call = f"tables.read(Path({str(path)!r}))"
    result = subprocess.run([sys.executable, "-c", limited(call)], capture_output=True, text=True, check=True)
    code, memory = result.stdout.split()
    assert code == "data-rows"
    assert int(memory) < 2**15


def test_a_few_bytes_that_claim_many_cells_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = pa.nulls(50_000_000)
    parquet.write_table(pa.table({"label": rows, **{f"c{place}": rows for place in range(22)}}), path)
    assert path.stat().st_size < 2**21
    expected = ("data-too-large", "at most 4294967296 bytes", f"4400000000 bytes in {path}")
    assert refusal(lambda: tables.read(path)) == expected


def test_damaged_csv_files_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"

    @settings(deadline=None, max_examples=200)
    @given(damaged(csv_text({**COLUMNS, "split": PARTS}).encode()), st.booleans())
    def check(broken: bytes, ascii_only: bool) -> None:
        # Most changed bytes are no UTF-8, which is seen at once.
        path.write_bytes(bytes(byte & 0x7F for byte in broken) if ascii_only else broken)
        assert_read_or_refused(tables.read, path)

    check()


def test_damaged_parquet_files_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"

    @settings(deadline=None, max_examples=200)
    @given(damaged(parquet_bytes({**COLUMNS, "split": PARTS})))
    def check(broken: bytes) -> None:
        path.write_bytes(broken)
        assert_read_or_refused(tables.read, path)

    check()


# --- numbers far from zero


TIMES = 1_700_000_000 + np.random.default_rng(0).permutation(1000)


def _times_csv(path: Path) -> Path:
    kinds = np.where(TIMES >= 1_700_000_500, "late", "early")
    rows = "\n".join(
        f"{time},{place % 7}.1,{kind}" for place, (time, kind) in enumerate(zip(TIMES, kinds, strict=True))
    )
    path.write_text(f"when,size,label\n{rows}\n")
    return path


def test_times_keep_their_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _times_csv(tmp_path / "t.csv")
    data = tables.read(path)
    assert len(data.train.inputs[:, 0].unique()) == len(data.train)
    # Whatever the blocks that a file is read in, also where the first of them shows nothing.
    lines = path.read_text().splitlines()
    (tmp_path / "u.csv").write_text("\n".join([lines[0], *["1700000000,0.5,early"] * 600, *lines[1:]]) + "\n")
    whole = tables.read(tmp_path / "u.csv").fingerprint
    monkeypatch.setattr("sumtoone.data.delimited._BLOCK", 4096)
    assert tables.read(path).fingerprint == data.fingerprint
    assert tables.read(tmp_path / "u.csv").fingerprint == whole


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.uint64])
def test_times_in_parquet_keep_their_digits(tmp_path: Path, kind: type) -> None:
    late = (TIMES >= 1_700_000_500).tolist()
    columns = {"size": np.arange(1000) % 7 + 0.1, "when": TIMES.astype(kind), "label": late}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    data = tables.read(tmp_path / "t.parquet")
    assert len(data.train.inputs[:, 1].unique()) == len(data.train)


@pytest.mark.parametrize("index", [["height"], ["height", "width"], [{"kind": "range", "name": None}]])
def test_what_a_parquet_file_calls_its_index_is_no_feature(tmp_path: Path, index: list[Any]) -> None:
    declared = json.dumps({"index_columns": index}).encode()
    columns = {**COLUMNS, "depth": list(range(12))}
    table = pa.table(columns).replace_schema_metadata({b"pandas": declared})
    parquet.write_table(table, tmp_path / "t.parquet")
    names = [name for name in index if isinstance(name, str)]
    assert tables.read(tmp_path / "t.parquet").features == 3 - len(names)


@pytest.mark.parametrize("name", ["Unnamed: 0", "Unnamed: 0.1", "__index_level_0__"])
def test_an_index_without_a_name_is_refused(tmp_path: Path, name: str) -> None:
    path = write_csv(tmp_path / "t.csv", f"{name},a,label\n0,1,x\n1,2,y\n")
    with pytest.raises(DataError) as caught:
        tables.read(path)
    assert (caught.value.code, caught.value.got) == ("data-table-unnamed", f"none for column 1 of {path}")


@pytest.mark.parametrize("mark", ["NA", "N/A", "?", "NaN", "null", "None", ".", "-", " NA "])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_mark_of_a_missing_value_is_neither_class_nor_number(tmp_path: Path, mark: str, suffix: str) -> None:
    path = write(tmp_path / f"t{suffix}", {**COLUMNS, "label": ["cat", mark, "dog", mark] * 3})
    with pytest.raises(DataError) as caught:
        tables.read(path)
    assert caught.value.code == "data-table-label-mark"
    assert caught.value.got == f"{mark!r} in 6 rows of {path}: label, the first: 2, 4, 6, 8, 10"
    cell = write_csv(tmp_path / "cell.csv", f"a,label\n1,x\n{mark},y\n")
    with pytest.raises(DataError) as caught:
        tables.read(cell)
    assert caught.value.code == ("data-finite" if mark == "NaN" else "data-table-missing")


def test_a_minus_beside_a_plus_is_a_class(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,label\n" + "".join(f"{x},{'+-'[x % 2]}\n" for x in range(20)))
    assert tables.read(tmp_path / "t.csv").classes == ("+", "-")
