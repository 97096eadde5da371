"""The lesson's helper draws what an old notebook asks for, and a wrong call is told what would be right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch import nn

import sumtoone as s1
from sumtoone import helper, lesson
from sumtoone.language import speaking


@pytest.fixture(autouse=True)
def pyplot() -> Iterator[Any]:
    """Draw without a window, and leave no figure behind."""
    mpl.use("agg")
    from matplotlib import pyplot as opened

    yield opened
    opened.close("all")


def _shown(axes: Any) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def _same(error: pytest.ExceptionInfo[s1.SumtooneError], message: str, expected: str, got: str, try_: str) -> None:
    value = error.value
    assert (value.message, value.expected, value.got, value.try_) == (message, expected, got, try_)


def _batch(rows: int = 64, classes: int = 10, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, 784, generator=generator) * 2 - 1, torch.randint(classes, (rows,), generator=generator)


# --- imshow


@pytest.mark.parametrize("shape", [(1, 4, 6), (4, 6), (1, 1, 4, 6), (3, 4, 6)])
def test_imshow_undoes_the_lessons_normalisation(shape: tuple[int, ...]) -> None:
    pixels = torch.rand(shape)
    axes = helper.imshow((pixels - 0.5) / 0.5)
    picture = pixels.reshape(shape[-3:]).permute(1, 2, 0) if shape[0] == 3 else pixels.reshape(4, 6)
    np.testing.assert_allclose(_shown(axes), picture.numpy(), atol=1e-6)


def test_imshow_draws_where_it_is_told(pyplot: Any) -> None:
    figure, (left, right) = pyplot.subplots(ncols=2)
    assert helper.imshow(torch.tensor([[0.0, 0.5]]), ax=right, title="right", normalize=False) is right
    assert (len(left.images), right.get_title(), right.axison) == (0, "right", False)
    np.testing.assert_array_equal(_shown(right), [[0.0, 0.5]])
    assert right.images[0].get_clim() == (0, 1)
    assert pyplot.get_fignums() == [figure.number]


def test_imshow_opens_a_figure_of_its_own_and_cuts_what_is_no_brightness(pyplot: Any) -> None:
    axes = helper.imshow(torch.tensor([[-3.0, 0.0, 3.0]]))
    assert pyplot.gcf() is axes.figure
    assert axes.get_title() == ""
    np.testing.assert_array_equal(_shown(axes), [[0.0, 0.5, 1.0]])


def test_imshow_shows_bytes_as_they_are_and_leaves_the_tensor_alone() -> None:
    image = torch.tensor([[[0, 128, 255]]], dtype=torch.uint8)
    axes = helper.imshow(image)
    np.testing.assert_array_equal(_shown(axes), [[0, 128, 255]])
    assert axes.images[0].get_clim() == (0, 255)
    learnt = torch.zeros(1, 2, 2, requires_grad=True)
    np.testing.assert_array_equal(_shown(helper.imshow(learnt)), np.full((2, 2), 0.5))
    assert torch.equal(learnt, torch.zeros(1, 2, 2))


@pytest.mark.parametrize("shape", [(2, 28, 28), (64, 1, 28, 28), (5,), (0,), (), (1, 0, 4), (28, 28, 3)])
def test_imshow_refuses_what_is_not_one_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(s1.ShapeError) as error:
        helper.imshow(torch.zeros(shape))
    _same(
        error,
        "This is not one image",
        "a torch.Tensor of floats from -1 to 1 or of uint8: shape (1, H, W) or (H, W) grey, or (3, H, W) in colour",
        str(shape),
        "take one image of a batch, images[0]; torch.from_numpy(array) for an array; "
        "img.view(1, 28, 28) for a flat one",
    )


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (np.zeros((28, 28)), "ndarray"),
        (torch.zeros(28, 28, dtype=torch.bool), "torch.bool"),
        (torch.zeros(28, 28, dtype=torch.complex64), "torch.complex64"),
    ],
)
def test_imshow_refuses_what_holds_no_brightness(image: Any, kind: str) -> None:
    with pytest.raises(s1.DtypeError) as error:
        helper.imshow(image)
    _same(
        error,
        "This is not one image",
        "a torch.Tensor of floats from -1 to 1 or of uint8: shape (1, H, W) or (H, W) grey, or (3, H, W) in colour",
        kind,
        "take one image of a batch, images[0]; torch.from_numpy(array) for an array; "
        "img.view(1, 28, 28) for a flat one",
    )


# --- view_classify


@pytest.mark.parametrize("shape", [(1, 28, 28), (28, 28), (1, 784), (784,), (1, 1, 28, 28)])
@pytest.mark.parametrize("ps_shape", [(1, 10), (10,)])
def test_view_classify_takes_an_image_as_the_lesson_passes_it(
    shape: tuple[int, ...], ps_shape: tuple[int, ...], pyplot: Any
) -> None:
    pixels = torch.linspace(-1, 1, 784)
    ps = torch.softmax(torch.arange(10.0), dim=0)
    image, bars = helper.view_classify(pixels.view(shape), ps.view(ps_shape).requires_grad_())
    np.testing.assert_allclose(_shown(image), pixels.view(28, 28).numpy(), atol=1e-7)
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], ps.detach().numpy(), rtol=1e-6)
    assert [label.get_text() for label in bars.get_yticklabels()] == list("0123456789")
    assert image.get_title() == "9: 63.2%"
    assert pyplot.get_fignums() == [image.figure.number]
    assert pyplot.gcf() is image.figure is bars.figure


def test_view_classify_names_clothes() -> None:
    _, bars = helper.view_classify(torch.zeros(1, 28, 28), torch.full((1, 10), 0.1), version="Fashion")
    names = [label.get_text() for label in bars.get_yticklabels()]
    assert (names[0], names[-1]) == ("T-shirt/top", "Ankle boot")


def test_view_classify_refuses_an_unknown_version() -> None:
    with pytest.raises(s1.UsageError) as error:
        helper.view_classify(torch.zeros(1, 28, 28), torch.full((1, 10), 0.1), version="fashion")
    _same(
        error,
        "version cannot be this",
        "one of MNIST, Fashion",
        "'fashion'",
        "did you mean Fashion?",
    )


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 27, 28), (1, 14, 14)])
def test_view_classify_refuses_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(s1.ShapeError) as error:
        helper.view_classify(torch.zeros(shape), torch.full((1, 10), 0.1))
    _same(
        error,
        "This image does not have the size of the lesson's images",
        "28 x 28 = 784 values, such as shape (1, 28, 28)",
        f"shape {shape}",
        "take one image of the batch: img = images[0].view(1, 28, 28)",
    )


def test_view_classify_refuses_what_are_no_probabilities(pyplot: Any) -> None:
    image = torch.zeros(1, 28, 28)
    with pytest.raises(s1.DataError) as error:
        helper.view_classify(image, torch.log_softmax(torch.zeros(1, 10), dim=1))
    assert error.value.code == "evaluation-probability"
    with pytest.raises(s1.ShapeError) as shape_error:
        helper.view_classify(image, torch.full((64, 10), 0.1))
    assert shape_error.value.code == "plot-shape"
    with pytest.raises(s1.DtypeError) as dtype_error:
        helper.view_classify(image, "seven")  # type: ignore[arg-type]
    assert dtype_error.value.code == "evaluation-probabilities-dtype"
    assert pyplot.get_fignums() == []


# --- view_recon


def test_view_recon_shows_both_on_one_scale() -> None:
    img, recon = torch.zeros(1, 28, 28), torch.linspace(-1, 3, 784).view(1, 784).requires_grad_()
    left, right = helper.view_recon(img, recon)
    assert left.images[0].get_clim() == right.images[0].get_clim() == (-1, 3)
    np.testing.assert_allclose(_shown(right).ravel(), recon.detach().numpy().ravel())
    assert not left.axison
    assert not right.axison


def test_view_recon_shows_colours_on_one_scale() -> None:
    left, right = helper.view_recon(torch.zeros(3, 2, 2), torch.full((3, 2, 2), 4.0))
    assert (_shown(left).max(), _shown(right).min()) == (0, 1)
    left, right = helper.view_recon(torch.ones(3, 2, 2), torch.ones(3, 2, 2))
    assert (_shown(left).max(), _shown(right).max()) == (0, 0)


def test_view_recon_refuses_two_sizes() -> None:
    with pytest.raises(s1.ShapeError) as error:
        helper.view_recon(torch.zeros(1, 28, 28), torch.zeros(1, 14, 14))
    _same(
        error,
        "An image and its reconstruction have the same size",
        "two images of one size",
        "shapes (1, 28, 28) and (1, 14, 14)",
        "give both the image's shape: recon.view(img.shape)",
    )


# --- test_network


@pytest.mark.parametrize(
    "network",
    [lesson.ClassNetwork(), lesson.FunctionalNetwork(), lesson.ExerciseNetwork(), s1.Network("784-10")],
    ids=lambda network: type(network).__name__,
)
def test_a_network_that_learns_passes_and_keeps_its_weights(network: nn.Module) -> None:
    before = [value.clone() for value in network.parameters()]
    network.eval()
    assert helper.test_network(network, [_batch()]) is True
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))
    assert all(value.grad is None for value in network.parameters())
    assert not network.training


def test_it_takes_our_own_loader_and_only_its_first_batch() -> None:
    data = s1.load("digits")
    assert helper.test_network(lesson.ExerciseNetwork(), data.train.loader(s1.Preprocessing.lesson()))
    taken = []

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for number in range(3):
            taken.append(number)
            yield _batch()

    assert helper.test_network(lesson.ExerciseNetwork(), batches())
    assert taken == [0]


def test_an_autoencoder_is_judged_by_its_images() -> None:
    images, labels = _batch()
    network = nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 784))
    assert helper.test_network(network, [(images, labels + 1000)])


class Silent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(784, 10)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers[0](x)


class Forgotten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(784, 10), nn.Linear(10, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)


class Detached(Forgotten):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.unused(self.used(x)).detach()


class Answering(nn.Module):
    """Has a weight, and returns what it was given."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer


class Lesson(nn.Module):
    """A network that ends in the softmax as taught, on large logits."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(784, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return lesson.softmax_as_taught(self.output(x) * 1e6)


def test_layers_in_a_plain_list_are_noticed() -> None:
    with pytest.raises(s1.UsageError) as error:
        helper.test_network(Silent(), [_batch()])
    _same(
        error,
        "The module has nothing to learn: .parameters() is empty",
        "layers assigned to attributes in __init__, such as self.hidden = nn.Linear(784, 256)",
        "Silent without parameters",
        "keep layers in attributes, nn.ModuleList or nn.Sequential, not in a plain list, and weights in nn.Parameter",
    )


def test_a_class_is_not_yet_a_network() -> None:
    with pytest.raises(s1.UsageError) as error:
        helper.test_network(Silent, [_batch()])  # type: ignore[arg-type]
    _same(
        error,
        "test_network does not take this as net",
        "an nn.Module that has been built",
        repr(Silent)[:60],
        "net = Network()",
    )


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (Forgotten(), "unused.weight, unused.bias"),
        (Detached(), "used.weight, used.bias, unused.weight, unused.bias"),
    ],
)
def test_layers_that_never_learn_are_named(network: nn.Module, names: str) -> None:
    with pytest.raises(s1.UsageError) as error:
        helper.test_network(network, [_batch()])
    _same(
        error,
        f"{type(network).__name__} has layers that its output does not depend on, so that they never learn",
        "every parameter used in forward, without detach(), argmax or no_grad",
        f"no gradient for: {names}",
        "use the layers in forward, or delete them",
    )


def test_frozen_layers_need_no_gradient() -> None:
    network = Forgotten()
    network.unused.requires_grad_(requires_grad=False)
    assert helper.test_network(network, [_batch()])


def test_images_that_were_not_flattened_are_explained() -> None:
    images, labels = _batch()
    with pytest.raises(s1.ShapeError) as error:
        helper.test_network(lesson.ExerciseNetwork(), [(images.view(64, 1, 28, 28), labels)])
    _same(
        error,
        "The network cannot take these rows",
        "a forward that takes inputs of shape (64, 1, 28, 28)",
        "fc1 takes 784 numbers for each row, but what it receives is not flattened: rows of 28 "
        "(mat1 and mat2 shapes cannot be multiplied (1792x28 and 784x128))",
        "x = x.view(x.shape[0], -1) (before fc1: each image becomes a row)",
    )


def test_our_own_networks_speak_for_themselves() -> None:
    with pytest.raises(s1.ShapeError) as error:
        helper.test_network(s1.Network("28-10"), [_batch()])
    assert error.value.code == "network-shape"


def test_an_error_without_words_is_named() -> None:
    class Mute(Forgotten):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError

    with pytest.raises(s1.ShapeError) as error:
        helper.test_network(Mute(), [_batch()])
    assert error.value.got == "ValueError"


def test_an_output_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(s1.DtypeError) as error:
        helper.test_network(Answering(None), [_batch()])
    _same(
        error,
        "The output is not a tensor with one row for each image",
        "for images of shape (64, 784): (64, K), a number for each of K classes",
        "NoneType",
        "end forward with return x, and keep its first axis: x.view(x.shape[0], -1), and the softmax along dim=1",
    )


@pytest.mark.parametrize("shape", [(640,), (1, 10), (64, 1, 10)])
def test_an_output_without_a_row_for_each_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(s1.ShapeError) as error:
        helper.test_network(Answering(torch.zeros(shape)), [_batch()])
    _same(
        error,
        "The output is not a tensor with one row for each image",
        "for images of shape (64, 784): (64, K), a number for each of K classes",
        str(shape),
        "end forward with return x, and keep its first axis: x.view(x.shape[0], -1), and the softmax along dim=1",
    )


def test_labels_outside_the_classes_are_refused() -> None:
    with pytest.raises(s1.ShapeError) as error:
        helper.test_network(s1.Network("784-3"), [_batch()])
    assert error.value.code == "cross-entropy-target-range"


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(s1.TrainingError) as error:
        helper.test_network(Lesson(), [_batch()])
    _same(
        error,
        "The loss is not a finite number",
        "a finite loss",
        "nan",
        "use F.softmax or sumtoone.softmax, which do not overflow, and images in [-1, 1]",
    )


@pytest.mark.parametrize(
    ("loader", "got"),
    [
        ([], "NoneType (-)"),
        ([torch.zeros(64, 784)], "Tensor (-)"),
        ([(torch.zeros(64, 784),)], "tuple (Tensor)"),
        ([[torch.zeros(64, 784), "labels"]], "list (Tensor, str)"),
    ],
)
def test_a_loader_without_pairs_is_refused(loader: Any, got: str) -> None:
    with pytest.raises(s1.DataError) as error:
        helper.test_network(lesson.ExerciseNetwork(), loader)
    _same(
        error,
        "The loader does not give pairs of images and labels",
        "batches (images, labels), two tensors: images (N, ...) and labels (N,), N at least 1",
        got,
        "give a DataLoader, such as data.train.loader(preprocessing), and look at its first batch: "
        "images, labels = next(iter(loader))",
    )


@pytest.mark.parametrize(("images", "labels"), [((64, 784), (63,)), ((64, 784), (64, 10)), ((0, 784), (0,)), ((), ())])
def test_a_pair_that_does_not_fit_is_refused(images: tuple[int, ...], labels: tuple[int, ...]) -> None:
    with pytest.raises(s1.DataError) as error:
        helper.test_network(lesson.ExerciseNetwork(), [(torch.zeros(images), torch.zeros(labels, dtype=torch.int64))])
    _same(
        error,
        "The loader does not give pairs of images and labels",
        "batches (images, labels), two tensors: images (N, ...) and labels (N,), N at least 1",
        f"images {images}, labels {labels}",
        "give a DataLoader, such as data.train.loader(preprocessing), and look at its first batch: "
        "images, labels = next(iter(loader))",
    )


def test_errors_speak_korean() -> None:
    with speaking("ko"), pytest.raises(s1.ShapeError) as error:
        helper.test_network(Answering(torch.zeros(1, 10)), [_batch()])
    with speaking("ko"):
        assert error.value.message == "출력이 이미지마다 한 행씩인 텐서가 아닙니다"
        assert error.value.got == "(1, 10)"


# --- as a whole


def test_pytest_does_not_take_the_helper_for_a_test(tmp_path: Any) -> None:
    (tmp_path / "test_notebook.py").write_text(
        "from sumtoone.helper import test_network\n\ndef test_own():\n    assert test_network\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == "test_notebook.py::test_own", done.stdout + done.stderr
    assert "1 test collected" in done.stdout


def test_importing_the_helper_opens_no_pyplot() -> None:
    code = "import sumtoone.helper as helper, sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


class _Broken(nn.Module):
    """Does something else than its author meant, in one of many ways."""

    def __init__(self, wrong: Callable[[nn.Module, torch.Tensor], object]) -> None:
        super().__init__()
        self.wrong, self.weights = wrong, nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> object:
        return self.wrong(self, x)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (lambda self, x: self.layer(x), "AttributeError: "),
        (lambda self, x: {}[3], "KeyError: 3"),
        (lambda self, x: x + {}, "TypeError: "),
        (lambda self, x: 1 // 0, "ZeroDivisionError: integer division or modulo by zero"),
        (lambda self, x: x.view(3, 5), ""),
    ],
)
def test_whatever_a_forward_raises_is_told_by_its_kind(wrong: Callable[..., object], got: str) -> None:
    data = s1.Dataset.from_arrays(torch.rand(40, 4), [0, 1] * 20)
    with pytest.raises(s1.ShapeError) as here:
        helper.test_network(_Broken(wrong), [(torch.rand(8, 1, 2, 2), torch.zeros(8, dtype=torch.int64))])
    with pytest.raises(s1.ShapeError) as there:
        s1.fit(_Broken(wrong), data)
    assert here.value.code == there.value.code == "module-forward"
    assert here.value.got.startswith(got)
    assert there.value.got.startswith(got)
