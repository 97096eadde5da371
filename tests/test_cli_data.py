"""``sumtoone data list|fetch|show``: tables, documents, pictures, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sumtoone import load
from sumtoone.cli import main
from sumtoone.data import cache, named, sources
from sumtoone.language import speak

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nothing_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SUMTOONE_OFFLINE", "1")
    monkeypatch.delenv("SUMTOONE_DATA", raising=False)
    yield
    speak(None)


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def kmnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of SUMTOONE_DATA with a few noisy rows under the name of KMNIST."""
    folder = tmp_path / "school" / "kmnist"
    folder.mkdir(parents=True)
    for part, count in (("train", 100), ("t10k", 20)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28))
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(count) % 10)):
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    monkeypatch.setenv("SUMTOONE_DATA", str(tmp_path / "school"))
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A table of eight numbers in a row, four of which are shown to six places and the rest as dots."""
    path = tmp_path / "rows.npz"
    x = np.arange(80, dtype=np.float32).reshape(10, 8) / 3
    np.savez(path, x=x, y=np.array(["ant", "bee"] * 5), x_test=x[:2], y_test=np.array(["ant", "bee"]))
    return path


def document(capsys: Captured) -> dict[str, Any]:
    """Return the one document on standard output."""
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return dict(json.loads(lines[0]))


# --- list


def test_list_as_json(kmnist: Path, capsys: Captured) -> None:
    assert main(["data", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in document(capsys)["datasets"]}
    assert tuple(listed) == named.names()
    assert listed["digits"] == {
        "name": "digits",
        "rows": 5000,
        "classes": 10,
        "image_shape": [28, 28],
        "place": "built-in",
        "folder": None,
        "about": "handwritten digits, a part of MNIST; needs no download",
    }
    assert (listed["kmnist"]["place"], listed["kmnist"]["folder"]) == ("folder", str(kmnist))
    assert (listed["mnist"]["place"], listed["mnist"]["folder"]) == ("download", None)
    assert (listed["emnist-byclass"]["rows"], listed["emnist-byclass"]["classes"]) == (814_255, 62)


def test_what_list_says_of_the_digits_is_so(capsys: Captured) -> None:
    assert main(["data", "list", "--json"]) == 0
    said = document(capsys)["datasets"][0]
    digits = load("digits")
    assert said["rows"] == len(digits.train) + len(digits.validation) + len(digits.test)
    assert (said["classes"], tuple(said["image_shape"])) == (len(digits.classes), digits.image_shape)


@pytest.mark.parametrize(
    ("language", "headings", "places"),
    [
        ("en", ["name", "rows", "classes", "shape", "where", "what it is"], ("built in", "folder", "download")),
        ("ko", ["이름", "행", "클래스", "모양", "위치", "설명"], ("내장", "폴더", "내려받기")),
    ],
)
def test_list_in_words(
    kmnist: Path, capsys: Captured, language: str, headings: list[str], places: tuple[str, ...]
) -> None:
    assert main(["data", "list", "--lang", language]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert " ".join(lines[0].split()) == " ".join(headings)
    rows = {line.split()[0]: line for line in lines[2:] if line.startswith(("  d", "  m", "  k", "  f", "  e"))}
    assert tuple(rows) == named.names()
    for name, place in zip(("digits", "kmnist", "mnist"), places, strict=True):
        assert f"28×28   {place}  " in rows[name]
    assert max(map(len, lines)) <= 80


# --- fetch


def test_fetch_what_is_here(kmnist: Path, capsys: Captured) -> None:
    names = [file.name for file in sources.KMNIST.files]
    assert main(["data", "fetch", "kmnist"]) == 0
    assert capsys.readouterr().out == "\n".join(
        [f"kmnist is in {kmnist}", *(f"  {kmnist / name}" for name in names), ""]
    )
    assert main(["data", "fetch", "kmnist", "--json"]) == 0
    files = [str(kmnist / name) for name in names]
    assert document(capsys) == {"name": "kmnist", "place": "folder", "folder": str(kmnist), "files": files}
    assert main(["data", "fetch", "kmnist", "--quiet"]) == 0
    assert capsys.readouterr() == (f"{kmnist}\n", "")


def test_fetch_digits(capsys: Captured) -> None:
    assert main(["data", "fetch", "digits"]) == 0
    assert capsys.readouterr().out == "digits comes with sumtoone; there is nothing to download\n"
    assert main(["data", "fetch", "digits", "--json"]) == 0
    assert document(capsys) == {"name": "digits", "place": "built-in", "folder": None, "files": []}


def test_fetch_offline(capsys: Captured) -> None:
    assert main(["data", "fetch", "emnist-letters"]) == 4
    assert capsys.readouterr().err == (
        "sumtoone: emnist-letters is not on this machine, and SUMTOONE_OFFLINE forbids downloads [source-offline]\n"
        "  expected: the files gzip.zip\n"
        "  got: no folder that holds them all\n"
        f"  try: put them into {cache.folder() / 'emnist'}, or unset SUMTOONE_OFFLINE\n"
    )


@pytest.mark.parametrize("name", ["mnsit", "./mnist"])
def test_fetch_takes_names_only(name: str, capsys: Captured) -> None:
    assert main(["data", "fetch", name]) == 3
    assert capsys.readouterr().err == (
        "sumtoone: There is no data set of this name, and no file or folder either [source-unknown]\n"
        "  expected: a name that 'sumtoone data list' shows, or a path\n"
        f"  got: {name}\n"
        "  try: did you mean mnist?\n"
    )


# --- show


def test_show_as_json(capsys: Captured) -> None:
    assert main(["data", "show", "--json"]) == 0
    digits = load("digits")
    assert document(capsys) == {
        "name": "digits",
        "rows": {"train": 3500, "validation": 500, "test": 1000},
        "classes": [{"class": str(digit), "train": 350, "validation": 50, "test": 100} for digit in range(10)],
        "features": 784,
        "image_shape": [28, 28],
        "dtype": "uint8",
        "range": [0, 255],
        "fingerprint": digits.fingerprint,
        "out": None,
    }


SUMMARY = """\
digits
  rows         5000: train 3500, validation 500, test 1000
  classes      10: 0 (500), 1 (500), 2 (500), 3 (500), 4 (500), 5 (500), 6 (500), 7 (500), 8 (500), 9 (500)
  features     784 (28×28)
  values       uint8 from 0 to 255
  fingerprint  99120b9fc20bb65e26cfde39d3e90d7a6a5af99089e9e6d73fb9f72ca1ecbac2
"""


def undotted(lines: list[str]) -> np.ndarray:
    """Return the dots of lines of Braille letters, True where set, read by the numbering of the Unicode standard."""
    dots = {1: (0, 0), 2: (1, 0), 3: (2, 0), 4: (0, 1), 5: (1, 1), 6: (2, 1), 7: (3, 0), 8: (3, 1)}
    lit = np.zeros((4 * len(lines), 2 * max(map(len, lines))), dtype=bool)
    for down, line in enumerate(lines):
        for across, letter in enumerate(line.replace(" ", "\u2800")):
            for dot, (row, column) in dots.items():
                lit[4 * down + row, 2 * across + column] = (ord(letter) - 0x2800) >> (dot - 1) & 1
    return lit


def test_show_draws_digits_in_dots(capsys: Captured) -> None:
    assert main(["data", "show", "--seed", "3", "--split", "test"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(SUMMARY)
    *lines, names = out.removeprefix(SUMMARY).splitlines()
    assert len(lines) == 7
    assert max(map(len, lines)) <= 80
    lit = undotted([line.ljust(5 * 15, "\u2800") for line in lines])
    test = load("digits").test
    bright = {(image.numpy().reshape(28, 28) > 127.5).tobytes(): int(label) for image, label in zip(*test, strict=True)}
    drawn = [bright[lit[:, start : start + 28].tobytes()] for start in range(0, 150, 30)]
    assert [int(name) for name in names.split()] == drawn


def test_the_same_seed_shows_the_same(capsys: Captured) -> None:
    shown = []
    for seed in ("1", "1", "2"):
        assert main(["data", "show", "--seed", seed]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]


def test_show_without_braille_where_the_output_has_none() -> None:
    surroundings = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "sumtoone", "data", "show"]
    done = subprocess.run(command, capture_output=True, env=surroundings, check=True)
    assert done.stdout.decode("latin-1") == SUMMARY


def test_show_in_korean(capsys: Captured) -> None:
    assert main(["data", "show", "--lang", "ko"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "digits",
        "  행         5000: train 3500, validation 500, test 1000",
        "  클래스     10: 0 (500), 1 (500), 2 (500), 3 (500), 4 (500), 5 (500), 6 (500), 7 (500), 8 (500), 9 (500)",
        "  특성       784 (28×28)",
        "  값         uint8, 0부터 255까지",
        "  지문       99120b9fc20bb65e26cfde39d3e90d7a6a5af99089e9e6d73fb9f72ca1ecbac2",
    ]


def test_quiet_prints_results_alone(rows: Path, capsys: Captured) -> None:
    assert main(["data", "show", "digits", "--quiet"]) == 0
    assert capsys.readouterr() == ("digits\t3500\t500\t1000\t784\t10\n", "")
    assert main(["data", "show", str(rows), "--quiet"]) == 0
    assert capsys.readouterr().out.startswith(f"{rows.name}\t")
    assert main(["data", "list", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines() == list(named.names())


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_show_writes_a_picture(tmp_path: Path, capsys: Captured, suffix: str) -> None:
    out = tmp_path / f"grid{suffix}"
    assert main(["data", "show", "--out", str(out), "--rows", "2", "--columns", "3"]) == 0
    assert capsys.readouterr().out == f"{SUMMARY}picture: {out}\n"
    assert out.read_bytes().startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    assert main(["data", "show", "--out", str(out), "--json"]) == 0
    assert document(capsys)["out"] == str(out)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_the_picture_has_the_rows_and_columns_asked_for(tmp_path: Path) -> None:
    sizes = {}
    for rows, columns in ((1, 4), (4, 1), (2, 8)):
        out = tmp_path / "grid.png"
        assert main(["data", "show", "--out", str(out), "--rows", str(rows), "--columns", str(columns), "-q"]) == 0
        with Image.open(out) as picture:
            sizes[rows, columns] = picture.size
    assert sizes[2, 8][0] > sizes[1, 4][0] > sizes[4, 1][0]
    assert sizes[4, 1][1] > sizes[2, 8][1] > sizes[1, 4][1]


def test_show_a_table(rows: Path, capsys: Captured) -> None:
    assert main(["data", "show", str(rows), "--split", "test"]) == 0
    out = capsys.readouterr().out
    dataset = load(rows)
    assert out.splitlines()[:6] == [
        dataset.name,
        f"  rows         12: train {len(dataset.train)}, validation {len(dataset.validation)}, test 2",
        "  classes      2: ant (6), bee (6)",
        "  features     8 (no image)",
        "  values       float32 from 0 to 26.3333",
        f"  fingerprint  {dataset.fingerprint}",
    ]
    table = [line.split() for line in out.splitlines()[6:] if line.strip()]
    assert table[0] == ["class", "x0", "x1", "x2", "x3", "x4", "x5", "…"]
    assert sorted(table[2:]) == [
        ["ant", "0", "0.3333", "0.6667", "1", "1.333", "1.667", "…"],
        ["bee", "2.667", "3", "3.333", "3.667", "4", "4.333", "…"],
    ]


def test_a_narrow_table_is_whole_and_eight_rows_are_enough(tmp_path: Path, capsys: Captured) -> None:
    np.savez(tmp_path / "two.npz", x=np.arange(80, dtype=np.float32).reshape(40, 2), y=np.arange(40) % 2)
    assert main(["data", "show", str(tmp_path / "two.npz")]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()[6:] if line.strip()]
    assert table[0] == ["class", "x0", "x1"]
    assert len(table[2:]) == 8


def test_names_from_a_file_are_no_markup(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("x,label\n" + "".join(f"{number},{'[red]a' if number % 2 else 'b'}\n" for number in range(20)))
    assert main(["data", "show", str(path)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[2] == "  classes      2: [red]a (10), b (10)"
    assert {line.split()[0] for line in lines[8:]} == {"[red]a", "b"}


def test_show_other_images(tmp_path: Path, capsys: Captured) -> None:
    # Colours, and more pixels than dots: a bright left half.
    pixels = np.zeros((20, 56, 112, 3), np.uint8)
    pixels[:, :, :56] = 200
    np.savez(tmp_path / "halves.npz", x=pixels, y=np.arange(20) % 2)
    assert load(tmp_path / "halves.npz").image_shape == (56, 112, 3)
    assert main(["data", "show", str(tmp_path / "halves.npz"), "--rows", "1", "--columns", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[6:13] == ["⣿" * 7] * 7


def refused(arguments: list[str], capsys: Captured) -> tuple[int, str]:
    return main(["data", "show", *arguments]), capsys.readouterr().err


def test_show_an_unknown_split(capsys: Captured) -> None:
    assert refused(["--split", "tset"], capsys) == (
        2,
        "sumtoone: --split cannot be this [choice]\n"
        "  expected: one of train, validation, test\n"
        "  got: 'tset'\n"
        "  try: did you mean test?\n",
    )


def test_show_no_picture_of_a_table(rows: Path, tmp_path: Path, capsys: Captured) -> None:
    assert refused([str(rows), "--out", str(tmp_path / "a.png")], capsys) == (
        2,
        "sumtoone: The rows of this data set are no images [source-no-pictures]\n"
        "  expected: rows with a height and a width, such as 28 x 28\n"
        f"  got: 8 numbers in a row of {load(rows).name}\n"
        "  try: leave --out away: the first rows are printed as a table\n",
    )
    assert not (tmp_path / "a.png").exists()


def test_show_a_split_without_rows(tmp_path: Path, capsys: Captured) -> None:
    # Two training rows, one a class: each must stay, and none is left to validate.
    x = np.zeros((2, 3), np.float32)
    np.savez(tmp_path / "few.npz", x=x, y=np.arange(2), x_test=x, y_test=np.arange(2))
    dataset = load(tmp_path / "few.npz")
    assert len(dataset.validation) == 0
    assert refused([str(tmp_path / "few.npz"), "--split", "validation"], capsys) == (
        3,
        "sumtoone: There are no rows here [split-empty]\n"
        "  expected: a split with one row or more\n"
        f"  got: 0 rows in {dataset.name}: validation\n"
        "  try: add rows to this split, or take another one\n",
    )


@pytest.mark.parametrize("verb", ["list", "fetch", "show"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_help_names_no_key(verb: str, language: str, capsys: Captured) -> None:
    assert main(["data", verb, "--help", "--lang", language]) == 0
    out = capsys.readouterr().out
    assert "--json" in out
    assert "cli." not in out


def test_the_module_loads_nothing_heavy() -> None:
    program = (
        "import sys; from sumtoone.cli import main; main(['data', 'list', '--json']);"
        "print(sorted({'torch', 'numpy', 'requests', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"
