"""A folder of class folders of pictures, with or without ``train/``, ``validation/`` and ``test/`` above them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import limits
from sumtoone.data.dataset import Dataset
from sumtoone.data.labels import number_parts
from sumtoone.data.splitting import PARTS, Pair, assemble, part_named
from sumtoone.errors import DataError
from sumtoone.specification import did_you_mean


@limits.within_memory
def read(path: Path, *, whole: bool = False) -> Dataset:
    """Return the data set of a folder whose folders are the classes, each holding pictures of one size.

    Where ``path`` holds a folder ``train`` that itself holds folders, these are the classes, and ``validation``
    and ``test`` beside it, or ``training``, ``val`` and so on, are taken as they are. A folder alone in another is
    looked into. A row is grey, image_shape (H, W), if every pixel of every
    picture is, else (H, W, 3). With ``whole`` every row is a test row. Rows stand in the order of names; files whose
    names begin with a dot are left out.

    Raises
    ------
    DataError
        If something else lies in the folders, a picture cannot be read, sizes differ, or the rows make no data set.
    """
    parts = _parts(path)
    listed = {name: _listed(folder) for name, folder in parts.items()}
    images = _stacked([file for files in listed.values() for _, file in files])
    raw = {name: ([label for label, _ in files], parts[name]) for name, files in listed.items()}
    labels, classes = number_parts(raw, whole=whole)
    ends = np.cumsum([len(files) for files in listed.values()])
    split = np.split(images.reshape(len(images), -1), ends[:-1])
    pairs: dict[str, Pair] = {name: (rows, labels[name]) for name, rows in zip(listed, split, strict=True)}
    name = path.name or path.resolve().name
    return assemble(name, pairs, classes=classes, image_shape=images.shape[1:], whole=whole)


def _parts(path: Path) -> dict[str, Path]:
    """Return the folders of classes by their splits."""
    found = limits.entries(path)
    # Unpacked archives lie so; one folder of pictures is no two classes.
    while len(found) == 1 and any(map(limits.is_folder, _inside(found[0]))):
        path, found = found[0], limits.entries(found[0])
    parts: dict[str, Path] = {}
    for entry in found:
        name = part_named(entry.name)
        if name in parts:
            raise DataError("data-folder-twice", path=entry, other=parts[name], part=name)
        parts[name] = entry
    if "train" not in parts or not any(map(limits.is_folder, _inside(parts["train"]))):
        return {"train": path}
    for name, folder in parts.items():
        if name not in PARTS:
            hint = did_you_mean(name, PARTS)
            raise DataError("data-folder-part", given=folder, parts=", ".join(PARTS), hint=hint)
    return parts


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the picture in a file: (H, W) if every pixel is grey, else (H, W, 3), uint8.

    The first frame of several; turned upright as its EXIF data say; what is transparent lies on white.

    Raises
    ------
    DataError
        If the file is no PNG, JPEG, BMP, GIF or WebP picture, is damaged, or has too many pixels.
    """
    from sumtoone.data import images

    with limits.open_regular(path) as file, images.decoding(path), images.opened(file, path) as picture:
        pixels = images.pixels(picture)
        return images.turned(pixels, images.orientation(picture))


def _inside(path: Path) -> list[Path]:
    return limits.entries(path) if limits.is_folder(path) else []


def _listed(folder: Path) -> list[tuple[str, Path]]:
    """Return the class and the path of each picture."""
    files: list[tuple[str, Path]] = []
    for entry in limits.entries(folder):
        if not limits.is_folder(entry):
            raise DataError("data-folder-stray", given=entry)
        inside = limits.entries(entry)
        if not inside:
            raise DataError("data-folder-empty", path=entry)
        for file in inside:
            if limits.is_folder(file):
                raise DataError("data-folder-deep", given=file, folder=entry)
            files.append((entry.name, file))
    if not files:
        raise DataError("data-folder-empty", path=folder)
    return files


def _stacked(paths: list[Path]) -> NDArray[Any]:
    """Return the pictures (N, H, W), or (N, H, W, 3) if one of them has colour."""
    images: list[NDArray[np.uint8]] = []
    size = 0
    for path in paths:
        image = read_image(path)
        if images and image.shape[:2] != images[0].shape[:2]:
            first, second = ("{1} x {0}".format(*picture.shape) for picture in (images[0], image))
            raise DataError("data-image-sizes", path=paths[0], size=first, other=path, other_size=second)
        if image.size > limits.MOST_FEATURES:
            raise DataError("data-features", name=path, count=image.size, limit=limits.MOST_FEATURES)
        size += image.nbytes
        if size > limits.MOST_BYTES:
            raise DataError("data-too-large", path=path.parent, size=size, limit=limits.MOST_BYTES)
        images.append(image)
    if all(image.ndim == 2 for image in images):
        return np.stack(images)
    return np.stack([np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image for image in images])
