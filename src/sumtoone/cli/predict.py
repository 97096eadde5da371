"""``sumtoone predict``: images in, probabilities out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sumtoone.cli.common import AsJson, Lang, NetworkFile, Quiet, Voice, opened, warn
from sumtoone.errors import DataError, RunError, UnavailableError, UsageError
from sumtoone.language import text
from sumtoone.language.display import printable, quoted
from sumtoone.language.lines import listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sumtoone.runs import Run

BOLD, BOLD_GREEN = "1", "1;32"
# Of more images, each gets one line.
_MOST_WITH_BARS = 4


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="cli.predict.run")],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="cli.predict.images")],
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="cli.predict.plot")] = None,
    digits: Annotated[bool | None, typer.Option("--digits/--no-digits", help="cli.predict.digits")] = None,
    sets: Annotated[float | None, typer.Option("--sets", help="cli.predict.sets")] = None,
    sets_method: Annotated[
        str | None, typer.Option("--sets-method", metavar="lac|aps", help="cli.predict.sets-method")
    ] = None,
    reject_below: Annotated[float | None, typer.Option("--reject-below", help="cli.predict.reject-below")] = None,
    network: NetworkFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    lang: Lang = None,
) -> int:
    """Say what each image shows; one that cannot be read does not stop the others."""
    if sets_method is not None and sets is None:
        raise UsageError("predict-sets-method", given=quoted(sets_method))
    voice = Voice(as_json, quiet)
    voice.begin(text("cli.predict.begin", run=run))
    asked = opened(run, network)
    wanted = _Wanted(sets, sets_method or "lac", reject_below)
    wanted.check(asked, run)
    wanted.warn(asked)
    image_shape = _image_shape(asked, run)
    if digits is None:
        digits = asked.handwriting
    from sumtoone.photos import prepare

    code = 0
    for number, image in enumerate(images, start=1):
        target = plot.with_stem(f"{plot.stem}-{number}") if plot is not None and len(images) > 1 else plot
        try:
            pixels = prepare(image, image_shape, digits=digits)
            _answer(voice, asked, image, pixels, wanted, target, bars=len(images) <= _MOST_WITH_BARS)
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


@dataclass(frozen=True)
class _Wanted:
    """What an answer is to hold beside its probabilities: a set of classes, or nothing where the run is not sure."""

    coverage: float | None
    method: str
    least: float | None

    def check(self, run: Run, path: str) -> None:
        """Refuse what the run cannot give, and what would do nothing."""
        from sumtoone.calibration import check_sets

        if self.coverage is not None:
            check_sets(self.coverage, self.method, ("--sets", "--sets-method"))
            if run.calibration is None:
                raise RunError("run-uncalibrated", given=path)
        # Of K probabilities that sum to one, the largest is at least 1 / K.
        if self.least is not None and not 1 / len(run.classes) < self.least <= 1:
            wanted = f"1/{len(run.classes)} < x <= 1"
            given = quoted(self.least)
            raise UsageError("number-range", name="--reject-below", given=given, wanted=wanted, example=0.9)

    def warn(self, run: Run) -> None:
        """Say where every set will hold all classes, which is not the network's doubt."""
        from sumtoone.conformal import threshold

        if self.coverage is None or run.calibration is None:
            return
        scores = run.calibration.scores[self.method]
        if threshold(scores, self.coverage) == math.inf:
            # Of n scores n / (n + 1), in four digits.
            most = 10_000 * len(scores) // (len(scores) + 1) / 10_000
            warn(text("cli.predict.few", coverage=self.coverage, rows=f"{len(scores):,}", most=most))

    def members(self, run: Run, pixels: NDArray[np.uint8], probabilities: list[float]) -> list[str] | None:
        """Return the classes of the set, the likeliest first; None where none is asked for."""
        if self.coverage is None:
            return None
        inside = run.prediction_sets(pixels, self.coverage, self.method)[0]
        order = sorted(range(len(probabilities)), key=lambda place: -probabilities[place])
        return [run.classes[place] for place in order if inside[place]]


def _answer(
    voice: Voice,
    run: Run,
    image: str,
    pixels: NDArray[np.uint8],
    wanted: _Wanted,
    target: Path | None,
    *,
    bars: bool,
) -> None:
    from sumtoone.runs import answered

    probabilities: list[float] = answered(run.probabilities(pixels))[0].tolist()
    if target is not None:
        from sumtoone import plots

        plots.save(plots.prediction(pixels, probabilities, run.classes, tuple(run.image_shape or ())), target)
    best = probabilities.index(max(probabilities))
    rejected = wanted.least is not None and probabilities[best] < wanted.least
    label, members = None if rejected else run.classes[best], wanted.members(run, pixels, probabilities)
    table = dict(zip(run.classes, probabilities, strict=True))
    document: dict[str, Any] = {"path": image, "label": label, "probabilities": table}
    document |= {} if wanted.least is None else {"rejected": rejected}
    voice.emit(document if members is None else {**document, "set": members})
    shown = [printable(image), "–" if label is None else printable(label), f"{probabilities[best]:.4f}"]
    voice.result("\t".join([*shown, *([] if members is None else [", ".join(map(printable, members))])]))
    _say(voice, image, run.classes, probabilities, best, rejected=rejected, bars=bars)
    if members is not None:
        words = listed(members) if members else text("cli.predict.empty-set")
        voice.say(text("cli.predict.set", coverage=wanted.coverage, names=words))
    if target is not None:
        voice.say(text("cli.predict.picture", path=target))


def _say(
    voice: Voice,
    image: str,
    classes: tuple[str, ...],
    probabilities: list[float],
    best: int,
    *,
    rejected: bool,
    bars: bool,
) -> None:
    """Print the answer and its bars; the predicted class stands out where the terminal can show it."""
    from sumtoone.cli.terminal import probability_bars

    key = "cli.predict.rejected" if rejected else "cli.predict.answer"
    voice.say(text(key, path=image, label=classes[best], share=f"{probabilities[best]:.1%}"), style=BOLD)
    if not bars:
        return
    for place, line in enumerate(probability_bars(probabilities, classes, voice.width, blocks=voice.has_blocks)):
        voice.say(line, style=BOLD_GREEN if place == best and not rejected else "")
