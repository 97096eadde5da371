"""How a network is trained, as a frozen value that is checked whole."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sumtoone.deformation import Deformation
from sumtoone.errors import SumtooneError, UsageError, raise_all
from sumtoone.language.display import quoted
from sumtoone.specification import did_you_mean, plain_number

OPTIMIZERS = ("adamw", "adam", "sgd", "muon")
SCHEDULES = ("one-cycle", "cosine", "constant")
ENGINES = ("auto", "plain", "fused")
PRECISIONS = ("float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda")

# Where training of such networks goes well with batches of 64; found on the validation rows of digits and MNIST.
_DEFAULT_LR = {"adamw": 0.005, "adam": 0.002, "sgd": 0.05, "muon": 0.005}
_DEFAULT_DECAY = {"adamw": 0.3, "adam": 0.0, "sgd": 0.0001, "muon": 0.3}
# The least and the most of each count. More threads than this a machine's OpenMP library does not survive.
COUNTS = {
    "epochs": (1, 1_000_000),
    "batch_size": (1, 100_000_000),
    "early_stopping": (1, 1_000_000),
    "threads": (1, 1_024),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True)
class TrainingOptions:
    """Everything that ``fit`` can be told, checked together: all wrong values are reported at once.

    Parameters
    ----------
    epochs, batch_size
        Passes over the training rows, and rows in each step; the last batch of an epoch may be shorter.
    optimizer
        ``"adamw"``, ``"adam"``, ``"sgd"`` or ``"muon"`` (Jordan et al. 2024: the matrices of all layers but the last
        take orthogonalised steps, all else takes AdamW's; for the plain engine).
    lr
        The largest learning rate; None takes 0.005 for adamw and muon, 0.002 for adam, 0.05 for sgd.
    momentum, nesterov
        For sgd.
    weight_decay
        L2 shrinkage: in the gradient for sgd and adam, beside it for adamw and muon (Loshchilov & Hutter 2019). None
        takes 0.3 for these two, 0 for adam, 0.0001 for sgd.
    label_smoothing
        Share of the target spread evenly over the classes, in [0, 1) (Szegedy et al. 2016).
    schedule
        ``"one-cycle"`` (Smith & Topin 2018), ``"cosine"`` (Loshchilov & Hutter 2017) or ``"constant"``.
    deformation
        How the pictures of the training rows are deformed, drawn anew for every row and epoch, as a text such as
        ``"shift=1,rotation=10,scaling=0.1,elastic=1"``: see :class:`sumtoone.deformation.Deformation`. None leaves
        them as they are.
    noise
        Standard deviation of the normal noise that is added to every input of the training rows, drawn anew for every
        row and epoch, after the preprocessing: of one that ``fit`` fits, 1 is the deviation of the inputs (Sietsma &
        Dow 1991; Bishop 1995). 0 adds none.
    averaging
        Validate and keep an average of the weights instead of the last ones: its mean age as a share of the training
        so far, above 0 to 0.5 (Karras et al. 2024); 0.5 is the plain mean. None keeps the last weights.
    class_weight
        How much the training rows of a class count: ``"balanced"`` lets every class count as much as any other, a
        mapping such as ``{"cat": 2}`` names some (others count 1), None takes all rows alike. Kept as pairs.
    early_stopping
        Stop after this many epochs without a lower validation loss and keep the best weights; None never stops.
    seed
        Decides the order of the batches, the dropout, the deformations and the noise.
    snapshots
        Keep the weights of every epoch in the run's folder, those at the start included.
    engine, precision, threads, device
        How it is computed. ``engine="auto"`` takes the compiled steps ("fused") wherever they can train this
        network, else PyTorch's own ("plain"). ``threads=None`` takes torch's own number, except that the plain
        engine trains a small network with one; the fused engine takes fewer where that is faster, which changes
        no bit of its result. ``precision="bfloat16"`` rounds what the matrix products take; weights, sums and
        losses stay float32. The plain engine leaves it to torch's autocast.

    Examples
    --------
    >>> TrainingOptions(epochs=5).learning_rate
    0.005
    >>> from sumtoone import UsageError
    >>> try:
    ...     TrainingOptions.of(epoch=5)
    ... except UsageError as error:
    ...     print(error.got, "-", error.try_)
    epoch - did you mean epochs?
    """

    epochs: int = 12
    batch_size: int = 64
    optimizer: str = "adamw"
    lr: float | None = None
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    schedule: str = "one-cycle"
    deformation: str | None = None
    noise: float = 0.0
    averaging: float | None = None
    class_weight: str | Mapping[str, float] | tuple[tuple[str, float], ...] | None = None
    early_stopping: int | None = None
    seed: int = 0
    snapshots: bool = False
    engine: str = "auto"
    precision: str = "float32"
    threads: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, plain_number(getattr(self, field.name)))
        object.__setattr__(self, "class_weight", _as_pairs(self.class_weight))
        problems: list[SumtooneError] = [UsageError(code, **details) for code, details in _complaints(self)]
        try:
            _ = self.deformations
        except UsageError as error:
            problems += getattr(error, "problems", (error,))
        raise_all(problems)

    @classmethod
    def of(cls, /, **given: Any) -> TrainingOptions:
        """Build from keywords; an unknown name is reported with the nearest known one, as is one that does nothing."""
        return cls._built({}, given)

    def changed(self, /, **given: Any) -> TrainingOptions:
        """Return the same options but for these keywords, which are checked as :meth:`of` checks them."""
        return self._built(asdict(self), given)

    @classmethod
    def _built(cls, before: Mapping[str, Any], given: Mapping[str, Any]) -> TrainingOptions:
        known = [field.name for field in fields(cls)]
        problems: list[SumtooneError] = [
            UsageError("training-option", given=name, known=", ".join(known), hint=_hint(name, known))
            for name in given
            if name not in known
        ]
        try:
            options = cls(**{**before, **{name: value for name, value in given.items() if name in known}})
            if "momentum" in given and options.optimizer != "sgd":
                problems.append(UsageError("training-momentum", given=f"optimizer={options.optimizer!r}"))
        except UsageError as error:
            problems += getattr(error, "problems", (error,))
        raise_all(problems)
        return options

    @property
    def learning_rate(self) -> float:
        """The largest learning rate: ``lr``, or the optimizer's default."""
        return _DEFAULT_LR[self.optimizer] if self.lr is None else self.lr

    @property
    def decay(self) -> float:
        """The shrinkage in force: ``weight_decay``, or the optimizer's default."""
        return _DEFAULT_DECAY[self.optimizer] if self.weight_decay is None else self.weight_decay

    @property
    def deformations(self) -> Deformation | None:
        """The value that the text ``deformation`` stands for."""
        return None if self.deformation is None else Deformation.parse(self.deformation)

    @property
    def draws_rows(self) -> bool:
        """Whether the training rows are other ones in every epoch."""
        return self.deformation is not None or self.noise > 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``run.json``."""
        named = self.class_weight
        return {**asdict(self), "class_weight": dict(named) if isinstance(named, tuple) else named}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainingOptions:
        """Return the value that :meth:`to_json` wrote; :class:`UsageError` where the document is none."""
        if not isinstance(document, Mapping) or not all(isinstance(name, str) for name in document):
            raise UsageError("training-document", given=quoted(document))
        # A file holds every option, and of old also nesterov beside an optimizer that never heeded it.
        unheeded = {"nesterov": False} if document.get("optimizer") != "sgd" else {}
        momentum = {"momentum": document["momentum"]} if "momentum" in document else {}
        rest = {name: value for name, value in document.items() if name != "momentum"}
        return cls._built(momentum, {**rest, **unheeded})


def checked_seed(seed: Any) -> int:
    """Return a seed as Python's own number; :class:`UsageError` if it is none."""
    seed, (low, high) = plain_number(seed), COUNTS["seed"]
    if not is_whole(seed, low, high):
        raise UsageError("training-count", name="seed", given=quoted(seed), low=low, high=f"{high:,}")
    return int(seed)


def _hint(name: str, known: list[str]) -> str:
    return did_you_mean(name, [option.replace("_", "-") for option in known]).replace("-", "_")


def is_whole(value: object, low: int, high: int) -> bool:
    """Whether a value is a whole number from ``low`` to ``high``, both included."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: object, accepts: Callable[[float], bool]) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max and accepts(value)


def _as_pairs(given: Any) -> Any:
    """Return weights of classes as pairs, which stay as they are and can be compared; all else as it is."""
    if not isinstance(given, Mapping):
        return given
    return tuple((str(name) if isinstance(name, int) else name, plain_number(each)) for name, each in given.items())


def _are_class_weights(given: object) -> bool:
    if given is None or (isinstance(given, str) and given == "balanced"):
        return True
    if not isinstance(given, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in given):
        return False
    right = all(isinstance(name, str) and _is_number(each, lambda weight: weight >= 0) for name, each in given)
    return right and any(each > 0 for _, each in given) and len(dict(given)) == len(given)


def _complaints(options: TrainingOptions) -> list[tuple[str, dict[str, object]]]:
    """Return a code and its fields for every wrong value."""
    found: list[tuple[str, dict[str, object]]] = []

    def check(name: str, right: bool, code: str, **details: object) -> None:
        if not right:
            found.append((code, {"name": name, "given": quoted(getattr(options, name)), **details}))

    for name, known in _CHOICES.items():
        value = getattr(options, name)
        # Nearness of spelling misleads here: "gpu" is near "cpu", "float64" near "bfloat16".
        hint = did_you_mean("" if name in ("device", "precision") else value, known)
        check(name, isinstance(value, str) and value in known, "choice", known=", ".join(known), hint=hint)
    for name, (low, high) in COUNTS.items():
        value = getattr(options, name)
        left_out = value is None and name in ("early_stopping", "threads")
        check(name, left_out or is_whole(value, low, high), "training-count", low=low, high=f"{high:,}")
    lr, decay = options.lr, options.weight_decay
    right = lr is None or _is_number(lr, lambda value: value > 0)
    check("lr", right, "number-range", wanted="x > 0", example=0.01)
    right = decay is None or _is_number(decay, lambda value: value >= 0)
    check("weight_decay", right, "number-range", wanted="x >= 0", example=0)
    right = _is_number(options.noise, lambda amount: 0 <= amount <= 1000)
    check("noise", right, "number-range", wanted="0 <= x <= 1000", example=0.3)
    right = options.averaging is None or _is_number(options.averaging, lambda share: 0 < share <= 0.5)
    check("averaging", right, "number-range", wanted="0 < x <= 0.5", example=0.05)
    for name in ("momentum", "label_smoothing"):
        right = _is_number(getattr(options, name), lambda share: 0 <= share < 1)
        check(name, right, "number-range", wanted="0 <= x < 1", example=0)
    check("class_weight", _are_class_weights(options.class_weight), "training-class-weight")
    for name in ("nesterov", "snapshots"):
        right = isinstance(getattr(options, name), bool)
        check(name, right, "choice", known="True, False", hint=f"{name}=True")
    # What is no text, such as an array, is refused above, and cannot be compared.
    optimizer, engine = (each if isinstance(each, str) else "" for each in (options.optimizer, options.engine))
    if options.nesterov is True:
        moves = options.momentum != 0
        given = f"optimizer={quoted(options.optimizer)}" if moves else "momentum=0"
        check("nesterov", moves and optimizer == "sgd", "training-momentum", given=f"nesterov=True, {given}")
    if optimizer == "muon" and engine == "fused":
        found.append(("training-muon", {"given": "optimizer='muon', engine='fused'"}))
    return found


_CHOICES = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "engine": ENGINES,
    "precision": PRECISIONS,
    "device": DEVICES,
}
