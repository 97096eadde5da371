"""Pictures: what is drawn is what was given, in both languages, and the files are the same each time."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
import torch
from fontTools.ttLib import TTFont
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colors, font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from sumtoone import plots
from sumtoone.errors import DataError, DtypeError, ShapeError, SumtooneError, UsageError
from sumtoone.evaluation import Reliability, Report, report_from
from sumtoone.intervals import with_interval
from sumtoone.language import entries, speaking
from sumtoone.plots import canvas
from sumtoone.plots.canvas import BLUE, VERMILION, drawing
from sumtoone.runs import History
from sumtoone.specification import Specification

NANUM = "/usr/share/fonts/truetype/nanum/NanumGothic.ttf"
DIGITS = tuple(map(str, range(10)))
GARMENTS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def pixels(count: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def report(classes: int = 10, rows: int = 300) -> Report:
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, rows)
    probabilities = random.dirichlet([0.1] * classes, rows) * 0.6
    probabilities[np.arange(rows), labels] += 0.4
    return report_from(probabilities, labels, list(map(str, range(classes))))


def history(epochs: int = 3, *, validation: bool = True) -> History:
    parts = ("train", "validation") if validation else ("train",)
    rows = []
    for epoch in range(1, epochs + 1):
        row: dict[str, Any] = {"epoch": epoch, "seconds": 1.0, "validation_loss": None, "validation_accuracy": None}
        for place, part in enumerate(parts):
            row |= {f"{part}_loss": (1 + place) / epoch, f"{part}_accuracy": 1 - (1 + place) / (4 * epoch)}
        rows.append(row)
    return History(tuple(rows))


def shares(*values: float) -> np.ndarray:
    return np.array(values) / sum(values)


PICTURES: dict[str, Callable[[], Figure]] = {
    "digit_grid": lambda: plots.digit_grid(pixels(5, 784), torch.arange(5), DIGITS, (28, 28)),
    "training_curves": lambda: plots.training_curves(history()),
    "confusion_matrix": lambda: plots.confusion_matrix(report()),
    "reliability_diagram": lambda: plots.reliability_diagram(report()),
    "prediction": lambda: plots.prediction(pixels(1, 784)[0], shares(*range(10)), DIGITS, (28, 28)),
    "activation_shapes": lambda: plots.activation_shapes(Specification.parse("784-128-64-10")),
    "activation_functions": plots.activation_functions,
}


def words(figure: Figure) -> list[str]:
    return [found.get_text() for found in figure.findobj(Text) if found.get_text()]


def png(figure: Figure, folder: Path) -> Image.Image:
    content = plots.save(figure, folder / "plot.png").read_bytes()
    return Image.open(io.BytesIO(content)).convert("RGB")


# --- all pictures


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_picture_gives_the_same_image(name: str, tmp_path: Path) -> None:
    figure, again = PICTURES[name](), PICTURES[name]()
    content = plots.save(figure, tmp_path / "plot.png").read_bytes()
    assert plots.save(again, tmp_path / "again.png").read_bytes() == content
    image = Image.open(io.BytesIO(content))
    width, height = figure.get_size_inches()
    assert image.size == (int(width * 100), int(height * 100))
    assert image.info.keys() == {"dpi"}
    assert len(set(image.convert("L").tobytes())) > 10


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_files_for_print_hold_no_time_and_no_version(suffix: str, language: str, tmp_path: Path) -> None:
    with speaking(language):
        one, two = (
            plots.save(PICTURES["activation_shapes"](), tmp_path / f"{number}.{suffix}").read_bytes() for number in "12"
        )
    assert one == two
    for trace in (b"Matplotlib v", b"matplotlib.org/,", b"CreationDate", b"dc:date", mpl.__version__.encode()):
        assert trace not in one
    if suffix == "pdf":
        assert one.startswith(b"%PDF-")
    else:
        assert ElementTree.fromstring(one).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "digit_grid"])
def test_korean_pictures_have_korean_words(name: str, tmp_path: Path) -> None:
    english = words(PICTURES[name]())
    with speaking("ko"):
        figure = PICTURES[name]()
        korean = words(figure)
        # A glyph that no font has would be a warning here, and a warning is an error.
        plots.save(figure, tmp_path / "plot.png")
    assert len(korean) == len(english)
    assert not any("가" <= letter <= "힣" for letter in "".join(english))
    assert any("가" <= letter <= "힣" for letter in "".join(korean))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_pictures_are_the_same_whatever_fonts_are_installed(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(name: str) -> bytes:
        with speaking(language):
            figure = plots.prediction(pixels(1, 784), [0.25, 0.75], ["고양이", "dog"], (28, 28))
            return plots.save(figure, tmp_path / f"{name}.png").read_bytes()

    manager = font_manager.fontManager
    here = drawn("here")
    bare = [font for font in manager.ttflist if font.name.startswith("DejaVu")]
    monkeypatch.setattr(manager, "ttflist", bare)
    assert drawn("bare") == here
    # DejaVu under the names of fonts that have Hangul: it would be another picture if they were asked first.
    full = [replace(bare[0], name=name) for name in ("Noto Sans CJK KR", "NanumGothic", "Malgun Gothic")]
    monkeypatch.setattr(manager, "ttflist", [*bare, *full])
    assert drawn("full") == here


def test_bold_hangul_is_no_reason_to_complain(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with speaking("ko"):
        figure = plots.training_curves(history())
        figure.axes[0].set_title("손실", weight="bold", family=canvas.HANGUL)
        plots.save(figure, tmp_path / "plot.png")
    assert caplog.records == []


def test_our_font_has_the_syllables_that_are_written_and_its_licence_beside_it() -> None:
    folder = Path(plots.__file__).parent / "fonts"
    font = TTFont(folder / "hangul.ttf")
    syllables = {bytes([row, column]).decode("euc-kr") for row in range(0xB0, 0xC9) for column in range(0xA1, 0xFF)}
    jamo = set(map(chr, range(0x3131, 0x3164)))
    korean = {letter for words in entries("ko").values() for letter in words}
    lacking = (syllables | jamo | korean) - set(map(chr, font.getBestCmap()))
    assert len(syllables) == 2350
    assert all(letter in "\n←≤" or not letter.isalnum() for letter in lacking)
    names = {str(record) for record in font["name"].names}
    licence = (folder / "OFL.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE" in licence
    # The licence keeps these names for the original.
    assert canvas.HANGUL in names
    assert not [record.toUnicode() for record in font["name"].names if record.nameID != 0 and "Nanum" in str(record)]
    assert (folder / "hangul.ttf").stat().st_size < 900_000


@pytest.mark.skipif(not Path(NANUM).exists(), reason="needs NanumGothic of fonts-nanum")
def test_our_font_is_made_from_nanum_gothic_again(tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "fonts" / "build.py"
    ran = subprocess.run(
        [sys.executable, script, NANUM, tmp_path / "hangul.ttf"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    made, kept = tmp_path / "hangul.ttf", Path(plots.__file__).parent / "fonts" / "hangul.ttf"
    # Another version of fontTools may order its tables otherwise; what it draws is the same.
    assert TTFont(made).getBestCmap() == TTFont(kept).getBestCmap()
    assert all(
        TTFont(made).getTableData(table) == TTFont(kept).getTableData(table) for table in ("glyf", "hmtx", "name")
    )


@pytest.mark.parametrize("name", PICTURES)
def test_no_text_reaches_over_the_edge_of_the_picture(name: str) -> None:
    figure = PICTURES[name]()
    figure.draw_without_rendering()
    whole = figure.bbox.padded(1)
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert whole.fully_containsx(box.x0)
        assert whole.fully_containsx(box.x1)
        assert whole.fully_containsy(box.y0)
        assert whole.fully_containsy(box.y1)


def test_drawing_leaves_no_setting_behind_and_never_starts_pyplot(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    for draw in PICTURES.values():
        draw()
    plots.save(PICTURES["activation_shapes"](), tmp_path / "plot.png")
    assert dict(mpl.rcParams) == before
    code = "import sys, sumtoone.plots as p; p.activation_functions(); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_of_the_user_do_not_change_the_picture(tmp_path: Path) -> None:
    plain = plots.save(PICTURES["training_curves"](), tmp_path / "plain.png").read_bytes()
    with mpl.rc_context({"lines.linewidth": 9, "savefig.dpi": 30, "axes.facecolor": "red", "font.size": 20}):
        assert plots.save(PICTURES["training_curves"](), tmp_path / "styled.png").read_bytes() == plain


# --- images


@given(st.integers(1, 12), st.integers(1, 5), st.sampled_from([(4, 4), (3, 5), (2, 3, 1), (3, 2, 3), (2, 2, 4)]))
@settings(deadline=None, max_examples=12)
def test_a_grid_holds_every_image_under_its_class(count: int, columns: int, shape: tuple[int, ...]) -> None:
    inputs = pixels(count, int(np.prod(shape)))
    labels = torch.arange(count) % 10
    figure = plots.digit_grid(inputs, labels, GARMENTS, shape, columns=columns)
    assert len(figure.axes) == count
    for axes, row, label in zip(figure.axes, inputs.numpy(), labels.tolist(), strict=True):
        (image,) = axes.images
        assert np.array_equal(image.get_array(), row.reshape(shape[:2] if shape[2:] == (1,) else shape))
        assert image.get_interpolation() == "nearest"
        assert axes.get_title() == GARMENTS[label]
        if len(shape) == 2:
            assert image.get_clim() == (0.0, 255.0)
    places = [axes.get_position().bounds for axes in figure.axes]
    assert len({round(bottom, 6) for _, bottom, _, _ in places}) == -(-count // columns)
    assert len({round(left, 6) for left, _, _, _ in places}) == min(count, columns)


def test_a_small_pixel_becomes_a_square_of_screen_pixels(tmp_path: Path) -> None:
    row = pixels(1, 784)
    drawn = np.asarray(png(plots.digit_grid(row, [3], DIGITS, (28, 28)), tmp_path))
    assert drawn.shape == (12 + 84 + 26, 12 + 84 + 12, 3)
    enlarged = row.reshape(28, 28).numpy().repeat(3, axis=0).repeat(3, axis=1)
    # The colour map's own arithmetic rounds some greys down by one of 256.
    assert np.abs(drawn[26:110, 12:96].astype(int) - enlarged[..., None]).max() <= 1


def test_a_large_image_is_reduced_and_a_long_one_keeps_its_form() -> None:
    figure = plots.digit_grid(pixels(1, 400 * 200), [0], DIGITS, (400, 200))
    assert figure.get_size_inches() * 100 == pytest.approx((12 + 84 + 12, 12 + 168 + 26))
    _, _, width, height = figure.axes[0].get_position().bounds
    assert (width * 108, height * 206) == pytest.approx((84, 168))


def test_numbers_that_are_no_bytes_span_black_to_white() -> None:
    figure = plots.digit_grid(np.array([[-1.0, 0.0], [0.5, 3.0]]), [0, 1], DIGITS, (1, 2))
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(-1.0, 3.0), (-1.0, 3.0)]
    coloured = plots.digit_grid(np.array([[-1.0, 1.0, 3.0]]), [0], DIGITS, (1, 1, 3))
    assert coloured.axes[0].images[0].get_array().tolist() == [[[0.0, 0.5, 1.0]]]
    flat = plots.digit_grid(np.full((1, 3), 7.0), [0], DIGITS, (1, 1, 3))
    assert flat.axes[0].images[0].get_array().tolist() == [[[0.0, 0.0, 0.0]]]


def test_class_names_are_drawn_as_they_are_or_by_number(tmp_path: Path) -> None:
    names = ["$5$", "two\nlines", "a name that is far too long", "\U00012000", "", "plain"]
    with pytest.warns(UserWarning) as warned:
        figure = plots.digit_grid(pixels(6, 4), range(6), names, (2, 2))
    assert [str(warning.message) for warning in warned] == [
        "drawn by their numbers, for want of a font with their letters: #3 = \U00012000, #4 = "
    ]
    expected = ["$5$", "two lines", "a name that is …", "#3", "#4", "plain"]
    assert [axes.get_title() for axes in figure.axes] == expected
    plots.save(figure, tmp_path / "plot.png")


def test_the_commonest_confusions_number_a_class_by_its_place_among_the_classes() -> None:
    names = [f"c{number}" for number in range(120)]
    names[50] = "\U00012000"
    probabilities = np.full((3, 120), 0.001)
    probabilities[:, 50] = 1 - 0.119
    with pytest.warns(UserWarning, match="#50 = "):
        figure = plots.confusion_matrix(report_from(probabilities, [7, 7, 50], names))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["c7 → #50"]


def test_korean_class_names_are_drawn_in_an_english_picture(tmp_path: Path) -> None:
    figure = plots.digit_grid(pixels(1, 4), [0], ["고양이"], (2, 2))
    assert figure.axes[0].get_title() == "고양이"
    plots.save(figure, tmp_path / "plot.png")


@given(st.integers(2, 12), st.integers(0, 1000))
@settings(deadline=None, max_examples=8)
def test_bars_are_as_long_as_the_probabilities(classes: int, seed: int) -> None:
    probabilities = torch.tensor(np.random.default_rng(seed).dirichlet([0.5] * classes), dtype=torch.float32)
    image = pixels(1, 784, seed)
    names = [f"c{number}" for number in range(classes)]
    figure = plots.prediction(image, probabilities[None], names, (28, 28))
    left, right = figure.axes
    assert np.array_equal(left.images[0].get_array(), image.numpy().reshape(28, 28))
    assert [bar.get_width() for bar in right.patches] == probabilities.tolist()
    best = int(probabilities.argmax())
    assert left.get_title() == f"c{best}: {float(probabilities[best]):.1%}"
    assert right.get_title() == "Class probabilities"
    assert [label.get_text() for label in right.get_yticklabels()] == names
    assert [words.get_text() for words in right.texts] == [f"{float(share):.1%}" for share in probabilities]
    seen = [colors.to_hex(bar.get_facecolor()).upper() for bar in right.patches]
    assert seen == [VERMILION if number == best else BLUE for number in range(classes)]
    assert right.yaxis_inverted()


def test_of_many_classes_the_ten_most_probable_are_drawn() -> None:
    values = shares(*range(1, 63))
    figure = plots.prediction(pixels(1, 4), values, [f"c{number}" for number in range(62)], (2, 2))
    right = figure.axes[1]
    assert [bar.get_width() for bar in right.patches] == values[:51:-1].tolist()
    assert [label.get_text() for label in right.get_yticklabels()] == [f"c{number}" for number in range(61, 51, -1)]
    assert right.get_title() == "The 10 most probable of 62 classes"


# --- training and judgement


def test_curves_hold_the_history() -> None:
    rows = history(4)
    loss, accuracy = plots.training_curves(rows).axes
    for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        train, validation = axes.get_lines()
        assert train.get_xdata().tolist() == [1, 2, 3, 4]
        assert tuple(train.get_ydata()) == rows[f"train_{quantity}"]
        assert tuple(validation.get_ydata()) == rows[f"validation_{quantity}"]
        assert [words.get_text() for words in axes.get_legend().get_texts()] == ["training", "validation"]
        assert train.get_linestyle() != validation.get_linestyle()
    assert (loss.get_title(), loss.get_xlabel(), loss.get_ylabel()) == ("Loss", "epoch", "cross-entropy (nats)")
    assert accuracy.get_title() == "Accuracy"


def test_curves_without_validation_and_of_one_or_many_epochs(tmp_path: Path) -> None:
    for axes in plots.training_curves(history(1, validation=False)).axes:
        (line,) = axes.get_lines()
        assert line.get_markersize() == 5
        assert [words.get_text() for words in axes.get_legend().get_texts()] == ["training"]
    assert plots.training_curves(history(31)).axes[0].get_lines()[0].get_markersize() == 0
    nothing = History(({"epoch": 1, "train_loss": None},))
    assert [axes.get_legend() for axes in plots.training_curves(nothing).axes] == [None, None]
    plots.save(plots.training_curves(nothing), tmp_path / "plot.png")


def test_curves_speak_korean() -> None:
    with speaking("ko"):
        loss, accuracy = plots.training_curves(history()).axes
    assert (loss.get_title(), accuracy.get_title(), loss.get_xlabel()) == ("손실", "정확도", "에폭")
    assert [words.get_text() for words in loss.get_legend().get_texts()] == ["학습", "검증"]


@pytest.mark.parametrize("classes", [2, 10, 12, 13, 20, 21, 62, 100])
def test_the_confusion_matrix_shows_shares_and_counts(classes: int) -> None:
    judged = report(classes)
    axes = plots.confusion_matrix(judged).axes[0]
    counts = judged.confusion
    sums = counts.sum(axis=1, keepdims=True)
    assert np.allclose(axes.images[0].get_array(), np.divide(counts, sums, out=np.zeros(counts.shape), where=sums > 0))
    seen = {(int(y), int(x)): words.get_text() for words in axes.texts for x, y in [words.get_position()]}
    expected = {(row, column): f"{counts[row, column]:,}" for row, column in np.argwhere(counts).tolist()}
    assert seen == (expected if classes <= 20 else {})
    labels = axes.get_xticklabels()
    assert {label.get_rotation() for label in labels} == {0.0 if classes <= 12 else 90.0}
    step = 1 if classes <= 64 else 2
    assert [label.get_text() for label in labels] == list(map(str, range(0, classes, step)))
    assert [label.get_text() for label in axes.get_yticklabels()] == list(map(str, range(0, classes, step)))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.get_title() == f"300 rows, {with_interval(judged.right, 300)} of them right"


def test_one_epoch_is_one_tick() -> None:
    for epochs, ticks in ((1, [1]), (2, [1, 2])):
        figure = plots.training_curves(history(epochs))
        for axes in figure.axes:
            low, high = axes.get_xlim()
            assert [tick for tick in axes.get_xticks() if low <= tick <= high] == ticks


def test_of_many_classes_the_commonest_confusions_are_bars() -> None:
    judged = report(150)
    axes = plots.confusion_matrix(judged).axes[0]
    most = judged.confusions[:20]
    assert [bar.get_width() for bar in axes.patches] == [pair.count for pair in most]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [f"{pair.true} → {pair.predicted}" for pair in most]
    assert axes.get_title() == f"300 rows, {with_interval(judged.right, 300)} of them right"
    assert axes.get_ylabel() == "The commonest confusions, true → predicted"


def test_long_class_names_are_turned() -> None:
    axes = plots.confusion_matrix(report_from(np.eye(10), range(10), GARMENTS)).axes[0]
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {90.0}


def test_the_reliability_diagram_holds_the_bins() -> None:
    judged = report()
    reliability = judged.reliability
    figure = plots.reliability_diagram(judged)
    upper, lower = figure.axes
    right, gaps, whiskers = upper.containers
    filled = reliability.counts > 0
    (stems,) = whiskers.lines[2]
    ends = [tuple(stem[:, 1]) for stem in stems.get_segments()]
    assert np.array(ends) == pytest.approx(np.array(reliability.intervals))
    assert [note.get_text() for note in lower.texts] == [f"{count:,}" for count in reliability.counts[filled]]
    assert [bar.get_x() for bar in right] == pytest.approx(reliability.edges[:-1][filled])
    assert [bar.get_width() for bar in right] == pytest.approx([1 / 15] * filled.sum())
    assert [bar.get_height() for bar in right] == pytest.approx(reliability.accuracy[filled])
    ends = [bar.get_y() + bar.get_height() for bar in gaps]
    assert ends == pytest.approx(reliability.confidence[filled])
    assert [bar.get_height() for bar in lower.patches] == reliability.counts.tolist()
    low, high = judged.intervals["ece"]
    assert upper.get_title() == f"Expected calibration error {judged.ece:.4f} [{low:.4f}, {high:.4f}]"
    # Bins alone tell of no interval, and all else.
    assert words(plots.reliability_diagram(reliability)) == [
        word.removesuffix(f" [{low:.4f}, {high:.4f}]") for word in words(figure)
    ]


def test_bins_of_equal_mass_are_drawn_as_wide_as_they_are() -> None:
    reliability = Reliability.of_equal_mass([0.5, 0.6, 0.9, 1.0], [False, True, True, True], bins=2)
    upper, _ = plots.reliability_diagram(reliability).axes
    assert [bar.get_width() for bar in upper.containers[0]] == pytest.approx([0.6, 0.4])


# --- the lesson


def test_shapes_are_drawn_from_inputs_to_probabilities() -> None:
    (axes,) = plots.activation_shapes(Specification.parse("784-128-64-10", "tanh", 0.2), batch_size=32).axes
    texts = [found.get_text() for found in axes.texts if found.get_text()]
    assert texts == [
        *("(32, 784)", "inputs"),
        *("(32, 128)", "hidden 1", "@ W1 + b1\nW1 (784, 128)", "tanh\ndropout 0.2"),
        *("(32, 64)", "hidden 2", "@ W2 + b2\nW2 (128, 64)", "tanh\ndropout 0.2"),
        *("(32, 10)", "logits", "@ W3 + b3\nW3 (64, 10)"),
        *("(32, 10)", "probabilities", "softmax", "rows sum to 1"),
        "784-128-64-10: 109,386 parameters, a batch of 32",
    ]
    heights = [box.get_height() for box in axes.patches if hasattr(box, "get_height")]
    assert heights == sorted(heights, reverse=True)
    assert len(heights) == 5


def test_of_a_deep_network_the_middle_is_left_out() -> None:
    sizes = [784, *range(100, 80, -1), 10]
    (axes,) = plots.activation_shapes(Specification.parse(sizes)).axes
    boxes = [found.get_text() for found in axes.texts if found.get_weight() == "bold"]
    assert boxes == [f"(64, {size})" for size in (784, 100, 99, 98, 82, 81, 10, 10)]
    texts = [found.get_text() for found in axes.texts]
    assert "15 more" in texts
    assert "@ W20 + b20\nW20 (82, 81)" in texts
    assert "@ W19 + b19\nW19 (83, 82)" not in texts
    assert texts[-1].startswith("784-100 … 10: ")


@pytest.mark.parametrize("sizes", ["784-10", "1-2", "3-4-5-6-7-8-9-2"])
def test_networks_of_every_depth_have_a_box_for_each_stage(sizes: str) -> None:
    (axes,) = plots.activation_shapes(Specification.parse(sizes)).axes
    assert sum(found.get_weight() == "bold" for found in axes.texts) == sizes.count("-") + 2


def test_the_curves_of_the_activations_are_those_of_pytorch() -> None:
    figure = plots.activation_functions()
    for axes, function in zip(figure.axes, (torch.sigmoid, torch.tanh, torch.relu), strict=True):
        _, _, values, slopes = axes.get_lines()
        x = torch.tensor(values.get_xdata(), requires_grad=True)
        y = function(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert np.allclose(values.get_ydata(), y.detach().numpy())
        drawn = slopes.get_ydata()
        known = ~np.isnan(drawn)
        assert np.allclose(drawn[known], slope.numpy()[known])
        assert (~known).sum() == (function is torch.relu)
        assert axes.get_title().startswith(function.__name__)
    legends = [axes.get_legend().get_texts()[1].get_text() for axes in figure.axes]
    assert legends == [f"derivative, at most {largest}" for largest in ("0.25", "1", "1")]


# --- files and mistakes


def test_the_suffix_may_be_in_capitals_and_an_older_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "plot.PNG"
    target.write_text("old")
    assert plots.save(plots.activation_functions(), str(target)) == target
    assert target.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["plot.PNG"]


def test_a_name_in_the_way_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "plot.png"
    target.mkdir()
    with pytest.raises(UsageError) as caught:
        plots.save(plots.activation_functions(), target)
    assert caught.value.got == f"{target}: Is a directory"
    assert [file.name for file in tmp_path.iterdir()] == ["plot.png"]


def test_drawing_keeps_the_language_of_the_caller() -> None:
    with speaking("ko"), drawing():
        pass
    with pytest.raises(DataError) as caught:
        plots.training_curves(History())
    assert caught.value.message == "There is no epoch to draw"


def message(kind: type[SumtooneError], code: str, wrong: str, expected: str, got: str, advice: str) -> tuple[type, str]:
    return kind, f"{wrong} [{code}]\n  expected: {expected}\n  got: {got}\n  try: {advice}"


NOT_FILLED = "one picture or more of (height, width) or (height, width, channels) with 1, 3 or 4 channels"
GRID = "draw a part: digit_grid(inputs[:32], labels[:32], classes, image_shape)"
SHAPE_ADVICE = "give the image_shape of the data set that the rows come from"


def wrong_shape(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> tuple[type, str]:
    got = f"values of shape {shape} for pictures of shape {image_shape}"
    fault = "The values do not fill pictures of this shape"
    return message(ShapeError, "plot-image-shape", fault, NOT_FILLED, got, SHAPE_ADVICE)


MISTAKES: dict[str, tuple[Callable[[], object], tuple[type, str]]] = {
    "suffix": (
        lambda: plots.save(Figure(), "plot.jpeg"),
        message(
            UsageError,
            "plot-suffix",
            "Pictures are written in three formats, chosen by the suffix",
            "a file name that ends in one of .png, .svg, .pdf",
            "plot.jpeg",
            "write plot.png for a screen, plot.svg or plot.pdf for print",
        ),
    ),
    "folder": (
        lambda: plots.save(Figure(), "no/such/folder/plot.png"),
        message(
            UsageError,
            "plot-unwritable",
            "The picture cannot be written here",
            "a folder that exists and may be written to",
            "no/such/folder/plot.png: No such file or directory",
            "make the folder first, or name another one",
        ),
    ),
    "too many images": (
        lambda: plots.digit_grid(pixels(257, 4), [0] * 257, DIGITS, (2, 2)),
        message(
            UsageError,
            "plot-grid",
            "The grid of images cannot be drawn so",
            "at most 256 images, in 1 or more columns",
            "257 images in 8 columns",
            GRID,
        ),
    ),
    "columns": (
        lambda: plots.digit_grid(pixels(2, 4), [0, 0], DIGITS, (2, 2), columns=0),
        message(
            UsageError,
            "plot-grid",
            "The grid of images cannot be drawn so",
            "at most 256 images, in 1 or more columns",
            "2 images in 0 columns",
            GRID,
        ),
    ),
    "labels": (
        lambda: plots.digit_grid(pixels(2, 4), [0], DIGITS, (2, 2)),
        message(
            ShapeError,
            "plot-shape",
            "There are not as many labels as are to be drawn",
            "labels of shape (2,)",
            "labels of shape (1,)",
            "one label for each input, from the same split; one row of probabilities: run.probabilities(image)[0]",
        ),
    ),
    "label out of range": (
        lambda: plots.digit_grid(pixels(2, 4), [0, 10], DIGITS, (2, 2)),
        message(
            DataError,
            "evaluation-label",
            "A label names no class",
            "labels from 0 to 9, for 10 classes",
            "labels[1] = 10; such labels in all: 1",
            "number the classes from 0, or use a network with an output for each of them",
        ),
    ),
    "rows that are words": (
        lambda: plots.digit_grid([["a", "b"]], [0], DIGITS, (1, 2)),
        message(
            DtypeError,
            "plot-images-dtype",
            "Images must be numbers",
            "uint8 pixels, or floating-point ones",
            "<U1",
            "read the image as an array first, for instance numpy.asarray(image)",
        ),
    ),
    "no pictures": (
        lambda: plots.digit_grid(pixels(2, 4), [0, 0], DIGITS, None),
        message(
            DataError,
            "plot-no-images",
            "These rows are no pictures",
            "a data set whose image_shape is known, such as (28, 28)",
            "inputs of shape (2, 4) and image_shape None",
            "if the rows are pixels after all, give their image_shape",
        ),
    ),
    "no images": (lambda: plots.digit_grid(pixels(0, 4), [], DIGITS, (2, 2)), wrong_shape((0, 4), (2, 2))),
    "a single number": (lambda: plots.digit_grid(3.0, [], DIGITS, (1, 1)), wrong_shape((), (1, 1))),
    "two channels": (lambda: plots.digit_grid(pixels(1, 8), [0], DIGITS, (2, 2, 2)), wrong_shape((1, 8), (2, 2, 2))),
    "one axis": (lambda: plots.prediction(pixels(1, 8), [1.0], ["a"], (8,)), wrong_shape((1, 8), (8,))),
    "two images": (lambda: plots.prediction(pixels(2, 4), [1.0], ["a"], (2, 2)), wrong_shape((2, 4), (2, 2))),
    "probabilities": (
        lambda: plots.prediction(pixels(1, 4), shares(1, 2, 3), DIGITS, (2, 2)),
        message(
            ShapeError,
            "plot-shape",
            "There are not as many probabilities as are to be drawn",
            "probabilities of shape (10,)",
            "probabilities of shape (3,)",
            "one label for each input, from the same split; one row of probabilities: run.probabilities(image)[0]",
        ),
    ),
    "logits": (
        lambda: plots.prediction(pixels(1, 4), [2.0, 1.0], ["a", "b"], (2, 2)),
        message(
            DataError,
            "evaluation-sum",
            "The probabilities of a row do not sum to one",
            "a sum of 1 in every row, up to 0.001",
            "row 0 sums to 3; such rows in all: 1 of 1",
            "apply softmax over the last dimension: softmax(logits, dim=-1)",
        ),
    ),
    "no epoch": (
        lambda: plots.training_curves(History()),
        message(
            DataError,
            "plot-history-empty",
            "There is no epoch to draw",
            "a history of one epoch or more",
            "0 epochs",
            "train for at least one epoch first",
        ),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_numbers(mistake: str) -> None:
    call, (kind, said) = MISTAKES[mistake]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == said
    with speaking("ko"):
        korean = str(caught.value)
    assert korean != said
    assert "{" not in korean
