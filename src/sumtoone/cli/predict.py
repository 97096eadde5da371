"""``sumtoone predict``: images in, probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sumtoone.cli.common import AsJson, Lang, NetworkFile, Quiet, Voice, opened, warn
from sumtoone.errors import DataError, UnavailableError
from sumtoone.language import text
from sumtoone.language.display import printable

if TYPE_CHECKING:
    from sumtoone.runs import Run

BOLD, BOLD_GREEN = "1", "1;32"
# Of more images, each gets one line.
_MOST_WITH_BARS = 4


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="cli.predict.run")],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="cli.predict.images")],
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="cli.predict.plot")] = None,
    digits: Annotated[bool | None, typer.Option("--digits/--no-digits", help="cli.predict.digits")] = None,
    network: NetworkFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> int:
    """Say what each image shows; one that cannot be read does not stop the others."""
    voice = Voice(as_json, quiet)
    voice.begin(text("cli.predict.begin", run=run))
    asked = opened(run, network)
    image_shape = _image_shape(asked, run)
    if digits is None:
        digits = asked.handwriting
    code = 0
    for number, image in enumerate(images, start=1):
        target = plot.with_stem(f"{plot.stem}-{number}") if plot is not None and len(images) > 1 else plot
        try:
            _answer(voice, asked, image, image_shape, digits, target, bars=len(images) <= _MOST_WITH_BARS)
        except (DataError, UnavailableError) as error:
            code = error.exit_code
            voice.emit({"path": image, "error": error.to_json()})
            warn(f"sumtoone: {error}")
    return code


def _image_shape(run: Run, path: str) -> tuple[int, ...]:
    if run.image_shape is None:
        raise DataError("predict-table", path=path, features=run.preprocessing.features)
    if run.preprocessing.divisor == 1:
        # Rows of floating-point values: nothing says what a byte of an image would be among them.
        raise DataError("predict-scale", path=path)
    return tuple(run.image_shape)


def _answer(
    voice: Voice,
    run: Run,
    image: str,
    image_shape: tuple[int, ...],
    digits: bool,
    target: Path | None,
    *,
    bars: bool,
) -> None:
    from sumtoone.photos import prepare

    pixels = prepare(image, image_shape, digits=digits)
    probabilities: list[float] = run.probabilities(pixels)[0].tolist()
    if target is not None:
        from sumtoone import plots

        plots.save(plots.prediction(pixels, probabilities, run.classes, image_shape), target)
    best = probabilities.index(max(probabilities))
    table = dict(zip(run.classes, probabilities, strict=True))
    voice.emit({"path": image, "label": run.classes[best], "probabilities": table})
    voice.result(f"{printable(image)}\t{printable(run.classes[best])}\t{probabilities[best]:.4f}")
    _say(voice, image, run.classes, probabilities, best, bars=bars)
    if target is not None:
        voice.say(text("cli.predict.picture", path=target))


def _say(
    voice: Voice, image: str, classes: tuple[str, ...], probabilities: list[float], best: int, *, bars: bool
) -> None:
    """Print the answer and its bars; the predicted class stands out where the terminal can show it."""
    from sumtoone.cli.terminal import probability_bars

    share = f"{probabilities[best]:.1%}"
    voice.say(text("cli.predict.answer", path=image, label=classes[best], share=share), style=BOLD)
    if not bars:
        return
    for place, line in enumerate(probability_bars(probabilities, classes, voice.width, blocks=voice.has_blocks)):
        voice.say(line, style=BOLD_GREEN if place == best else "")
