"""``sumtoone evaluate``: the report in words and as a document, pictures, and data that a run cannot be judged by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len

import sumtoone as s1
import warm
from sumtoone.cli import main
from sumtoone.cli.terminal import commonest_confusions, confusion_table
from sumtoone.evaluation import Confusion, report_from
from sumtoone.language import speaking

Captured = pytest.CaptureFixture[str]
PLOTS = ["confusion.png", "curves.png", "reliability.png"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = s1.fit(s1.Network("784-32-10", seed=0), s1.load("digits"), epochs=2, seed=0)
    return run.save(tmp_path_factory.mktemp("runs") / "digits")


def write(path: Path, names: list[str], *, dtype: type = np.uint8, features: int = 4) -> Path:
    """A data set whose rows say by their first values which class they are of; all rows of the test split."""
    number = {"ant": 0, "bee": 1, "cow": 2}
    rows = np.zeros((len(names), features), dtype)
    rows[np.arange(len(names)), [number.get(name, 0) for name in names]] = 255
    train = rows.repeat(3, axis=0), np.repeat(names, 3)
    np.savez(path, x=train[0], y=train[1], x_test=rows, y_test=np.array(names))
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write(tmp_path / "pets.npz", ["ant"] * 3 + ["bee"] * 2 + ["cow"] * 5)


@pytest.fixture
def run(tmp_path: Path, pets: Path) -> Path:
    """A run that is right about ants and cows and takes bees for cows, surely."""
    network = s1.Network("4-3")
    with torch.no_grad():
        weight, bias = network.parameters()
        weight.copy_(100 * torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]))
        bias.zero_()
    data = s1.load(pets)
    row = {"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.8, "validation_loss": 0.6, "validation_accuracy": 0.7}
    history = s1.History(({**row, "seconds": 0.1},))
    own = s1.Run(
        network=network,
        preprocessing=s1.Preprocessing(4, divisor=255.0),
        classes=data.classes,
        history=history,
        options=s1.TrainingOptions(),
        name="pets",
        data=str(pets),
        fingerprint=data.fingerprint,
    )
    return own.save(tmp_path / "run")


def said(capsys: Captured, *words: object) -> tuple[int, str, str]:
    code = main(list(map(str, words)))
    return code, *capsys.readouterr()


# --- what is found


def test_the_document_is_the_reports(digits: Path) -> None:
    result = warm.run(None, "evaluate", digits, "--json", "--quiet", warn="error")
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert (document.pop("data"), document.pop("split")) == ("digits", "test")
    assert document == s1.evaluate(s1.open_run(digits), s1.load("digits").test).to_json()


def test_the_report_in_words(run: Path, capsys: Captured) -> None:
    assert said(capsys, "evaluate", run) == (
        0,
        """\
the test rows of pets.npz
10 rows, 3 classes

accuracy                                 0.8000   [0.4902, 0.9433]
balanced accuracy                        0.6667
macro F1                                 0.6111
negative log-likelihood (nats)          17.4673  [0.0000, 43.6683]
Brier score                              0.4000   [0.0000, 1.0000]
expected calibration error               0.2000   [0.0000, 0.5000]
expected calibration error, equal mass   0.2000   [0.0000, 0.5000]
share of the commonest class, cow        0.5000
in brackets: 95 % intervals, over other rows of the same kind

class  precision  recall      F1  rows
ant       1.0000  1.0000  1.0000     3
bee       0.0000  0.0000  0.0000     2
cow       0.7143  1.0000  0.8333     5

never predicted: bee
no better than chance: always answering cow is right in 50.00% of these 10 rows, and luck may add a little

rows are the true class, columns the predicted one
     ant  bee  cow
ant    3    .    .
bee    .    .    2
cow    .    .    5

expected calibration error: over 15 bins of equal width, closed on the right; and over 15 of equal mass
""",
        "",
    )


def test_the_report_in_korean(run: Path, capsys: Captured) -> None:
    code, out, err = said(capsys, "evaluate", run, "--lang", "ko")
    assert (code, err) == (0, "")
    report, table = out.split("\n\n행은", 1)
    with speaking("ko"):
        assert report == "pets.npz의 테스트 행\n" + str(
            s1.evaluate(s1.open_run(run), s1.load(s1.open_run(run).data).test)
        )
    assert table == (
        " 실제 클래스, 열은 예측한 클래스입니다\n"
        "     ant  bee  cow\n"
        "ant    3    .    .\n"
        "bee    .    .    2\n"
        "cow    .    .    5\n"
        "\n"
        "기대 보정 오차: 너비가 같고 오른쪽이 닫힌 구간 15개, 그리고 행 수가 같은 구간 15개로 계산합니다\n"
    )


def test_ten_classes_fit_a_terminal_of_eighty_columns(digits: Path, capsys: Captured) -> None:
    code, out, _ = said(capsys, "evaluate", digits)
    assert code == 0
    table = out.partition("the predicted one\n")[2].splitlines()[:11]
    assert all(len(line) <= 80 for line in table)
    counts = [[int(cell.replace(".", "0")) for cell in line.split()[1:]] for line in table[1:]]
    assert counts == s1.evaluate(s1.open_run(digits), s1.load("digits").test).confusion.tolist()


@pytest.mark.parametrize("split", ["test", "validation", "train"])
def test_the_split_is_chosen(run: Path, pets: Path, capsys: Captured, split: str) -> None:
    code, out, _ = said(capsys, "evaluate", run, "--split", split, "--json", "--quiet")
    assert code == 0
    assert json.loads(out)["rows"] == len(getattr(s1.load(pets), split))


def test_quiet_prints_results_alone(run: Path, capsys: Captured) -> None:
    assert said(capsys, "evaluate", run, "--quiet") == (0, "accuracy  0.8000  [0.4902, 0.9433]\n", "")


def test_pictures(tmp_path: Path, run: Path, capsys: Captured) -> None:
    folder = tmp_path / "a" / "b"
    code, out, _ = said(capsys, "evaluate", run, "--plots", folder)
    assert code == 0
    assert out.splitlines()[-3:] == [
        f"picture: {folder / 'confusion.png'}",
        f"picture: {folder / 'reliability.png'}",
        f"picture: {folder / 'curves.png'}",
    ]
    assert sorted(path.name for path in folder.iterdir()) == PLOTS
    for name in PLOTS:
        with Image.open(folder / name) as picture:
            assert picture.format == "PNG"


def test_the_label_of_a_table_is_the_runs_own_or_the_one_named(tmp_path: Path, capsys: Captured) -> None:
    lines = [f"{index % 2},{index},{'ant' if index % 2 else 'bee'},{'x' if index % 3 else 'y'}" for index in range(60)]
    for name, heading in (("first.csv", "a,b,kind,"), ("second.csv", "a,b,sort,")):
        rows = [line.rsplit(",", 1)[0] for line in lines]
        (tmp_path / name).write_text("\n".join([heading.rstrip(","), *rows]) + "\n")
    data = s1.load(tmp_path / "first.csv", label="kind")
    own = replace(s1.fit(s1.Network("2-2"), data, epochs=1), data=str(tmp_path / "first.csv"), label="kind", name="own")
    folder = own.save(tmp_path / "run")
    first = said(capsys, "evaluate", folder, "--json", "-q")
    second = said(capsys, "evaluate", folder, tmp_path / "second.csv", "--label", "sort", "--json", "-q")
    assert first[0] == second[0] == 0
    # The same rows and classes make the same data, whatever the column was called.
    assert (first[1], second[2]) == (second[1].replace("second.csv", "first.csv"), "")


# --- other data


def test_other_data_is_judged_by_the_names_of_its_classes(tmp_path: Path, run: Path, capsys: Captured) -> None:
    # Here bee is class 0 and cow class 1; in the run they are 1 and 2.
    other = write(tmp_path / "other.npz", ["bee"] * 4 + ["cow"] * 6)
    found = s1.load(other).fingerprint[:12]
    stored = s1.open_run(run).fingerprint[:12]
    code, out, err = said(capsys, "evaluate", run, other, "--json", "--quiet")
    assert code == 0
    assert json.loads(out)["confusion"] == [[0, 0, 0], [0, 0, 16], [0, 0, 24]]
    assert err == (
        f"note: this is not the data the run was trained on: other.npz has fingerprint {found}…, "
        f"the run's data {stored}…\n"
        "  Its rows may have been among the rows trained on.\n"
    )
    assert said(capsys, "evaluate", run, other, "--json", "--quiet", "--lang", "ko")[2] == (
        f"알림: 학습한 데이터와 다릅니다. other.npz의 지문은 {found}…, 학습한 데이터의 지문은 {stored}…입니다.\n"
        "  평가하는 행이 학습에 쓰였을 수 있습니다.\n"
    )


def refusal(capsys: Captured, *words: object) -> tuple[int, str]:
    """The exit code and the error, without the note before it."""
    code, out, err = said(capsys, *words)
    assert out == ""
    return code, err[err.index("sumtoone: ") :]


def test_classes_that_the_run_does_not_know(tmp_path: Path, run: Path, capsys: Captured) -> None:
    other = write(tmp_path / "other.npz", ["cow"] * 3 + ["dog"] * 3 + ["eel"] * 3)
    assert refusal(capsys, "evaluate", run, other) == (
        3,
        "sumtoone: The data set has a class that the run does not know [evaluate-classes]\n"
        "  expected: classes among ant, bee, cow\n"
        "  got: dog, eel\n"
        "  try: evaluate on data with the run's classes, or train a run on this data set\n",
    )
    assert refusal(capsys, "evaluate", run, other, "--lang", "ko") == (
        3,
        "sumtoone: 데이터셋에 학습할 때 없던 클래스가 있습니다 [evaluate-classes]\n"
        "  기대한 것: ant, bee, cow 가운데의 클래스\n"
        "  받은 것: dog, eel\n"
        "  해 볼 것: 학습할 때와 같은 클래스의 데이터로 평가하거나, 이 데이터셋으로 다시 학습하세요\n",
    )


def test_many_unknown_classes_are_cut_short(tmp_path: Path, run: Path, capsys: Captured) -> None:
    names = [f"c{number:02}" for number in range(20)]
    other = write(tmp_path / "other.npz", names)
    assert (
        "  got: c00, c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, … (20)\n"
        in refusal(capsys, "evaluate", run, other)[1]
    )


def test_values_of_another_scale(tmp_path: Path, run: Path, capsys: Captured) -> None:
    other = write(tmp_path / "other.npz", ["ant"] * 5 + ["bee"] * 5, dtype=np.float32)
    assert refusal(capsys, "evaluate", run, other) == (
        3,
        "sumtoone: The data set holds values of another scale than those the run was trained on [evaluate-scale]\n"
        "  expected: uint8 pixels from 0 to 255\n"
        "  got: floating-point values\n"
        "  try: store x as the run's data set does, or train a run on this data set\n",
    )
    assert refusal(capsys, "evaluate", run, other, "--lang", "ko") == (
        3,
        "sumtoone: 데이터셋 값의 범위가 학습할 때와 다릅니다 [evaluate-scale]\n"
        "  기대한 것: 0부터 255까지의 uint8 픽셀\n"
        "  받은 것: 부동소수점 값\n"
        "  해 볼 것: x를 학습할 때의 데이터셋처럼 저장하거나, 이 데이터셋으로 다시 학습하세요\n",
    )


def test_rows_of_another_size(tmp_path: Path, run: Path, capsys: Captured) -> None:
    other = write(tmp_path / "other.npz", ["ant"] * 5 + ["bee"] * 5, features=6)
    assert refusal(capsys, "evaluate", run, other) == (
        3,
        "sumtoone: The inputs do not hold rows of the size this network was trained on [preprocessing-shape]\n"
        "  expected: 4 values in the last axes, such as (N, 4)\n"
        "  got: shape (40, 6)\n"
        "  try: reshape to (N, 4), take the data that this was trained on, or train on inputs of this size\n",
    )


def test_wrong_words(tmp_path: Path, run: Path, capsys: Captured) -> None:
    assert refusal(capsys, "evaluate", run, "--split", "tset") == (
        2,
        "sumtoone: --split cannot be this [choice]\n"
        "  expected: one of test, validation, train, all\n"
        "  got: 'tset'\n"
        "  try: did you mean test?\n",
    )
    assert refusal(capsys, "evaluate", tmp_path / "none") == (
        3,
        "sumtoone: There is no run here [run-missing]\n"
        "  expected: a folder with run.json in it\n"
        f"  got: {tmp_path / 'none'}\n"
        "  try: name the folder that 'sumtoone train' printed\n",
    )


def test_a_folder_for_pictures_that_cannot_be_made(tmp_path: Path, run: Path, capsys: Captured) -> None:
    (tmp_path / "file").touch()
    code, _, err = said(capsys, "evaluate", run, "--plots", tmp_path / "file", "--quiet")
    assert (code, err) == (
        2,
        "sumtoone: The picture cannot be written here [plot-unwritable]\n"
        "  expected: a folder that exists and may be written to\n"
        f"  got: {tmp_path / 'file'}: File exists\n"
        "  try: make the folder first, or name another one\n",
    )


# --- the matrix as text


def test_a_matrix_that_is_too_wide_gives_way_to_the_commonest_confusions(
    run: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    _, out, _ = said(capsys, "evaluate", run)
    assert "\n\nthe commonest confusions\n  bee taken for cow: 2\n\nexpected" in out
    with speaking("ko"):
        assert commonest_confusions([Confusion("벌", "개미", 1200)]) == ["  벌을 개미로 봄: 1,200"]


def test_the_commonest_confusions_come_first() -> None:
    counts = np.arange(25).reshape(5, 5)
    lines = commonest_confusions(found(counts.tolist(), list("abcde")))
    assert len(lines) == 10
    assert lines[:3] == ["  e taken for d: 23", "  e taken for c: 22", "  e taken for b: 21"]
    assert commonest_confusions(found([[1, 2], [2, 1]], ["a", "b"])) == ["  a taken for b: 2", "  b taken for a: 2"]
    assert commonest_confusions(found([[1, 0], [0, 1]], ["a", "b"])) == []


def found(counts: list[list[int]], names: list[str]) -> tuple[Confusion, ...]:
    """The confusions in a report on rows with these counts."""
    pairs = [pair for pair, count in np.ndenumerate(counts) for _ in range(count)]
    true, predicted = map(list, zip(*pairs, strict=True))
    return report_from(np.eye(len(names))[predicted], true, names).confusions


def test_long_and_wide_names_are_cut_over_narrow_columns() -> None:
    names = ["T-shirt/top", "바지", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    lines = confusion_table(np.full((10, 10), 6000).tolist(), names, 80)
    assert lines[:2] == [
        "            T-sh…  바지 Pull… Dress  Coat Sand… Shirt Snea…   Bag Ankl…",
        "T-shirt/top  6000  6000  6000  6000  6000  6000  6000  6000  6000  6000",
    ]
    assert {cell_len(line) for line in lines} <= set(range(81))


@given(
    size=st.integers(2, 12),
    names=st.lists(st.text(max_size=20), min_size=12, max_size=12),
    largest=st.sampled_from([1, 99, 10_000]),
    width=st.integers(0, 120),
    seed=st.integers(0, 99),
)
def test_a_matrix_fits_or_is_not_there(size: int, names: list[str], largest: int, width: int, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, largest + 1, (size, size))
    lines = confusion_table(counts.tolist(), names[:size], width)
    if lines:
        assert len(lines) == size + 1
        assert len({cell_len(line) for line in lines}) == 1
        assert cell_len(lines[0]) <= width
        assert all(line.isprintable() for line in lines)
        cells = [line.split()[-size:] for line in lines[1:]]
        assert [[0 if cell == "." else int(cell) for cell in row] for row in cells] == counts.tolist()
