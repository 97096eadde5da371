"""The table of data sets that have a name: what each holds, where it comes from, how it is known.

Sources: MNIST, LeCun, Cortes and Burges; Fashion-MNIST, Xiao, Rasul and Vollgraf, arXiv:1708.07747;
KMNIST, Clanuwat et al., arXiv:1812.01718; EMNIST, Cohen et al., arXiv:1702.05373.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from sumtoone.data.download import RemoteFile


@dataclass(frozen=True)
class Source:
    """A named data set of IDX files.

    Parameters
    ----------
    name, folder
        What people call it, and the folder its files lie in (the name, if empty).
    classes
        The name of each label the files hold, in their order.
    rows
        How many rows its train and its test files hold.
    mirrors
        Base addresses that end in ``/``.
    files
        Images and labels to train, images and labels to test.
    archive
        The zip file on the mirrors that holds ``files`` under ``member_folder``, if they come in one.
    prefix
        What stands before ``train-images…`` in the names of the files.
    transpose
        Whether rows and columns of every image are swapped.
    handwriting
        Whether its images are digits or letters, cut out and centred as MNIST's are.
    """

    name: str
    classes: tuple[str, ...]
    rows: tuple[int, int]
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    folder: str = ""
    archive: RemoteFile | None = None
    member_folder: str = ""
    prefix: str = ""
    transpose: bool = False
    image_shape: tuple[int, int] = (28, 28)
    handwriting: bool = True

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders its files may lie in, the first of them being its own in the cache."""
        return tuple(dict.fromkeys((self.folder or self.name, self.name)))


# --- the table


def _files(**digests: tuple[str, str]) -> tuple[RemoteFile, ...]:
    """Return the four files of an MNIST-like set from ``train_images=(md5, sha256 of the content)`` and so on."""
    kinds = {"images": "idx3", "labels": "idx1"}
    return tuple(
        RemoteFile(f"{part}-{kind}-{kinds[kind]}-ubyte.gz", md5, content_sha256)
        for (part, kind), (md5, content_sha256) in ((key.split("_"), pair) for key, pair in digests.items())
    )


_DIGITS = tuple(string.digits)

MNIST = Source(
    "mnist",
    classes=_DIGITS,
    rows=(60_000, 10_000),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    files=_files(
        train_images=(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        train_labels=(
            "d53e105ee54ea40749a09fcbcd1e9432",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        t10k_images=(
            "9fb629c4189551a2d022fa330f9573f3",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        t10k_labels=(
            "ec29112dd5afa0611ce80d1b7f02629c",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

FASHION_MNIST = Source(
    "fashion-mnist",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    rows=(60_000, 10_000),
    handwriting=False,
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    files=_files(
        train_images=(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        train_labels=(
            "25c81989df183df01b3e8a0aad5dffbe",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        t10k_images=(
            "bef4ecab320f06d8554ea6380940ec79",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        t10k_labels=(
            "bb300cfdad3c16e7a12a480ee83cd310",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
)

KMNIST = Source(
    "kmnist",
    classes=tuple("おきすつなはまやれを"),
    rows=(60_000, 10_000),
    mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    files=_files(
        train_images=("bdb82020997e1d708af4cf47b453dcf7", ""),
        train_labels=("e144d726b3acfaa3e44228e80efcd344", ""),
        t10k_images=("5c965bf0a639b31b8f53240b1b52f4d7", ""),
        t10k_labels=("7320c461ea6c1c855c0b718fb2a4b134", ""),
    ),
)


# Letters whose small form looks like the capital are one class in the merged sets.
_MERGED = (*_DIGITS, *string.ascii_uppercase, *"abdefghnqrt")


def _emnist(split: str, classes: tuple[str, ...], rows: tuple[int, int]) -> Source:
    kinds = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
    return Source(
        f"emnist-{split}",
        classes=classes,
        rows=rows,
        mirrors=(
            "https://biometrics.nist.gov/cs_links/EMNIST/",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
        ),
        files=tuple(RemoteFile(f"emnist-{split}-{kind}-ubyte.gz", largest=600 * 1024**2) for kind in kinds),
        folder="emnist",
        archive=RemoteFile("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e", largest=1024**3),
        member_folder="gzip/",
        prefix=f"emnist-{split}-",
        transpose=True,
    )


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        MNIST,
        FASHION_MNIST,
        KMNIST,
        _emnist("balanced", _MERGED, (112_800, 18_800)),
        _emnist("byclass", (*_DIGITS, *string.ascii_uppercase, *string.ascii_lowercase), (697_932, 116_323)),
        _emnist("bymerge", _MERGED, (697_932, 116_323)),
        _emnist("digits", _DIGITS, (240_000, 40_000)),
        _emnist("letters", tuple(string.ascii_uppercase), (124_800, 20_800)),
        _emnist("mnist", _DIGITS, (60_000, 10_000)),
    )
}


# The content of files of images that are handwriting, under whatever name they lie.
HANDWRITING = frozenset(
    source.files[0].content_sha256
    for source in SOURCES.values()
    if source.handwriting and source.files[0].content_sha256
)
