"""The options of training that several verbs take, as annotations."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

Data = Annotated[str | None, typer.Argument(metavar="DATA", help="cli.train.data")]
Label = Annotated[str | None, typer.Option("--label", metavar="NAME", help="cli.train.label")]
Weight = Annotated[str | None, typer.Option("--weight", metavar="NAME", help="cli.train.weight")]
Epochs = Annotated[int | None, typer.Option(help="cli.train.epochs")]
Dropout = Annotated[float | None, typer.Option(help="cli.train.dropout")]
Momentum = Annotated[float | None, typer.Option(help="cli.train.momentum")]
WeightDecay = Annotated[float | None, typer.Option(help="cli.train.weight-decay")]
LabelSmoothing = Annotated[float | None, typer.Option(help="cli.train.label-smoothing")]
Schedule = Annotated[str | None, typer.Option(metavar="one-cycle|cosine|constant", help="cli.train.schedule")]
Deformation = Annotated[str | None, typer.Option(metavar="NAME=AMOUNT,…", help="cli.train.deformation")]
Noise = Annotated[float | None, typer.Option(help="cli.train.noise")]
Averaging = Annotated[float | None, typer.Option(metavar="SHARE", help="cli.train.averaging")]
ClassWeight = Annotated[str | None, typer.Option(metavar="balanced|NAME=WEIGHT,…", help="cli.train.class-weight")]
Engine = Annotated[str | None, typer.Option(metavar="auto|plain|fused", help="cli.train.engine")]
Precision = Annotated[str | None, typer.Option(metavar="float32|bfloat16", help="cli.train.precision")]
Device = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda", help="cli.train.device")]


def weights_of_classes(words: str) -> str | dict[str, float]:
    """Return ``balanced`` as it is, and ``cat=2,dog=1`` as numbers by name; what is neither, the options refuse."""
    pairs = [word.rpartition("=") for word in words.split(",")]
    with suppress(ValueError):
        weights = {name.strip(): float(weight) for name, _, weight in pairs}
        return weights if len(weights) == len(pairs) else words
    return words
