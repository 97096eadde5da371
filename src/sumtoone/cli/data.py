"""``sumtoone data``: what can be loaded by name, its download, a look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sumtoone.cli.common import AsJson, Lang, Quiet, Voice, check_label
from sumtoone.errors import DataError, UsageError
from sumtoone.language import text
from sumtoone.language.display import printable
from sumtoone.language.lines import broken
from sumtoone.specification import did_you_mean, not_among

if TYPE_CHECKING:
    from torch import Tensor

    from sumtoone.data.dataset import Dataset
    from sumtoone.data.split import Split

SPLITS = ("train", "validation", "test")
# A table of data sets needs so many columns.
_WIDE = 72
COLUMNS = ("name", "rows", "classes", "shape", "place", "about")


def list_(as_json: AsJson = False, quiet: Quiet = False, lang: Lang = None) -> None:
    """List what can be loaded by name, and where it is now."""
    from rich import box
    from rich.table import Table

    voice = Voice(as_json, quiet)
    entries = [_entry(name) for name in _names()]
    voice.emit({"datasets": entries})
    voice.result("\n".join(entry["name"] for entry in entries))
    table = Table(*(text(f"source.heading-{column}") for column in COLUMNS), box=box.SIMPLE_HEAD)
    # What is too wide goes on in the next line; nothing is cut away.
    table.columns[-1].overflow = "fold"
    lines = []
    for entry in entries:
        shape = "×".join(map(str, entry["image_shape"]))
        place = text(f"source.place-{entry['place']}")
        cells = [entry["name"], f"{entry['rows']:,}", str(entry["classes"]), shape, place, entry["about"]]
        table.add_row(*cells)
        lines += ["  ".join(cells[:-1]), f"    {cells[-1]}"]
    width = voice.width
    if width >= _WIDE:
        voice.console().print(table)
    else:
        voice.say("\n".join(broken(line, width) for line in lines))


def fetch(
    name: Annotated[str, typer.Argument(help="cli.data.fetch.name", metavar="NAME")],
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> None:
    """Download a named data set if it is not here yet, and say where it is."""
    from sumtoone.data import named, sources

    voice = Voice(as_json, quiet)
    if name not in _names():
        raise DataError("source-unknown", given=name[:60], hint=did_you_mean(name[:60], _names()))
    if name == named.BUILT_IN:
        voice.emit({"name": name, "place": "built-in", "folder": None, "files": []})
        voice.result("built-in")
        return voice.say(text("source.fetched-built-in", name=name))
    source = sources.SOURCES[name]
    folder = named.obtain(source, progress=not quiet)
    files = [str(path) for path in named.paths(source, folder)]
    place, _ = named.find(source) or ("cache", folder)
    voice.emit({"name": name, "place": place, "folder": str(folder), "files": files})
    voice.result(str(folder))
    voice.say("\n".join([text("source.fetched", name=name, folder=folder), *(f"  {file}" for file in files)]))
    return None


def show(
    data: Annotated[str, typer.Argument(help="cli.common.data", metavar="DATA")] = "digits",
    out: Annotated[Path | None, typer.Option(help="cli.data.show.out", metavar="FILE")] = None,
    rows: Annotated[int, typer.Option(help="cli.data.show.rows", min=1, max=16)] = 4,
    columns: Annotated[int, typer.Option(help="cli.data.show.columns", min=1, max=16)] = 8,
    split: Annotated[str, typer.Option(help="cli.data.show.split", metavar="|".join(SPLITS))] = "train",
    seed: Annotated[int, typer.Option(help="cli.data.show.seed", min=0, max=2**63 - 1)] = 0,
    label: Annotated[str | None, typer.Option(help="cli.train.label", metavar="NAME")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> None:
    """Describe a data set, and picture some rows of it."""
    if split not in SPLITS:
        raise not_among("--split", split, SPLITS)
    from sumtoone.data import load

    check_label(label, data)
    voice = Voice(as_json, quiet)
    dataset = load(data, label=label or "label")
    if out is not None and dataset.image_shape is None:
        raise UsageError("source-no-pictures", name=dataset.name, features=dataset.features)
    chosen: Split = getattr(dataset, split)
    if not len(chosen):
        raise DataError("split-empty", given=f"{dataset.name}: {split}")
    shown = _sample(chosen, rows * columns, seed)
    if out is not None:
        from sumtoone import plots

        grid = plots.digit_grid(shown.inputs, shown.labels, dataset.classes, dataset.image_shape, columns=columns)
        plots.save(grid, out)
    facts = _description(dataset)
    voice.emit({**facts, "out": str(out) if out else None})
    sizes = "\t".join(str(number) for number in (*facts["rows"].values(), facts["features"], len(facts["classes"])))
    voice.result(f"{printable(dataset.name)}\t{sizes}" if out is None else str(out))
    voice.say(_summary(facts))
    if out is not None:
        voice.say(text("source.picture", path=out))
    elif dataset.image_shape is None:
        _print_rows(voice, dataset, shown)
    elif not quiet:
        _print_dots(voice, dataset, shown)


# --- what list says


def _names() -> tuple[str, ...]:
    from sumtoone.data import named

    return named.names()


def _entry(name: str) -> dict[str, Any]:
    from sumtoone.data import digits, named, sources

    about = text(f"source.about-{name}")
    if name == named.BUILT_IN:
        count = len(digits.CLASSES) * sum(digits.ROWS_PER_CLASS.values())
        facts: dict[str, Any] = {"rows": count, "classes": len(digits.CLASSES), "image_shape": [28, 28]}
        return {"name": name, **facts, "place": "built-in", "folder": None, "about": about}
    source = sources.SOURCES[name]
    place, folder = named.find(source) or ("download", None)
    facts = {"rows": sum(source.rows), "classes": len(source.classes), "image_shape": list(source.image_shape)}
    return {"name": name, **facts, "place": place, "folder": str(folder) if folder else None, "about": about}


# --- what show says


def _sample(split: Split, count: int, seed: int) -> Split:
    import torch

    from sumtoone.data.split import Split

    chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:count]
    return Split(split.inputs[chosen], split.labels[chosen])


def _description(dataset: Dataset) -> dict[str, Any]:
    splits: dict[str, Split] = {name: getattr(dataset, name) for name in SPLITS}
    counts = {name: one.labels.bincount(minlength=len(dataset.classes)).tolist() for name, one in splits.items()}
    filled = [one.inputs for one in splits.values() if one.inputs.numel()]
    return {
        "name": dataset.name,
        "rows": {name: len(one) for name, one in splits.items()},
        "classes": [
            {"class": name, **{split: counts[split][place] for split in SPLITS}}
            for place, name in enumerate(dataset.classes)
        ],
        "features": dataset.features,
        "image_shape": list(dataset.image_shape) if dataset.image_shape else None,
        "dtype": str(dataset.train.inputs.dtype).removeprefix("torch."),
        "range": [min(x.min().item() for x in filled), max(x.max().item() for x in filled)] if filled else None,
        "fingerprint": dataset.fingerprint,
    }


def _summary(facts: dict[str, Any]) -> str:
    least, most = facts["range"] or ("–", "–")
    classes = [f"{printable(row['class'])} ({sum(row[split] for split in SPLITS)})" for row in facts["classes"]]
    shape = "×".join(map(str, facts["image_shape"])) if facts["image_shape"] else text("source.no-shape")
    return text(
        "source.summary",
        name=printable(facts["name"]),
        rows=sum(facts["rows"].values()),
        **facts["rows"],
        count=len(classes),
        classes=", ".join(classes),
        features=facts["features"],
        shape=shape,
        dtype=facts["dtype"],
        least=f"{least:g}" if facts["range"] else least,
        most=f"{most:g}" if facts["range"] else most,
        fingerprint=facts["fingerprint"],
    )


def _print_rows(voice: Voice, dataset: Dataset, shown: Split, most_rows: int = 8, most_columns: int = 6) -> None:
    """Print the first of the shown rows as a table of numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    columns = min(dataset.features, most_columns)
    more = ["…"] if dataset.features > columns else []
    named = dataset.columns or [f"x{place}" for place in range(dataset.features)]
    headings = [text("source.heading-class"), *(printable(name) for name in named[:columns]), *more]
    table = Table(*headings, box=box.SIMPLE_HEAD)
    for row, label in list(zip(shown.inputs.tolist(), shown.labels.tolist(), strict=True))[:most_rows]:
        table.add_row(Text(printable(dataset.classes[label])), *(f"{value:.4g}" for value in row[:columns]), *more)
    voice.console().print(table)


def _print_dots(voice: Voice, dataset: Dataset, shown: Split) -> None:
    """Print the first shown images side by side in Braille dots, where the output has such letters."""
    if not voice.has_blocks:
        return
    blocks = [_dots(image, dataset.image_shape or ()) for image in shown.inputs[: max(1, voice.width // 15)]]
    for lines in zip(*blocks, strict=True):
        voice.say(" ".join(lines).rstrip("\u2800 "))
    names = (printable(dataset.classes[label])[:14].ljust(14) for label in shown.labels[: len(blocks)].tolist())
    voice.say(" ".join(names).rstrip())


def _dots(image_D: Tensor, image_shape: tuple[int, ...]) -> list[str]:
    """Return an image as 7 lines of 14 Braille letters, 28 x 28 dots: set where it is brighter than halfway."""
    import numpy as np

    picture = image_D.numpy().reshape(*image_shape[:2], -1).mean(axis=2)
    down, across = (np.arange(28) * length // 28 for length in picture.shape)
    lit = picture[down][:, across] > (picture.min() + picture.max()) / 2
    # The dots of a letter, 4 down and 2 across, and the bit of each in its code point.
    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    codes = 0x2800 + (lit.reshape(7, 4, 14, 2) * bits[None, :, None, :]).sum(axis=(1, 3))
    return ["".join(map(chr, row)) for row in codes]
