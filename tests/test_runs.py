"""A run folder is whole or refused, and answers as the run it was saved from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sumtoone import Network, Run, fit, open_run
from sumtoone.errors import DtypeError, RunError, ShapeError, SumtooneError
from sumtoone.storage import json_from_bytes, json_to_bytes, write_atomically
from test_training import build, make_dataset

DATASET = make_dataset()


@pytest.fixture(scope="module")
def run() -> Run:
    return fit(build(dropout=0.1), DATASET, epochs=2)


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    return run.save(tmp_path / "run")


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change run.json and give it the right digest again, as a person with ill will can."""
    document = json_from_bytes((folder / "run.json").read_bytes())
    change(document)
    write_atomically(folder / "run.json", json_to_bytes(document))


def test_an_opened_run_answers_to_the_bit(run: Run, folder: Path) -> None:
    again = open_run(folder)
    rows = DATASET.test.inputs
    assert torch.equal(again.probabilities(rows), run.probabilities(rows))
    assert (again.classes, again.options, again.history) == (run.classes, run.options, run.history)
    assert (again.preprocessing, again.fingerprint, again.data) == (run.preprocessing, run.fingerprint, run.data)
    assert again.network.specification == run.network.specification
    assert (again.name, again.environment) == ("run", run.environment)


def test_probabilities_take_any_batch_shape(run: Run) -> None:
    rows = DATASET.test.inputs[:6]
    expected = run.probabilities(rows)
    for shaped in (rows.reshape(2, 3, 12), rows.reshape(6, 3, 4), rows.numpy(), rows.reshape(6, 1, 2, 6)):
        assert torch.equal(run.probabilities(shaped), expected)
    assert torch.equal(run.probabilities(rows[0]), run.probabilities(rows[:1]))
    assert run.probabilities(rows[:0]).shape == (0, 3)


def test_a_large_set_is_answered_in_parts(run: Run) -> None:
    rows = DATASET.test.inputs.repeat(200, 1)
    torch.testing.assert_close(run.probabilities(rows), run.probabilities(DATASET.test.inputs).repeat(200, 1))


def test_other_inputs_are_refused(run: Run) -> None:
    with pytest.raises(ShapeError) as caught:
        run.probabilities(torch.zeros(5, 7))
    assert str(caught.value) == (
        "The inputs do not hold rows of the size this network was trained on [preprocessing-shape]\n"
        "  expected: 12 values in the last axes, such as (N, 12)\n"
        "  got: shape (5, 7)\n"
        "  try: reshape to (N, 12), take the data that this was trained on, or train on inputs of this size"
    )
    with pytest.raises(ShapeError):
        run.probabilities(torch.zeros(5, 24))
    with pytest.raises(DtypeError):
        run.probabilities(torch.zeros(5, 12, dtype=torch.complex64))


def test_saving_twice_is_refused(run: Run, folder: Path) -> None:
    with pytest.raises(RunError) as caught:
        run.save(folder)
    assert caught.value.code == "run-exists"


def test_a_folder_that_cannot_be_made(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught:
        run.save(tmp_path / "file" / "run")
    assert caught.value.code == "run-folder"
    assert caught.value.got == f"{tmp_path / 'file' / 'run'}: Not a directory"


def test_metrics_are_kept(run: Run, folder: Path) -> None:
    run.with_metrics(folder, {"test": {"accuracy": 0.5}})
    assert open_run(folder).metrics == {"test": {"accuracy": 0.5}}


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        open_run(tmp_path / "none")
    assert caught.value.code == "run-missing"


@pytest.mark.parametrize("name", ["run.json", "model.safetensors", "history.jsonl"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_is_noticed(folder: Path, name: str, data: st.DataObject) -> None:
    original = (folder / name).read_bytes()
    content = bytearray(original)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(content)
    try:
        opened = open_run(folder)
    except RunError as error:
        assert error.code == "run-damaged"
        assert name in error.got
    else:
        assert name == "run.json"  # white space
        assert opened.classes == ("c0", "c1", "c2")
    finally:
        (folder / name).write_bytes(original)


@pytest.mark.parametrize("name", ["model.safetensors", "history.jsonl"])
def test_a_missing_file_is_damage(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RunError) as caught:
        open_run(folder)
    assert caught.value.got == f"{folder / name}: No such file or directory"


def _set(document: dict[str, Any], *path_and_value: Any) -> None:
    *path, last, value = path_and_value
    for key in path:
        document = document[key]
    document[last] = value


@pytest.mark.parametrize(
    "change",
    [
        ("specification", "sizes", "12-16-8-4"),
        ("specification", "sizes", "12-10000000-10000000-3"),
        ("specification", "sizes", "12-16-24-8-3"),
        ("specification", "sizes", None),
        ("specification", "activation", "softmax"),
        ("specification", {}),
        ("classes", ["a", "b"]),
        ("classes", 3),
        ("preprocessing", "std", [0.0]),
        ("preprocessing", "std", [1.0, 2.0]),
        ("preprocessing", "mean", "no"),
        ("preprocessing", "features", 7),
        ("preprocessing", None),
        ("options", "epochs", -1),
        ("options", []),
        ("data", "image_shape", [28, 28]),
        ("data", {}),
        ("digests", None),
        ("digests", {}),
        ("metrics", 3),
    ],
    ids=str,
)
def test_values_that_cannot_be_are_refused(folder: Path, change: tuple[Any, ...]) -> None:
    edit(folder, lambda document: _set(document, *change))
    with pytest.raises(RunError) as caught:
        open_run(folder)
    assert caught.value.code == "run-damaged"
    assert caught.value.exit_code == 3


def test_another_format_is_named(folder: Path) -> None:
    edit(folder, lambda document: _set(document, "format", 3))
    with pytest.raises(RunError) as caught:
        open_run(folder)
    assert str(caught.value) == (
        "This run was written by another version of sumtoone [run-format]\n"
        "  expected: format 2\n"
        f"  got: format 3 in {folder}\n"
        "  try: open it with the version that wrote it, or a newer one"
    )


@pytest.mark.parametrize(
    ("source", "written"), [("digits", True), ("emnist-letters", True), ("fashion-mnist", False), ("/a/digits", False)]
)
def test_a_run_of_the_first_format_opens(run: Run, folder: Path, source: str, written: bool) -> None:
    def older(document: dict[str, Any]) -> None:
        document["format"], document["data"]["source"] = 1, source
        del document["data"]["handwriting"], document["data"]["columns"]

    edit(folder, older)
    again = open_run(folder)
    assert torch.equal(again.probabilities(DATASET.test.inputs), run.probabilities(DATASET.test.inputs))
    assert (again.data, again.handwriting, again.columns) == (source, written, None)
    # Written again, it is of today's format, and says so itself.
    saved = again.save(folder.parent / "again")
    assert json_from_bytes((saved / "run.json").read_bytes())["format"] == 2
    assert open_run(saved).handwriting is written


def test_logits_are_what_the_softmax_is_taken_of(run: Run) -> None:
    rows = DATASET.test.inputs
    logits = run.logits(rows)
    assert logits.shape == (len(rows), 3)
    assert torch.allclose(logits.softmax(1), run.probabilities(rows), atol=1e-6)
    assert torch.allclose(logits, run.network(run.preprocessing(rows)), atol=1e-5)
    module = torch.nn.Sequential(torch.nn.Linear(12, 3))
    own = fit(module, DATASET, epochs=1)
    assert torch.allclose(own.logits(rows), module(own.preprocessing(rows)))
    assert torch.allclose(own.logits(rows).softmax(1), own.probabilities(rows), atol=1e-6)


def test_predict_names_the_most_probable_class(run: Run) -> None:
    rows = DATASET.test.inputs
    places = run.probabilities(rows).argmax(1).tolist()
    assert run.predict(rows) == [run.classes[place] for place in places]
    assert run.predict(rows[:0]) == []


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_document_is_a_run_or_our_error(folder: Path, data: st.DataObject) -> None:
    original = (folder / "run.json").read_bytes()

    def replace_one(document: dict[str, Any]) -> None:
        place: Any = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
                place[key] = data.draw(JUNK)
                return
            place = place[key]

    try:
        edit(folder, replace_one)
        assert isinstance(open_run(folder), Run)
    except SumtooneError as error:
        assert str(error)
    finally:
        (folder / "run.json").write_bytes(original)


def test_no_pickle_anywhere(folder: Path) -> None:
    for path in folder.iterdir():
        assert path.read_bytes()[:2] != b"\x80\x02"
    assert sorted(path.name for path in folder.iterdir()) == ["history.jsonl", "model.safetensors", "run.json"]
    assert json.loads((folder / "history.jsonl").read_text().splitlines()[0])["epoch"] == 1


def test_an_identity_network_opens_without_a_lecture(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="without a non-linear function"):
        network = Network("12-8-3", activation="identity")
    fit(network, DATASET, epochs=1).save(tmp_path / "run")
    assert open_run(tmp_path / "run").network.specification.activation == "identity"
