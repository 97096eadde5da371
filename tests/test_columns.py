"""Columns by their names, and files that are judged whole: what a run is given later is not what it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch

import sumtoone as s1
from datafiles import image_bytes
from sumtoone.cli import main
from sumtoone.data.split import Split

COLUMNS = ["apple", "bear", "cat"]


def frame(rows: int = 300, seed: int = 0) -> pandas.DataFrame:
    """A table whose class is told by one column of three, on scales of their own."""
    x = np.random.default_rng(seed).normal(size=(rows, 3)) * [1, 100, 10_000]
    table = pandas.DataFrame(x, columns=COLUMNS)
    table["label"] = np.where(x[:, 0] > 0, "p", "n")
    return table


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("columns")
    frame().to_csv(folder / "abc.csv", index=False)
    s1.fit(s1.Network("3-16-2"), s1.load(folder / "abc.csv"), epochs=100, lr=0.01, out=folder / "run")
    return folder


def judged(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["evaluate", *words, "--json", "-q"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("order", [["bear", "label", "cat", "apple"], ["label", "cat", "bear", "apple"]])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_same_file_with_its_columns_in_another_order_is_the_same_data(trained, order, kind, tmp_path, capsys):
    other = tmp_path / f"other.{kind}"
    table = pandas.read_csv(trained / "abc.csv")[order]
    table.to_csv(other, index=False) if kind == "csv" else table.to_parquet(other)
    found = judged(capsys, str(trained / "run"), str(other))
    own = judged(capsys, str(trained / "run"))
    assert found["split"] == own["split"] == "test"
    assert {**found, "data": ""} == {**own, "data": ""}


def test_new_rows_in_another_order_give_what_they_give_in_the_runs_own(trained, tmp_path, capsys):
    new = frame(200, seed=7)
    new.to_csv(tmp_path / "new.csv", index=False)
    new[["cat", "label", "apple", "bear"]].to_csv(tmp_path / "turned.csv", index=False)
    one, two = (judged(capsys, str(trained / "run"), str(tmp_path / f"{name}.csv")) for name in ("new", "turned"))
    assert {**one, "data": ""} == {**two, "data": ""}
    assert (one["rows"], one["split"]) == (200, "all")
    assert one["accuracy"] > 0.9


def test_missing_extra_and_renamed_columns_are_named(trained, tmp_path, capsys):
    frame().rename(columns={"bear": "bare"}).assign(more=1).to_csv(tmp_path / "t.csv", index=False)
    assert main(["evaluate", str(trained / "run"), str(tmp_path / "t.csv")]) == 3
    assert capsys.readouterr().err == (
        "sumtoone: These columns are not those that the run was trained on [data-columns]\n"
        "  expected: the columns apple, bear, cat, in any order\n"
        "  got: missing: bear; not known: bare, more\n"
        "  try: give the columns the names they had, leave out what is not known, or train a run on this table\n"
    )
    frame()[["bear", "label"]].to_csv(tmp_path / "t.csv", index=False)
    assert main(["evaluate", str(trained / "run"), str(tmp_path / "t.csv")]) == 3
    assert "got: missing: apple, cat; not known: -\n" in capsys.readouterr().err


def test_frames_are_taken_by_name_in_python(trained):
    run = s1.open_run(trained / "run")
    assert run.columns == tuple(COLUMNS)
    table = frame(50, seed=3)
    wanted = run.probabilities(table[COLUMNS].to_numpy())
    assert torch.equal(run.probabilities(table[COLUMNS]), wanted)
    assert torch.equal(run.probabilities(table[COLUMNS[::-1]]), wanted)
    # What the run does not take as a feature anyway may stay in.
    assert torch.equal(run.probabilities(table), wanted)
    with pytest.raises(s1.DataError) as caught:
        run.probabilities(table.rename(columns={"cat": "dog"}))
    assert (caught.value.code, caught.value.got) == ("data-columns", "missing: cat; not known: dog")


def test_arrow_tables_are_taken_by_name(trained):
    import pyarrow

    run = s1.open_run(trained / "run")
    table = frame(50, seed=3)[COLUMNS]
    turned = pyarrow.Table.from_pandas(table[COLUMNS[::-1]], preserve_index=False)
    assert torch.equal(run.probabilities(turned), run.probabilities(table))


def test_a_split_is_judged_by_the_names_of_its_columns(trained, tmp_path):
    run = s1.open_run(trained / "run")
    new = frame(200, seed=7)
    new.to_csv(tmp_path / "new.csv", index=False)
    new[["cat", "label", "apple", "bear"]].to_csv(tmp_path / "turned.csv", index=False)
    one, two = (s1.evaluate(run, s1.load(tmp_path / f"{name}.csv", whole=True).test) for name in ("new", "turned"))
    assert one.to_json() == two.to_json()
    assert (
        s1.evaluate(run, Split(torch.tensor(new[COLUMNS].to_numpy()).float(), torch.zeros(200, dtype=int))).rows == 200
    )


def test_resume_takes_the_rows_by_name(trained, tmp_path):
    table = frame()
    table.to_csv(tmp_path / "t.csv", index=False)

    def stop(event):
        if event["event"] == "epoch" and event["epoch"] == 2:
            raise RuntimeError("down")

    whole = s1.fit(s1.Network("3-16-2"), s1.load(tmp_path / "t.csv"), epochs=4)
    with pytest.raises(RuntimeError, match="down"):
        s1.fit(s1.Network("3-16-2"), s1.load(tmp_path / "t.csv"), epochs=4, out=tmp_path / "r", on_event=stop)
    table[["label", *COLUMNS[::-1]]].to_csv(tmp_path / "t.csv", index=False)
    run = s1.resume(tmp_path / "r")
    assert run.columns == tuple(COLUMNS)
    assert all(torch.equal(a, b) for a, b in zip(run.network.parameters(), whole.network.parameters(), strict=True))


def test_runs_of_old_have_no_names_and_open(trained, tmp_path):
    run = s1.open_run(trained / "run")
    run.save(tmp_path / "old")
    document = json.loads((tmp_path / "old" / "run.json").read_text())
    from sumtoone.storage import json_to_bytes

    del document["data"]["columns"], document["digest"]
    (tmp_path / "old" / "run.json").write_bytes(json_to_bytes(document))
    old = s1.open_run(tmp_path / "old")
    assert old.columns is None
    rows = frame(20)[COLUMNS].to_numpy()
    assert torch.equal(old.probabilities(rows), run.probabilities(rows))


@pytest.mark.parametrize("columns", [["a"], ["a", "a", "b"], [1, 2, 3], "abc", ["a", "b", "\ud800"]])
def test_columns_that_are_no_names_are_refused(columns):
    with pytest.raises(s1.DataError) as caught:
        Split(torch.zeros(4, 3), torch.zeros(4, dtype=int), columns)
    assert caught.value.code == "dataset-columns"


def test_frames_bring_their_names_into_a_data_set():
    table = frame(60)
    x, y = table[COLUMNS], table["label"]
    data = s1.Dataset.from_arrays(x, y, test=(x[COLUMNS[::-1]], y))
    assert data.columns == tuple(COLUMNS)
    assert torch.equal(data.test.inputs, torch.tensor(x.to_numpy()).float())
    with pytest.raises(s1.DataError, match="data-columns"):
        s1.Dataset.from_arrays(x, y, test=(x[COLUMNS[:2]], y))


# --- files that are judged whole


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forty")
    table = pandas.DataFrame({"a": np.arange(1, 41.0), "label": np.arange(1, 41) % 2})
    table.to_csv(folder / "f.csv", index=False)
    table[-30:].to_csv(folder / "g.csv", index=False)
    table[-30:].assign(split="test").to_csv(folder / "tests.csv", index=False)
    table[-30:].assign(split=["train"] * 10 + ["validation"] * 5 + ["test"] * 15).to_parquet(folder / "split.parquet")
    table[table.label == 1].to_csv(folder / "ones.csv", index=False)
    table[:1].to_csv(folder / "one.csv", index=False)
    np.savez(folder / "ones.npz", x=np.ones((5, 1)), y=["1"] * 5)
    np.savez(folder / "both.npz", x=np.ones((5, 1)), y=["1"] * 5, x_test=np.ones((3, 1)), y_test=["0"] * 3)
    s1.fit(s1.Network("1-4-2"), s1.load(folder / "f.csv"), epochs=1, out=folder / "r")
    return folder


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("g.csv", 30),
        ("tests.csv", 30),
        ("split.parquet", 30),
        ("ones.csv", 20),
        ("one.csv", 1),
        ("ones.npz", 5),
        ("both.npz", 8),
    ],
)
def test_a_file_that_is_not_the_runs_own_is_judged_whole(forty, name, rows, capsys):
    found = judged(capsys, str(forty / "r"), str(forty / name))
    assert (found["data"], found["split"], found["rows"]) == (name, "all", rows)
    assert sum(map(sum, found["confusion"])) == rows
    run = s1.open_run(forty / "r")
    split = s1.load(forty / name, whole=True).test
    assert len(split) == rows
    answers = run.probabilities(split.inputs).argmax(dim=1)
    names = s1.load(forty / name, whole=True).classes
    right = sum(run.classes[answer] == names[label] for answer, label in zip(answers, split.labels, strict=True))
    assert found["accuracy"] == right / rows


def test_the_runs_own_file_is_judged_by_its_test_rows(forty, capsys):
    for words in ([], [str(forty / "f.csv")]):
        found = judged(capsys, str(forty / "r"), *words)
        assert (found["split"], found["rows"]) == ("test", 8)
    for which, rows in (("train", 29), ("validation", 3), ("test", 8), ("all", 40)):
        found = judged(capsys, str(forty / "r"), "--split", which)
        assert (found["split"], found["rows"]) == (which, rows)


def test_which_rows_are_judged_is_said(forty, capsys):
    main(["evaluate", str(forty / "r"), str(forty / "g.csv")])
    assert capsys.readouterr().out.startswith("all rows of g.csv\n30 rows, 2 classes\n")
    main(["evaluate", str(forty / "r"), "--split", "validation", "--lang", "ko"])
    assert capsys.readouterr().out.startswith("f.csv의 검증 행\n")


def test_pictures_of_one_class_are_judged_whole(tmp_path, capsys):
    for part in ("0", "1"):
        (tmp_path / "all" / part).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "all" / part / f"{number}.png").write_bytes(image_bytes(np.full((4, 4), 40 * number, np.uint8)))
    s1.fit(s1.Network("16-4-2"), s1.load(tmp_path / "all"), epochs=1, out=tmp_path / "r")
    (tmp_path / "new").mkdir()
    (tmp_path / "all" / "1").rename(tmp_path / "new" / "1")
    found = judged(capsys, str(tmp_path / "r"), str(tmp_path / "new"))
    assert (found["split"], found["rows"]) == ("all", 6)


def test_pictures_with_their_channels_first_are_refused_by_a_run_on_colours():
    rng = np.random.default_rng(0)
    data = s1.Dataset.from_arrays(rng.integers(0, 256, (40, 4, 5, 3)).astype(np.uint8), np.arange(40) % 2)
    run = s1.fit(s1.Network("60-4-2"), data, epochs=1)
    pictures = data.test.inputs.reshape(-1, 4, 5, 3)
    assert torch.equal(run.probabilities(pictures), run.probabilities(data.test.inputs))
    with pytest.raises(s1.ShapeError) as caught:
        run.probabilities(pictures.permute(0, 3, 1, 2))
    assert caught.value.code == "run-channels"
    with pytest.raises(s1.ShapeError) as caught:
        run.probabilities(pictures.permute(0, 2, 1, 3))
    assert caught.value.code == "run-turned"


def test_pictures_on_their_side_are_refused():
    rng = np.random.default_rng(0)
    data = s1.Dataset.from_arrays(rng.integers(0, 256, (40, 4, 5)).astype(np.uint8), np.arange(40) % 2)
    run = s1.fit(s1.Network("20-4-2"), data, epochs=1)
    pictures = data.test.inputs.reshape(-1, 4, 5)
    for shape in ((-1, 4, 5), (-1, 1, 4, 5), (-1, 4, 5, 1), (-1, 20), (-1, 2, 10)):
        assert torch.equal(run.probabilities(pictures.reshape(shape)), run.probabilities(data.test.inputs))
    turned = pictures.permute(0, 2, 1)
    for given in (turned, turned[0], turned[:1], turned[:, None], turned[..., None]):
        with pytest.raises(s1.ShapeError) as caught:
            run.probabilities(given)
        assert caught.value.code == "run-turned"
    assert str(caught.value).splitlines()[1:3] == [
        "  expected: shape (N, …), pictures of (4, 5), as the run was trained on",
        f"  got: shape ({len(turned)}, 5, 4, 1)",
    ]
