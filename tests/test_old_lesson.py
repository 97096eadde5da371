"""A notebook of the older lesson runs with one line changed: what it asks of PyTorch and torchvision is there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import warm
from sumtoone import ShapeError, load
from sumtoone.data.old_lesson import MNIST, Compose, FashionMNIST, Normalize, ToTensor, modules
from sumtoone.language import text

PROGRAM = """
import sys
sys.path.insert(0, FOLDER)
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance(colors="nocolor")
for cell in CELLS:
    shell.run_cell(cell)
"""
BATCH = """
dataiter = iter(trainloader)
images, labels = dataiter.next()
print(tuple(images.shape), tuple(labels.shape))
"""
NO_NEXT = "AttributeError: '_SingleProcessDataLoaderIter' object has no attribute 'next'"
needs_no_torchvision = pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")


class Digits(MNIST):
    name = "digits"


def _ran(*cells: str, folder: Path | None = None) -> list[str]:
    """What cells print, one after the other, in one shell."""
    program = PROGRAM.replace("CELLS", repr(cells)).replace("FOLDER", repr(str(folder or "")))
    done = warm.run(program, warn="ignore")
    assert done.returncode == 0, done.stderr
    return str(done.stdout).splitlines()


@needs_no_torchvision
@pytest.mark.measured
def test_the_older_lesson_runs_without_torchvision_and_with_one_line_changed() -> None:
    data = """
import torch
from torchvision import datasets, transforms

class Digits(datasets.MNIST):
    name = "digits"

transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])
trainset = Digits("~/.pytorch/MNIST_data/", download=True, train=True, transform=transform)
trainloader = torch.utils.data.DataLoader(trainset, batch_size=64, shuffle=True)
"""
    look = """
images.resize_(64, 1, 784)
ps = torch.nn.Sequential(torch.nn.Linear(784, 10), torch.nn.Softmax(dim=1)).forward(images[0,:])
print(len(helper.view_classify(images[0].view(1, 28, 28), ps)))
"""
    own = """
class Pages:
    def next(self):
        return "the next page"
    def turn(self, next=1):
        return self.next()
print(Pages().next(), "and", Pages().turn(next=2))
print(next(iter([5])))
"""
    again = "%reload_ext sumtoone.helper"
    end = "%unload_ext sumtoone.helper"
    shown = _ran("%load_ext sumtoone.helper", data, BATCH, look, again, own, end, BATCH, "import torchvision")
    assert shown[:5] == [
        text("notebook.torchvision"),
        "(64, 1, 28, 28) (64,)",
        "2",
        # Taken out and brought in again, it says so again.
        text("notebook.torchvision"),
        "the next page and the next page",
    ]
    assert shown[5] == "5"
    # After it, a cell is read as Python reads it: PyTorch's own iterator has never been changed.
    assert NO_NEXT in shown
    assert "ModuleNotFoundError: No module named 'torchvision'" in shown


@pytest.mark.measured
def test_a_torchvision_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text("datasets = 'their own'\n")
    look = "import torchvision\nprint(torchvision.datasets)"
    shown = _ran("%load_ext sumtoone.helper", look, "%unload_ext sumtoone.helper", look, folder=tmp_path)
    assert shown == ["their own", "their own"]


def test_the_modules_are_found_by_whoever_imports_them() -> None:
    made = modules()
    assert sorted(made) == ["torchvision", "torchvision.datasets", "torchvision.transforms"]
    assert all(module.__spec__ is not None and module.__name__ == name for name, module in made.items())
    assert made["torchvision"].datasets is made["torchvision.datasets"]
    assert made["torchvision.datasets"].FashionMNIST is FashionMNIST
    assert not hasattr(made["torchvision"], "models")


@pytest.mark.parametrize("train", [True, False])
def test_pictures_are_those_of_the_data_set_one_by_one(train: bool) -> None:
    data = load("digits")
    parts = [data.train, data.validation] if train else [data.test]
    rows, labels = (torch.cat([getattr(part, name) for part in parts]) for name in ("inputs", "labels"))
    pictures = Digits("anywhere", train=train)
    assert (len(pictures), pictures.classes) == (len(rows), list(data.classes))
    assert torch.equal(pictures.data.flatten(1), rows)
    for place in (0, 7, -1):
        picture, target = pictures[place]
        assert isinstance(picture, Image.Image)
        assert np.array_equal(np.asarray(picture).ravel(), rows[place].numpy())
        assert target == labels[place]
    named = Digits(train=train, transform=ToTensor(), target_transform=str)
    assert torch.equal(named[3][0].flatten() * 255, rows[3].float())
    assert named[3][1] == str(int(labels[3]))


def test_the_transforms_compute_what_their_formulas_say() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    colour = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    assert torch.equal(ToTensor()(Image.fromarray(grey)), torch.from_numpy(grey).float()[None] / 255)
    assert torch.equal(ToTensor()(colour), torch.from_numpy(colour).permute(2, 0, 1).float() / 255)
    assert torch.equal(ToTensor()(grey.astype(np.float32)), torch.from_numpy(grey).float()[None])
    both = Compose([ToTensor(), Normalize((0.5, 0.25, 0.0), (0.5, 1.0, 2.0))])
    expected = ToTensor()(colour)
    for channel, (mean, std) in enumerate(((0.5, 0.5), (0.25, 1.0), (0.0, 2.0))):
        expected[channel] = (expected[channel] - mean) / std
    assert torch.equal(both(colour), expected)
    for values in ((0.5,), (0.5, 0.5, 0.5)):
        assert torch.equal(Normalize(values, values)(torch.ones(1, 2, 2)), torch.ones(1, 2, 2))


def test_values_for_other_channels_are_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        Normalize((0.1, 0.2, 0.3), (0.5,))(torch.zeros(1, 28, 28))
    assert str(caught.value) == (
        "Normalize has another number of values than the picture has channels [normalize-channels]\n"
        "  expected: one value, or one for each of 1 channels\n"
        "  got: 3 different values\n"
        "  try: transforms.Normalize((0.5,), (0.5,)) for grey pictures"
    )
