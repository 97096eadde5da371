from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from datafiles import assert_read_or_refused, damaged, growth, image_bytes, limited, pictures, refusal
from sumtoone.data import folders
from sumtoone.errors import DataError

GREY = pictures(12)
COLOUR = pictures(12, (4, 5, 3))


def fill(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), images: np.ndarray = GREY) -> Path:
    """Pictures in turn: the first class holds images 0, K, 2K, …"""
    for number, pixels in enumerate(images):
        home = folder / classes[number % len(classes)]
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{number:03}.png").write_bytes(image_bytes(pixels))
    return folder


def test_class_folders_become_classes(tmp_path: Path) -> None:
    data = folders.read(fill(tmp_path / "pets"))
    assert (data.name, data.classes, data.image_shape) == ("pets", ("cat", "dog"), (4, 5))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [9, 1, 2]
    by_row = {image.tobytes(): ("cat", "dog")[number % 2] for number, image in enumerate(GREY)}
    for split in (data.train, data.validation, data.test):
        for row, label in zip(split.inputs.numpy(), split.labels, strict=True):
            assert by_row[row.tobytes()] == data.classes[label]


def test_rows_stand_in_the_order_of_names(tmp_path: Path) -> None:
    for part in ("test", "train"):
        for label in "ba":
            fill(tmp_path / part, (label,), GREY[:3] if label == "a" else GREY[3:6])
    data = folders.read(tmp_path)
    np.testing.assert_array_equal(data.test.inputs.numpy(), GREY[:6].reshape(6, 20))
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_splits_above_the_classes_are_respected(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "validation", images=GREY[:3])
    fill(tmp_path / "test", ("dog",), GREY[:2])
    data = folders.read(tmp_path)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [12, 3, 2]
    assert data.validation.labels.tolist() == [0, 0, 1]
    assert data.test.labels.tolist() == [1, 1]


def test_train_may_be_a_class(tmp_path: Path) -> None:
    assert folders.read(fill(tmp_path, ("train", "tram"))).classes == ("train", "tram")


def test_numbers_are_ordered_by_value_and_hidden_files_left_out(tmp_path: Path) -> None:
    fill(tmp_path, ("10", "9", "0"))
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "9" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "9" / ".hidden").mkdir()
    assert folders.read(tmp_path).classes == ("0", "9", "10")


def test_one_picture_with_colour_makes_all_rows_colour(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "cat" / "000.png").write_bytes(image_bytes(COLOUR[0]))
    data = folders.read(tmp_path)
    assert data.image_shape == (4, 5, 3)
    rows = np.concatenate([split.inputs.numpy() for split in (data.train, data.validation, data.test)])
    for pixels in (COLOUR[0], *(np.repeat(image[..., None], 3, axis=2) for image in GREY[1:])):
        assert (rows == pixels.ravel()).all(axis=1).sum() == 1


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 9)] * 2) | st.tuples(*[st.integers(1, 9)] * 2, st.just(3))),
    st.sampled_from([("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})]),
)
def test_lossless_pictures_come_back_as_they_were(tmp_path: Path, pixels: np.ndarray, kind: tuple[str, Any]) -> None:
    path = tmp_path / "image"
    path.write_bytes(image_bytes(pixels, kind[0], **kind[1]))
    found = folders.read_image(path)
    if pixels.ndim == 3 and found.ndim == 2:
        assert (pixels == pixels[..., :1]).all()
        pixels = pixels[..., 0]
    np.testing.assert_array_equal(found, np.squeeze(pixels, 2) if pixels.ndim > found.ndim else pixels)


def save(path: Path, image: Image.Image, kind: str = "PNG", **options: Any) -> np.ndarray:
    image.save(path, kind, **options)
    return folders.read_image(path)


def test_every_mode_of_pixels(tmp_path: Path) -> None:
    path, grey, colour = tmp_path / "i", Image.fromarray(GREY[0]), Image.fromarray(COLOUR[0])
    np.testing.assert_array_equal(save(path, grey.convert("1")), np.where(np.array(grey.convert("1")), 255, 0))
    np.testing.assert_array_equal(save(path, grey.convert("P")), GREY[0])
    np.testing.assert_array_equal(save(path, grey.convert("RGB")), GREY[0])
    np.testing.assert_array_equal(save(path, colour.convert("P")), np.array(colour.convert("P").convert("RGB")))
    np.testing.assert_array_equal(save(path, grey, "GIF"), GREY[0])
    deep = GREY[0].astype(np.uint16) * 256 + 7
    np.testing.assert_array_equal(save(path, Image.fromarray(deep)), GREY[0])
    jpeg = save(path, colour.convert("CMYK"), "JPEG")
    with Image.open(path) as opened:
        np.testing.assert_array_equal(jpeg, np.array(opened.convert("RGB")))


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    strokes = np.zeros((4, 5, 4), np.uint8)
    strokes[1, 2, 3] = 255
    expected = np.full((4, 5), 255)
    expected[1, 2] = 0
    np.testing.assert_array_equal(save(tmp_path / "i", Image.fromarray(strokes)), expected)
    np.testing.assert_array_equal(save(tmp_path / "i", Image.fromarray(strokes[..., 2:])), expected)


def test_the_first_frame_of_several(tmp_path: Path) -> None:
    first, second = Image.fromarray(GREY[0]), Image.fromarray(GREY[1])
    for kind in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        found = save(tmp_path / "i", first, kind, save_all=True, append_images=[second], **options)
        np.testing.assert_array_equal(found, GREY[0])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", [*range(10), 65_535])
def test_the_camera_may_have_been_turned(tmp_path: Path, kind: str, orientation: int) -> None:
    # Pillow's own reader is the oracle of what each orientation means.
    exif = Image.Exif()
    exif[0x0112] = orientation
    for pixels in (GREY[0], COLOUR[0]):
        found = save(tmp_path / "i", Image.fromarray(pixels), kind, exif=exif)
        with Image.open(tmp_path / "i") as opened:
            upright = np.asarray(ImageOps.exif_transpose(opened).convert("L" if found.ndim == 2 else "RGB"))
        np.testing.assert_array_equal(found, upright)
        assert found.flags.c_contiguous


def test_other_places_where_the_orientation_stands(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for content, comment in (
        ("exif\n1\n" + exif.tobytes().hex(), "Raw profile type exif"),
        ("exif\n0\n" + "zz", "Raw profile type exif"),
        ('<x tiff:Orientation="6"/>', "XML:com.adobe.xmp"),
    ):
        text = PngInfo()
        text.add_itxt(comment, content) if "XML" in comment else text.add_text(comment, "\n" + content)
        found = save(tmp_path / "i", Image.fromarray(GREY[0]), pnginfo=text)
        np.testing.assert_array_equal(found, GREY[0] if "zz" in content else np.rot90(GREY[0], -1))


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged(b"Exif\0\0MM\0*\0\0\0\x08\0\2\1\x12\0\3\0\0\0\1\0\6\0\0\1\x1a\0\5\0\0\0\1\0\0\0\x20\0\0\0\0"))
def test_damaged_exif_data_damage_no_picture(tmp_path: Path, exif: bytes) -> None:
    for kind in ("JPEG", "WEBP", "PNG"):
        found = save(tmp_path / "i", Image.fromarray(GREY[0]), kind, exif=exif)
        assert sorted(found.shape[:2]) == [4, 5]


def test_two_sizes_in_full(tmp_path: Path) -> None:
    fill(tmp_path)
    first, other = tmp_path / "cat" / "000.png", tmp_path / "cat" / "004.png"
    other.write_bytes(image_bytes(pictures(1, (6, 7))[0]))
    with pytest.raises(DataError) as caught:
        folders.read(tmp_path)
    assert str(caught.value) == (
        "The images differ in size [data-image-sizes]\n"
        f"  expected: 5 x 4 (width x height), as {first}\n"
        f"  got: 7 x 6: {other}\n"
        "  try: bring all images to one size, such as 28 x 28: PIL.Image.open(path).resize((28, 28)).save(path)"
    )


def test_folders_that_hold_something_else(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    kinds = "one of PNG, JPEG, BMP, GIF, WEBP"
    note = root / "cat" / "notes.txt"
    note.write_text("not an image")
    assert refusal(lambda: folders.read(root)) == ("image-kind", kinds, str(note))
    # A kind that Pillow knows, and we do not ask it for.
    Image.fromarray(GREY[0]).save(note, "TIFF")
    assert refusal(lambda: folders.read(root)) == ("image-kind", kinds, str(note))
    note.write_bytes(b"")
    assert refusal(lambda: folders.read(root)) == ("data-empty-file", "a file with data in it", f"0 bytes in {note}")
    note.unlink()
    note.mkdir()
    assert refusal(lambda: folders.read(root)) == ("data-folder-deep", f"images only in {note.parent}", str(note))
    note.rmdir()
    note = root / "readme.txt"
    note.write_text("x")
    expected = "folders only, one for each class"
    assert refusal(lambda: folders.read(root)) == ("data-folder-stray", expected, str(note))
    note.unlink()
    (root / "bird").mkdir()
    expected = "a folder for each class, with the images of this class in it"
    assert refusal(lambda: folders.read(root)) == ("data-folder-empty", expected, f"nothing in {root / 'bird'}")
    void = tmp_path / "void"
    void.mkdir()
    assert refusal(lambda: folders.read(void)) == ("data-folder-empty", expected, f"nothing in {void}")


def test_splits_that_do_not_fit(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "more")
    with pytest.raises(DataError) as caught:
        folders.read(tmp_path)
    assert (caught.value.code, caught.value.expected, caught.value.got, caught.value.try_) == (
        "data-folder-part",
        "only train, validation, test",
        str(tmp_path / "more"),
        "choose one of train, validation, test",
    )
    (tmp_path / "more").rename(tmp_path / "test")
    fill(tmp_path / "test", ("cow",))
    assert refusal(lambda: folders.read(tmp_path)) == (
        "data-label-unseen",
        "labels that the rows to train have too",
        f"'cow' in the test rows of {tmp_path / 'test'}",
    )


def test_one_class_is_none_and_names_are_printable(tmp_path: Path) -> None:
    assert refusal(lambda: folders.read(fill(tmp_path / "a", ("cat",)))) == (
        "data-one-class",
        "two classes or more",
        "only 'cat' in a",
    )
    root = fill(tmp_path / "b", ("cat", "d\x1bog"))
    assert refusal(lambda: folders.read(root)) == (
        "data-label-name",
        "plain text of at most 1000 characters, without control characters",
        rf"d\x1bog in row 7 of {root}",
    )


def test_paths_that_are_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(image_bytes(GREY[0]))
    assert refusal(lambda: folders.read(file)) == ("data-path-kind", "a folder", f"a file: {file}")
    assert refusal(lambda: folders.read(tmp_path / "none"))[0] == "data-missing-path"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_half_a_picture_is_none(tmp_path: Path, kind: str) -> None:
    root = fill(tmp_path)
    path = root / "dog" / "001.png"
    content = image_bytes(pictures(1, (40, 50))[0], kind)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError) as caught:
        folders.read_image(path)
    assert caught.value.code == "image-broken"
    assert caught.value.got.startswith(f"{path}: ")


def png(width: int, height: int, body: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(8193, 8192), (70_000, 970)])
def test_too_many_pixels(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "i.png"
    path.write_bytes(png(width, height))
    expected = ("image-pixels", "at most 67108864 pixels", f"{width} x {height} in {path}")
    assert refusal(lambda: folders.read_image(path)) == expected


def test_a_bomb_of_pixels_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "i.png"
    # Beyond the number at which Pillow itself warns.
    path.write_bytes(png(30_000, 30_000, bytes(2**20)))
    call = f"folders.read_image(Path({str(path)!r}))"
    result = subprocess.run([sys.executable, "-c", limited(call)], capture_output=True, text=True, check=True)
    code, memory = result.stdout.split()
    assert code == "image-pixels"
    assert int(memory) < 2**14


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_damaged_pictures_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    root = fill(tmp_path, images=COLOUR)

    @settings(deadline=None, max_examples=60)
    @given(damaged(image_bytes(COLOUR[0], kind)))
    def check(broken: bytes) -> None:
        (root / "cat" / "000.png").write_bytes(broken)
        assert_read_or_refused(folders.read, root)

    check()


def test_a_picture_too_large_for_a_row_is_refused_at_once(tmp_path: Path) -> None:
    root = fill(tmp_path, images=GREY[:2])
    first, next_ = root / "cat" / "000.png", root / "cat" / "001.png"
    Image.new("RGB", (2000, 2000), (255, 0, 0)).save(first)
    next_.write_text("never looked at")
    assert refusal(lambda: folders.read(root)) == (
        "data-features",
        "1 to 10000000 values in a row",
        f"12000000 in {first}",
    )


MEASURED = """
    from pathlib import Path
    import numpy, PIL.Image, scipy.ndimage, sumtoone.photos
    from sumtoone.data import folders, images
"""


@pytest.mark.parametrize(("mode", "options"), [("RGBA", {}), ("P", {"transparency": 0})])
@pytest.mark.parametrize(
    ("call", "bytes_a_pixel"),
    # Four of Pillow's, three of the row; a photo is made small on the way.
    [("folders.read_image(Path({path!r}))", 7), ("sumtoone.photos.prepare(Path({path!r}), (50, 50, 3))", 4)],
)
def test_a_picture_is_decoded_in_the_memory_that_the_limits_say(
    tmp_path: Path, mode: str, options: dict[str, Any], call: str, bytes_a_pixel: int
) -> None:
    side = 3000
    Image.new(mode, (side, side)).save(tmp_path / "i", "PNG", compress_level=1, **options)
    # A megapixel at a time is worked on besides.
    assert growth(MEASURED, call.format(path=str(tmp_path / "i"))) < bytes_a_pixel * side**2 + 2**25
