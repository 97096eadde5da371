"""``sumtoone predict``: answers, bars, documents, pictures, and images that do not stop the others."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from rich.cells import cell_len

import sumtoone as s1
import warm
from sumtoone.cli import main
from sumtoone.cli.terminal import probability_bars
from sumtoone.data import images
from sumtoone.language import speak
from sumtoone.photos import prepare

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = s1.fit(s1.Network("784-32-10", seed=0), s1.load("digits"), epochs=2, seed=0)
    return run.save(tmp_path_factory.mktemp("runs") / "digits")


def certain(folder: Path, probabilities: dict[str, float], **changes: object) -> Path:
    """A run on images of 2 x 2 pixels that gives these probabilities, whatever the image."""
    network = s1.Network(f"4-{len(probabilities)}")
    with torch.no_grad():
        for parameter in network.parameters():
            values = [math.log(max(share, 1e-30)) for share in probabilities.values()]
            parameter.copy_(torch.tensor(values) if parameter.ndim == 1 else torch.zeros_like(parameter))
    run = s1.Run(
        network=network,
        preprocessing=s1.Preprocessing.lesson(4),
        classes=tuple(probabilities),
        history=s1.History(),
        options=s1.TrainingOptions(),
        name="certain",
        data="pets.npz",
        fingerprint="0" * 64,
        image_shape=(2, 2),
    )
    return replace(run, **changes).save(folder)  # type: ignore[arg-type]


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    image = Image.new("L", (200, 160), 250)
    ImageDraw.Draw(image).line([(60, 30), (110, 30), (80, 120)], fill=30, width=12, joint="curve")
    image.save(tmp_path / "seven.png")
    return tmp_path / "seven.png"


@pytest.fixture
def square(tmp_path: Path) -> Path:
    Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).save(tmp_path / "square.png")
    return tmp_path / "square.png"


def process(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return warm.run(None, *words, env={**os.environ, **variables}, warn="error")


# --- answers


def test_the_command_answers_as_the_run_does(digits: Path, seven: Path) -> None:
    result = process("predict", digits, seven, "--json", "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    run = s1.open_run(digits)
    expected = run.probabilities(prepare(seven))[0].tolist()
    best = run.classes[expected.index(max(expected))]
    document = {"path": str(seven), "label": best, "probabilities": dict(zip(run.classes, expected, strict=True))}
    assert json.loads(result.stdout) == document
    assert sum(document["probabilities"].values()) == pytest.approx(1, abs=1e-6)


def bar_line(name: str, bar: str, percent: str) -> str:
    """A line of 80 cells where names are three cells wide."""
    return f"  {name}  {bar:<66} {percent:>6}\n"


def test_words_and_bars(tmp_path: Path, square: Path, capsys: Captured) -> None:
    run = certain(tmp_path / "run", {"cat": 0.0, "dog": 0.75, "hen": 0.25})
    assert main(["predict", str(run), str(square)]) == 0
    lines = [
        bar_line("cat", "", "0.0%"),
        bar_line("dog", "█" * 49 + "▌", "75.0%"),
        bar_line("hen", "█" * 16 + "▌", "25.0%"),
    ]
    assert capsys.readouterr() == (f"{square}: dog (75.0%)\n" + "".join(lines), "")


def test_beside_json_words_go_to_standard_error(tmp_path: Path, square: Path, capsys: Captured) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25})
    assert main(["predict", str(run), str(square), str(square), "--json"]) == 0
    out, err = capsys.readouterr()
    documents = [json.loads(line) for line in out.splitlines()]
    assert [(document["path"], document["label"]) for document in documents] == [(str(square), "cat")] * 2
    assert documents[0]["probabilities"] == pytest.approx({"cat": 0.75, "dog": 0.25})
    assert err.splitlines()[0] == f"{square}: cat (75.0%)"
    assert len(err.splitlines()) == 6


def test_quiet_prints_results_alone(tmp_path: Path, square: Path, capsys: Captured) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25})
    assert main(["predict", str(run), str(square), "-q"]) == 0
    assert capsys.readouterr() == (f"{square}\tcat\t0.7500\n", "")


def test_many_images_take_a_line_each(tmp_path: Path, square: Path, capsys: Captured) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25})
    assert main(["predict", str(run), *[str(square)] * 5]) == 0
    assert capsys.readouterr().out == f"{square}: cat (75.0%)\n" * 5
    assert main(["predict", str(run), *[str(square)] * 4]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 12


def test_a_digit_is_cut_out_for_a_run_on_handwriting_alone(
    tmp_path: Path, digits: Path, seven: Path, capsys: Captured
) -> None:
    run = s1.open_run(digits)
    assert run.handwriting
    own = replace(run, handwriting=False).save(tmp_path / "own")
    copy = replace(run, data="./mnist").save(tmp_path / "copy")
    treated, scaled = prepare(seven), prepare(seven, digits=False)
    assert not np.array_equal(treated, scaled)
    for folder, options, pixels in (
        (digits, [], treated),
        (digits, ["--no-digits"], scaled),
        (own, [], scaled),
        (own, ["--digits"], treated),
        (copy, [], treated),
    ):
        assert main(["predict", str(folder), str(seven), "--json", "-q", *options]) == 0
        answered = json.loads(capsys.readouterr().out)["probabilities"]
        assert list(answered.values()) == run.probabilities(pixels)[0].tolist()


# --- images that cannot be read


def test_one_bad_image_does_not_stop_the_others(tmp_path: Path, square: Path, capsys: Captured) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25})
    notes, none = tmp_path / "notes.txt", tmp_path / "none.png"
    notes.write_text("no picture")
    assert main(["predict", str(run), str(notes), str(square), str(none), "--json", "--quiet"]) == 3
    out, err = capsys.readouterr()
    assert err == (
        "sumtoone: This is no image that sumtoone reads [image-kind]\n"
        "  expected: one of PNG, JPEG, BMP, GIF, WEBP\n"
        f"  got: {notes}\n"
        "  try: save the image as PNG or JPEG, or leave it out\n"
        "sumtoone: This path leads to no file or folder [data-missing-path]\n"
        "  expected: the path of a file or folder that is there\n"
        f"  got: {none}: {os.strerror(errno.ENOENT)}\n"
        "  try: check the spelling, give the whole path, or copy the data to another place\n"
    )
    first, second, third = map(json.loads, out.splitlines())
    assert first == {
        "path": str(notes),
        "error": {
            "code": "image-kind",
            "message": "This is no image that sumtoone reads",
            "expected": "one of PNG, JPEG, BMP, GIF, WEBP",
            "got": str(notes),
            "try": "save the image as PNG or JPEG, or leave it out",
        },
    }
    assert second["label"] == "cat"
    assert (third["path"], third["error"]["code"]) == (str(none), "data-missing-path")


def test_one_image_that_memory_does_not_hold_does_not_stop_the_others(
    tmp_path: Path, square: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25})
    read = images.opened

    def opened(file: Any, name: object) -> Any:
        if name == "large.png":
            raise MemoryError("8 GiB")
        return read(file, name)

    monkeypatch.setattr(images, "opened", opened)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large.png").write_bytes(square.read_bytes())
    assert main(["predict", str(run), "large.png", str(square), "--json", "--quiet"]) == 4
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["path"], first["error"]["code"], second["label"]) == ("large.png", "memory", "cat")
    assert first["error"]["got"].startswith("large.png: 8 GiB; ")


def refusal(capsys: Captured, *words: object) -> tuple[int, str]:
    code = main(list(map(str, words)))
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


def test_a_run_on_a_table_takes_no_image(tmp_path: Path, square: Path, capsys: Captured) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25}, image_shape=None)
    assert refusal(capsys, "predict", run, square) == (
        3,
        "sumtoone: This run was trained on rows of a table, not on images [predict-table]\n"
        "  expected: a run that was trained on images, such as 'sumtoone train digits'\n"
        f"  got: {run}: 4 numbers in a row\n"
        f"  try: in Python: open_run({str(run)!r}).probabilities(rows) with rows of shape (N, 4)\n",
    )
    assert refusal(capsys, "predict", run, square, "--lang", "ko") == (
        3,
        "sumtoone: 이 실행은 이미지가 아니라 표의 행으로 학습했습니다 [predict-table]\n"
        "  기대한 것: 'sumtoone train digits'처럼 이미지로 학습한 실행\n"
        f"  받은 것: {run}: 한 행에 수 4개\n"
        f"  해 볼 것: 파이썬에서 open_run({str(run)!r}).probabilities(rows)를 쓰세요. rows의 모양은 (N, 4)입니다\n",
    )


def test_a_run_on_pictures_of_another_scale_takes_no_image(tmp_path: Path, square: Path, capsys: Captured) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25}, preprocessing=s1.Preprocessing(4))
    assert refusal(capsys, "predict", run, square) == (
        3,
        "sumtoone: This run was trained on images of numbers whose scale an image file does not have [predict-scale]\n"
        "  expected: a run that was trained on uint8 pixels from 0 to 255\n"
        f"  got: {run}: floating-point values\n"
        "  try: store x as uint8 pixels and train again; "
        f"or in Python: open_run({str(run)!r}).probabilities(rows)\n",
    )
    assert refusal(capsys, "predict", run, square, "--lang", "ko") == (
        3,
        "sumtoone: 이 실행은 이미지 파일의 픽셀과 범위가 다른 값으로 학습했습니다 [predict-scale]\n"
        "  기대한 것: 0부터 255까지의 uint8 픽셀로 학습한 실행\n"
        f"  받은 것: {run}: 부동소수점 값\n"
        "  해 볼 것: x를 uint8 픽셀로 저장하고 다시 학습하거나, "
        f"파이썬에서 open_run({str(run)!r}).probabilities(rows)를 쓰세요\n",
    )


def test_wrong_words(tmp_path: Path, square: Path, capsys: Captured) -> None:
    assert refusal(capsys, "predict", tmp_path / "no", square)[0] == 3
    assert refusal(capsys, "predict", tmp_path) == (
        2,
        "sumtoone: IMAGE... needs a value [argument-missing]\n"
        "  expected: a value for IMAGE...\n"
        "  got: none\n"
        "  try: see 'sumtoone predict --help'\n",
    )


# --- pictures


def test_one_picture_takes_the_name_and_several_take_numbers(tmp_path: Path, square: Path, capsys: Captured) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25})
    single, many = tmp_path / "single.png", tmp_path / "many.svg"
    assert main(["predict", str(run), str(square), "--plot", str(single)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"picture: {single}"
    with Image.open(single) as picture:
        assert picture.format == "PNG"
    assert main(["predict", str(run), str(square), str(tmp_path / "none"), str(square), "--plot", str(many)]) == 3
    assert sorted(path.name for path in tmp_path.glob("many*")) == ["many-1.svg", "many-3.svg"]
    # The answer, and so the whole picture, is the same for both.
    assert (tmp_path / "many-1.svg").read_bytes() == (tmp_path / "many-3.svg").read_bytes()


def test_names_in_hangul_are_drawn_and_one_that_cannot_be_is_told_once(
    tmp_path: Path, square: Path, capsys: Captured
) -> None:
    run = certain(tmp_path / "run", {"고양이": 0.75, "\U00012000": 0.25})
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as a terminal has it; the tests make errors of them
        assert main(["predict", str(run), str(square), str(square), "--plot", str(tmp_path / "bars.png")]) == 0
    said = capsys.readouterr()
    assert "고양이 (75.0%)" in said.out
    assert said.err.count("#1 = \U00012000") == 1
    assert "drawn by their numbers, for want of a font with their letters: #1 = \U00012000\n" in said.err


def test_a_picture_that_cannot_be_written_stops_the_verb(tmp_path: Path, square: Path, capsys: Captured) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25})
    assert refusal(capsys, "predict", run, square, "--plot", tmp_path / "bars.bmp") == (
        2,
        "sumtoone: Pictures are written in three formats, chosen by the suffix [plot-suffix]\n"
        "  expected: a file name that ends in one of .png, .svg, .pdf\n"
        f"  got: {tmp_path / 'bars.bmp'}\n"
        "  try: write plot.png for a screen, plot.svg or plot.pdf for print\n",
    )


# --- the terminal


def test_terminals_get_colours(tmp_path: Path, square: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25})
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    main(["predict", str(run), str(square)])
    _, cat, dog = capsys.readouterr().out.splitlines()
    assert cat.startswith("\x1b[1;32m  cat")
    assert dog.startswith("  dog")
    monkeypatch.setenv("NO_COLOR", "1")
    main(["predict", str(run), str(square)])
    assert "32m" not in capsys.readouterr().out


def test_a_pipe_without_blocks_gets_letters_and_no_colours(tmp_path: Path, square: Path) -> None:
    run = certain(tmp_path / "run", {"cat": 0.75, "dog": 0.25})
    result = process("predict", run, square, PYTHONIOENCODING="ascii", PYTHONUTF8="0", COLUMNS="40")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1:] == [
        "  cat  ####################        75.0%",
        "  dog  ######                      25.0%",
    ]


def test_names_cannot_steer_the_terminal(tmp_path: Path, square: Path, capsys: Captured) -> None:
    hostile = tmp_path / "a\x1b]0;b.png"
    hostile.write_bytes(square.read_bytes())
    run = certain(tmp_path / "run", {"c\x1b[31mat": 0.75, "dog": 0.25})
    assert main(["predict", str(run), str(hostile)]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert out.splitlines()[0] == f"{tmp_path}/a\\x1b]0;b.png: c\\x1b[31mat (75.0%)"


def test_korean_names_stand_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = probability_bars([0.5, 0.25, 0.25], ["고양이", "dog", "아주 아주 긴 이름을 가진 클래스"], 40)
    assert lines == [
        "  고양이         ████████          50.0%",
        "  dog            ████              25.0%",
        "  아주 아주 긴…  ████              25.0%",
    ]
    assert {cell_len(line) for line in lines} == {40}


@given(
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    names=st.lists(st.text(max_size=40), min_size=12, max_size=12),
    width=st.integers(0, 200),
    blocks=st.booleans(),
)
def test_lines_are_of_one_width_whatever_the_names(
    shares: list[float], names: list[str], width: int, blocks: bool
) -> None:
    lines = probability_bars(shares, names[: len(shares)], width, blocks=blocks)
    assert len(lines) == len(shares)
    assert {cell_len(line) for line in lines} == {max(width, 24)}
    assert all(line.isprintable() for line in lines)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2), st.booleans())
def test_the_longer_bar_is_the_more_probable(shares: list[float], blocks: bool) -> None:
    def length(line: str) -> float:
        return sum(" ▏▎▍▌▋▊▉█".index(letter) if letter != "#" else 8 for letter in line[5:-7])

    low, high = (length(line) for line in probability_bars(sorted(shares), ["a", "b"], 80, blocks=blocks))
    assert low <= high
    room = 8 * (80 - 2 - 1 - 2 - 1 - 6)
    assert high == pytest.approx(max(shares) * room, abs=0.5 if blocks else 4)


def test_help_in_korean(capsys: Captured) -> None:
    assert main(["predict", "--help", "--lang", "ko"]) == 0
    speak(None)
    words = " ".join(capsys.readouterr().out.split())
    assert "이미지가 무엇인지 예측하고, 이미지마다 모든 클래스의 확률을 보여 줍니다." in words
    assert "사진이나 그림: PNG, JPEG, BMP, GIF 또는 WebP." in words
