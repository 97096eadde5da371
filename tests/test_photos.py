"""From a file to a network's input: MNIST's digits survive it, photos become like them, and nothing else gets in."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

import sumtoone as s1
from sumtoone.data.images import FORMATS
from sumtoone.errors import DataError, DtypeError, SumtooneError
from sumtoone.language import speaking
from sumtoone.photos import prepare

Pixels = np.ndarray

# Mean difference of two preparations of one digit, in 255 levels: compression or a moved pixel costs up to this,
# another digit costs 20 or more.
ALIKE = 3


@pytest.fixture(scope="module")
def digits() -> s1.Dataset:
    return s1.load("digits")


@pytest.fixture(scope="module")
def run(digits: s1.Dataset) -> s1.Run:
    return s1.fit(s1.Network("784-128-64-10", seed=0), digits, epochs=8, seed=0)


@pytest.fixture(scope="module")
def some(digits: s1.Dataset) -> Pixels:
    """500 test digits, fifty of each class, (500, 28, 28)."""
    return digits.test.inputs[::2].numpy().reshape(-1, 28, 28)


def labels(run: s1.Run, rows: list[Pixels] | Pixels) -> Pixels:
    return run.probabilities(np.array(rows).reshape(-1, 784)).argmax(dim=1).numpy()


def drawing(ink: object = 0, paper: object = 255, mode: str = "L", size: tuple[int, int] = (200, 160)) -> Image.Image:
    """A seven off the centre."""
    image = Image.new(mode, size, paper)
    ImageDraw.Draw(image).line([(60, 30), (110, 30), (80, 120)], fill=ink, width=12, joint="curve")
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def as_jpeg_of_ink_on_paper(digit: Pixels, random: np.random.Generator) -> bytes:
    """Ten times as large, dark blue on cream, off the centre, on its side as EXIF says, compressed."""
    cover = np.zeros((320, 350))
    top, left = random.integers(0, 40), random.integers(0, 70)
    large = Image.fromarray(digit).resize((280, 280), Image.Resampling.BICUBIC)
    cover[top : top + 280, left : left + 280] = np.asarray(large) / 255
    paper, ink = np.array([245, 238, 220]), np.array([30, 30, 70])
    image = Image.fromarray((paper + (ink - paper) * cover[..., None]).astype(np.uint8))
    orientation = random.choice([1, 3, 6, 8])
    turned = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112] = int(orientation)
    return encoded(image.transpose(turned[orientation]) if orientation != 1 else image, "JPEG", quality=85, exif=exif)


def as_photo(digit: Pixels, random: np.random.Generator, *, chalk: bool = False) -> bytes:
    """In light that falls off to half and across a shadow's edge, with a sensor's noise, a little out of focus."""
    height, width = 600, 800
    cover = np.zeros((height, width))
    top, left = random.integers(20, 240), random.integers(20, 440)
    large = Image.fromarray(digit).resize((336, 336), Image.Resampling.BICUBIC)
    cover[top : top + 336, left : left + 336] = np.asarray(large) / 255
    y, x = np.mgrid[0:height, 0:width]
    light = []
    for _ in range(2):
        angle = random.uniform(0, 2 * np.pi)
        light.append(np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5))
    lighting = (0.75 - 0.35 * light[0]) * (1 - 0.3 / (1 + np.exp(-40 * light[1])))
    reflected = 0.2 + 0.6 * cover if chalk else 0.85 - 0.65 * cover
    grey = 255 * reflected * lighting + random.normal(0, 6, (height, width))
    image = Image.fromarray(grey.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.2))
    return encoded(image.convert("RGB"), "JPEG", quality=80)


# --- real digits


def test_digits_as_mnist_has_them_stay_what_they_are(run: s1.Run, some: Pixels) -> None:
    prepared = np.array([prepare(Image.fromarray(digit)) for digit in some]).reshape(some.shape)
    difference = np.abs(prepared.astype(int) - some.astype(int))
    assert difference.mean() < 0.5
    assert np.median(difference.max(axis=(1, 2))) <= 8
    assert (labels(run, prepared) == labels(run, some)).mean() >= 0.99


def test_dark_digits_on_white_are_the_same_digits(some: Pixels) -> None:
    for digit in some[::25]:
        bright, dark = (prepare(Image.fromarray(each)) for each in (digit, 255 - digit))
        assert np.abs(bright.astype(int) - dark.astype(int)).max() <= 1


def test_a_network_reads_ink_on_paper_as_it_reads_mnist(run: s1.Run, some: Pixels) -> None:
    random = np.random.default_rng(0)
    prepared = [prepare(as_jpeg_of_ink_on_paper(digit, random)) for digit in some]
    assert (labels(run, prepared) == labels(run, some)).mean() >= 0.97


@pytest.mark.parametrize("chalk", [False, True])
def test_a_network_reads_photos_in_uneven_light(run: s1.Run, some: Pixels, chalk: bool) -> None:
    random = np.random.default_rng(1)
    chosen = some[::8]
    prepared = [prepare(as_photo(digit, random, chalk=chalk)) for digit in chosen]
    assert (labels(run, prepared) == labels(run, chosen)).mean() >= 0.9


# --- laws


@settings(max_examples=25, deadline=None)
@given(left=st.integers(0, 100), top=st.integers(0, 60), ink=st.integers(0, 110), scale=st.sampled_from([1, 2, 3]))
def test_what_comes_out_is_centred_scaled_and_stretched(left: int, top: int, ink: int, scale: int) -> None:
    paper = Image.new("L", (220 * scale, 180 * scale), 230)
    pen = ImageDraw.Draw(paper)
    places = [((left + x) * scale, (top + y) * scale) for x, y in ((10, 10), (90, 15), (40, 105))]
    pen.line(places, fill=ink, width=9 * scale, joint="curve")
    digit = prepare(paper).reshape(28, 28).astype(float)
    rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    assert digit.max() == 255
    centre = [(digit.sum(axis=1 - axis) * np.arange(28)).sum() / digit.sum() for axis in (0, 1)]
    # The pixel that MNIST's own digits are centred on; rounding moves them by up to half a pixel.
    assert np.abs(np.array(centre) - 14).max() <= 0.51


@settings(max_examples=20, deadline=None)
@given(left=st.integers(0, 40), top=st.integers(0, 20))
def test_where_the_digit_stands_does_not_matter(left: int, top: int) -> None:
    moved = Image.new("L", (260, 200), 255)
    moved.paste(drawing(), (left, top))
    reference = Image.new("L", (260, 200), 255)
    reference.paste(drawing(), (20, 10))
    assert np.abs(prepare(moved).astype(int) - prepare(reference).astype(int)).mean() < ALIKE


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(orientation: int) -> None:
    # Pillow's own reader is the oracle of what each orientation means.
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(drawing(), exif=exif)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(content)))
    assert np.array_equal(prepare(content), prepare(upright))
    assert np.array_equal(prepare(content, (40, 50)), prepare(upright, (40, 50)))


def test_a_digit_whose_weight_is_at_one_end_stays_inside_the_field() -> None:
    # The centre of mass would push this one over the edge: it stops there, and nothing wraps around.
    image = Image.new("L", (100, 300), 0)
    pen = ImageDraw.Draw(image)
    pen.ellipse([20, 230, 80, 290], fill=255)
    pen.line([(50, 10), (50, 240)], fill=255, width=2)
    digit = prepare(image).reshape(28, 28)
    assert np.flatnonzero(digit.any(axis=1))[[0, -1]].tolist() == [0, 19]


def test_crumbs_are_swept_away() -> None:
    clean, dirty = drawing(), drawing()
    ImageDraw.Draw(dirty).rectangle([190, 150, 192, 152], fill=0)
    assert np.array_equal(prepare(clean), prepare(dirty))


def test_a_digit_in_two_pieces_keeps_both() -> None:
    five = Image.new("L", (200, 200), 255)
    pen = ImageDraw.Draw(five)
    pen.line([(90, 20), (140, 20)], fill=0, width=10)
    pen.line([(80, 60), (80, 100), (130, 120), (80, 170)], fill=0, width=10)
    digit = prepare(five).reshape(28, 28)
    rows = np.flatnonzero(digit.any(axis=1))
    assert np.ptp(rows) + 1 == 20
    assert len(rows) < 20


def test_the_measure_of_likeness_tells_digits_apart(some: Pixels) -> None:
    flat = some.reshape(-1, 784).astype(int)
    others = np.abs(flat[:-50] - flat[50:]).mean(axis=1)
    assert others.min() > 2 * ALIKE


# --- kinds of files


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_gives_the_same_digit(kind: str, tmp_path: Path) -> None:
    content = encoded(drawing(), kind, **({"quality": 95} if kind in ("JPEG", "WEBP") else {}))
    path = tmp_path / "digit"
    path.write_bytes(content)
    reference = prepare(drawing())
    for image in (content, path, str(path)):
        prepared = prepare(image)
        assert (prepared.dtype, prepared.shape) == (np.uint8, (784,))
        assert np.abs(prepared.astype(int) - reference.astype(int)).mean() < ALIKE


def test_every_mode_gives_the_same_digit() -> None:
    reference = prepare(drawing()).astype(int)
    sixteen = np.asarray(drawing()).astype(np.uint16) * 257
    animation = [drawing(), Image.new("L", (200, 160), 255)]
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 40
    pictures = {
        "bilevel": drawing().convert("1", dither=Image.Dither.NONE),
        "colour": encoded(drawing((10, 10, 40), (250, 250, 240), "RGB")),
        "palette": encoded(drawing((0, 0, 0), (255, 255, 255), "RGB").quantize(4)),
        "16 bits": encoded(Image.fromarray(sixteen)),
        "float": drawing().convert("F"),
        "CMYK": encoded(drawing((0, 0, 0), (255, 255, 255), "RGB").convert("CMYK"), "JPEG", quality=95),
        "RGB in a JPEG": encoded(drawing((0, 0, 0), (255, 255, 255), "RGB"), "JPEG", quality=95, keep_rgb=True),
        "first frame": encoded(animation[0], "GIF", save_all=True, append_images=animation[1:]),
        "several pictures": encoded(drawing(), "MPO", save_all=True, append_images=animation[1:], quality=95),
        "EXIF damaged": encoded(drawing(), "JPEG", quality=95, exif=exif),
    }
    differences = {name: np.abs(prepare(picture) - reference).mean() for name, picture in pictures.items()}
    assert {name: value for name, value in differences.items() if not value < ALIKE} == {}


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("ink", [(0, 0, 0, 255), (255, 255, 255, 255), (255, 230, 120, 255)])
def test_a_drawing_on_nothing_is_seen(kind: str, ink: tuple[int, ...]) -> None:
    content = encoded(drawing(ink, (0, 0, 0, 0), "RGBA"), kind, lossless=True)
    assert np.abs(prepare(content).astype(int) - prepare(drawing()).astype(int)).mean() < ALIKE


def test_other_ways_to_be_transparent() -> None:
    reference = prepare(drawing()).astype(int)
    palette = encoded(drawing(1, 0, "P"), transparency=0)
    grey_and_alpha = drawing((0, 255), (0, 0), "LA")
    corners = drawing((0, 0, 0, 255), (250, 250, 250, 255), "RGBA")
    ImageDraw.Draw(corners).polygon([(0, 0), (25, 0), (0, 25)], fill=(0, 0, 0, 0))
    for image in (palette, grey_and_alpha, corners):
        assert np.abs(prepare(image) - reference).mean() < ALIKE


def test_a_photo_of_twelve_million_pixels_is_read() -> None:
    large = drawing().resize((4000, 3000), Image.Resampling.BICUBIC)
    reference = drawing().resize((400, 300), Image.Resampling.BICUBIC)
    assert np.abs(prepare(encoded(large, "JPEG")).astype(int) - prepare(reference).astype(int)).mean() < ALIKE


# --- pictures that are no digits are only scaled


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), side=st.sampled_from([1, 8, 32, 28]), channels=st.sampled_from([1, 3]))
def test_a_picture_of_the_right_size_is_not_touched(seed: int, side: int, channels: int) -> None:
    shape = (side, side + 1) if channels == 1 else (side, side + 1, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(prepare(encoded(Image.fromarray(pixels)), shape), pixels.ravel())
    assert np.array_equal(prepare(encoded(Image.fromarray(pixels)), shape, digits=False), pixels.ravel())


def test_scaling_is_pillows_and_the_rule_is_the_shape() -> None:
    image = drawing((10, 40, 90), (250, 220, 180), "RGB")
    scaled = np.asarray(image.convert("L").resize((28, 28), Image.Resampling.BILINEAR))
    assert np.array_equal(prepare(image, (28, 28), digits=False), scaled.ravel())
    assert np.array_equal(prepare(image, (28, 28), digits=True), prepare(image))
    coloured = np.asarray(image.resize((28, 28), Image.Resampling.BILINEAR))
    assert np.array_equal(prepare(image, (28, 28, 3)), coloured.ravel())
    assert np.array_equal(prepare(image, (28, 28, 3), digits=True), np.repeat(prepare(image), 3))
    assert prepare(image, (28, 28, 1)).shape == (784,)
    assert prepare(image, (9, 9)).flags.writeable


def test_a_large_picture_for_a_large_network_keeps_its_detail() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 900), dtype=np.uint8)
    assert np.array_equal(prepare(encoded(Image.fromarray(pixels)), (900, 900)), pixels.ravel())


def test_what_is_transparent_lies_on_white_where_pictures_are_only_scaled() -> None:
    assert prepare(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), (2, 2)).tolist() == [255] * 4
    assert prepare(Image.new("LA", (4, 4), (255, 128)), (2, 2, 3)).tolist() == [255] * 12


# --- what is refused


def refusal(image: object) -> DataError:
    with pytest.raises(DataError) as caught:
        prepare(image)  # type: ignore[arg-type]
    return caught.value


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    error = refusal(path)
    assert str(error) == (
        "This is no image that sumtoone reads [image-kind]\n"
        "  expected: one of PNG, JPEG, BMP, GIF, WEBP\n"
        f"  got: {path}\n"
        "  try: save the image as PNG or JPEG, or leave it out"
    )
    with speaking("ko"):
        assert str(error) == (
            "sumtoone이 읽을 수 있는 이미지가 아닙니다 [image-kind]\n"
            "  기대한 것: PNG, JPEG, BMP, GIF, WEBP 가운데 하나\n"
            f"  받은 것: {path}\n"
            "  해 볼 것: 이미지를 PNG나 JPEG으로 저장하거나 빼세요"
        )
    tiff = encoded(drawing(), "TIFF")
    assert (refusal(tiff).code, refusal(tiff).got) == ("image-kind", "<bytes>")
    assert refusal(b"").code == "image-kind"


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (Image.new("L", (50, 40), 255), "<Image>"),
        (Image.new("L", (28, 28), 0), "<Image>"),
        (Image.new("RGBA", (28, 28), (0, 0, 0, 0)), "<Image>"),
        (Image.new("RGB", (1, 1), (9, 9, 9)), "<Image>"),
        (encoded(Image.linear_gradient("L"), "JPEG"), "<bytes>"),
        (encoded(Image.effect_noise((300, 200), 12)), "<bytes>"),
    ],
    ids=["white", "black", "transparent", "one pixel", "gradient", "noise"],
)
def test_a_picture_without_ink(image: object, what: str) -> None:
    error = refusal(image)
    assert str(error) == (
        "There is no ink found in the image [photo-no-ink]\n"
        "  expected: one digit that stands out from an even background\n"
        f"  got: nothing that does in {what}\n"
        "  try: draw with a darker pen, take the photo from nearer by, or cut the digit out"
    )
    with speaking("ko"):
        assert str(error) == (
            "이미지에서 잉크를 찾지 못했습니다 [photo-no-ink]\n"
            "  기대한 것: 고른 배경에서 두드러지는 숫자 하나\n"
            f"  받은 것: {what}: 두드러지는 것이 없음\n"
            "  해 볼 것: 더 진한 펜으로 쓰거나, 더 가까이에서 찍거나, 숫자 부분만 잘라 내세요"
        )


def claiming(width: int, height: int) -> bytes:
    """A PNG that says it is this large, with next to nothing in it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(8193, 8192, "8193 x 8192"), (10_000, 9_000, "10000 x 9000"), (100_000, 100_000, "100000 x 100000")],
)
def test_more_pixels_than_are_decoded(width: int, height: int, size: str) -> None:
    error = refusal(claiming(width, height))
    assert str(error) == (
        "The image has more pixels than sumtoone decodes [image-pixels]\n"
        "  expected: at most 67108864 pixels\n"
        f"  got: {size} in <bytes>\n"
        "  try: make the image smaller, or cut a part out"
    )
    with speaking("ko"):
        assert str(error) == (
            "이미지의 픽셀이 sumtoone이 디코딩하는 한도보다 많습니다 [image-pixels]\n"
            "  기대한 것: 픽셀 67108864개 이하\n"
            f"  받은 것: <bytes>: {size}\n"
            "  해 볼 것: 이미지를 줄이거나 일부만 잘라 내세요"
        )


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_short(kind: str) -> None:
    noisy = Image.effect_noise((300, 200), 60)
    content = encoded(noisy, kind)
    error = refusal(content[: len(content) // 2])
    assert error.code == "image-broken"
    assert error.message == "The image is damaged"
    assert error.expected == "a whole image"
    assert error.got.startswith("<bytes>: ")
    assert "\n" not in error.got
    assert error.try_ == "fetch or save the image again, or leave it out"
    with speaking("ko"):
        assert (error.message, error.try_) == ("이미지가 손상되었습니다", "이미지를 다시 받거나 다시 저장하거나 빼세요")


def test_paths_that_lead_to_no_file(tmp_path: Path) -> None:
    pipe, empty, sparse = tmp_path / "pipe", tmp_path / "empty.png", tmp_path / "sparse.webp"
    os.mkfifo(pipe)
    empty.touch()
    with sparse.open("wb") as file:
        file.truncate(2**28 + 1)
    wanted = {
        tmp_path / "none.png": "data-missing-path",
        empty / "below.png": "data-missing-path",
        tmp_path: "data-path-kind",
        pipe: "data-path-kind",
        empty: "data-empty-file",
        sparse: "data-too-large",
        Path("a\0b"): "data-missing-path",
        Path("x" * 5000): "data-missing-path",
    }
    assert {path: refusal(path).code for path in wanted} == wanted
    assert refusal(tmp_path / "none.png").got == f"{tmp_path / 'none.png'}: {os.strerror(errno.ENOENT)}"


def test_what_is_no_image_at_all() -> None:
    with pytest.raises(DtypeError) as caught:
        prepare(np.zeros((28, 28)))  # type: ignore[arg-type]
    assert str(caught.value) == (
        "prepare does not take this as image [argument-type]\n"
        "  expected: str | Path | bytes | PIL.Image.Image\n"
        "  got: ndarray\n"
        "  try: PIL.Image.fromarray(pixels)"
    )
    with speaking("ko"):
        assert str(caught.value) == (
            "prepare의 image로 쓸 수 없는 값입니다 [argument-type]\n"
            "  기대한 것: str | Path | bytes | PIL.Image.Image\n"
            "  받은 것: ndarray\n"
            "  해 볼 것: PIL.Image.fromarray(pixels)"
        )


SEEDS = [
    encoded(drawing((10, 10, 40), (250, 250, 240), "RGB"), "JPEG"),
    encoded(drawing()),
    encoded(drawing(1, 0, "P"), transparency=0),
    encoded(drawing(), "GIF"),
    encoded(drawing().convert("RGB"), "WEBP"),
    encoded(drawing(), "BMP"),
]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    end=st.floats(0, 1),
)
def test_hostile_bytes_give_an_array_or_our_error(seed: bytes, changes: list[tuple[float, int]], end: float) -> None:
    content = bytearray(seed)
    for place, value in changes:
        # Half of the changes fall on the headers, where they hurt most.
        content[int(place * (len(content) if value % 2 else min(64, len(content))))] = value
    try:
        prepared = prepare(bytes(content[: len(content) if end > 0.3 else int(end * 3 * len(content))]))
    except SumtooneError as error:
        assert str(error)
    else:
        assert (prepared.dtype, prepared.shape) == (np.uint8, (784,))
        assert prepared.any()


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99), levels=st.sampled_from([2, 256]))
def test_any_pixels_give_an_array_or_no_ink(height: int, width: int, seed: int, levels: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, levels, (height, width)) * (255 // (levels - 1))
    try:
        assert prepare(Image.fromarray(pixels.astype(np.uint8))).max() == 255
    except DataError as error:
        assert error.code == "photo-no-ink"


def test_threads_may_share_it() -> None:
    alone = [prepare(content) for content in SEEDS]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(prepare, SEEDS * 5))
    assert all(np.array_equal(each, alone[place % len(SEEDS)]) for place, each in enumerate(together))
