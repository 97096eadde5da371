"""How pictures are deformed while a network trains, as a frozen value with a text form: ``"shift=1,rotation=10"``."""

from __future__ import annotations

from dataclasses import dataclass

from sumtoone.errors import SumtooneError, UsageError, raise_all
from sumtoone.language.display import printable, quoted
from sumtoone.specification import did_you_mean, plain_number

# The least and the most of each amount, and one to try; a picture that is scaled by its whole size is gone.
_RANGES = {
    "shift": (0, 1000, 1),
    "rotation": (0, 180, 10),
    "scaling": (0, 0.9, 0.1),
    "shear": (0, 1, 0.1),
    "elastic": (0, 1000, 1),
    "smoothness": (0.5, 1000, 4),
}
_AMOUNTS = tuple(name for name in _RANGES if name != "smoothness")
_LONGEST = 40


@dataclass(frozen=True)
class Deformation:
    """The largest amounts of the random changes of each picture; what is 0 does not happen.

    Every amount is drawn anew for every picture and epoch: uniformly between minus and plus the amount, the elastic
    one normally.

    Parameters
    ----------
    shift
        Pixels, in each direction, from 0 to 1000.
    rotation
        Degrees about the picture's middle, from 0 to 180.
    scaling
        Share by which height and width, each for itself, become larger or smaller, from 0 to 0.9.
    shear
        Share of the height by which the top and the bottom row slide apart, from 0 to 1.
    elastic
        Standard deviation in pixels of a smooth random displacement of each pixel (Simard, Steinkraus & Platt 2003),
        from 0 to 1000.
    smoothness
        Standard deviation in pixels of the Gaussian that makes the elastic displacement smooth, from 0.5 to 1000.

    Raises
    ------
    UsageError
        If an amount is outside its range, or nothing would happen.

    Examples
    --------
    >>> Deformation.parse("shift=1.5, rotation=10")
    Deformation(shift=1.5, rotation=10.0, scaling=0.0, shear=0.0, elastic=0.0, smoothness=4.0)
    """

    shift: float = 0.0
    rotation: float = 0.0
    scaling: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    smoothness: float = 4.0

    def __post_init__(self) -> None:
        problems: list[SumtooneError] = []
        for name, (low, high, example) in _RANGES.items():
            value = plain_number(getattr(self, name))
            if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
                object.__setattr__(self, name, float(value))
            else:
                wanted = f"{low} <= x <= {high}"
                details = {"given": quoted(value), "wanted": wanted, "example": example}
                problems.append(UsageError("number-range", name=name, **details))
        raise_all(problems)
        if not any(getattr(self, name) for name in _AMOUNTS):
            raise _nothing(", ".join(f"{name}=0" for name in _AMOUNTS))

    @classmethod
    def parse(cls, given: str) -> Deformation:
        """Return the value of a text such as ``"shift=1,rotation=10,elastic=1.2"``.

        Raises
        ------
        UsageError
            For parts that are no NAME=AMOUNT or come twice, amounts outside their range, and a smoothness of nothing;
            all at once.
        """
        if not isinstance(given, str):
            raise _no_part(given, "")
        amounts: dict[str, float] = {}
        problems: list[SumtooneError] = []
        # One complaint for a million commas, not a million.
        for part in given.split(",", len(_RANGES)):
            name, _, amount = (piece.strip() for piece in part.partition("="))
            number = _number(amount)
            if name not in _RANGES or name in amounts or number is None:
                problems.append(_no_part(part.strip(), name))
            else:
                amounts[name] = number
        raise_all(problems)
        if "smoothness" in amounts and not amounts.get("elastic"):
            raise _nothing(printable(given, _LONGEST))
        return cls(**amounts)


def _number(amount: str) -> float | None:
    try:
        return float(amount)
    except ValueError:
        return None


def _no_part(given: object, name: str) -> UsageError:
    hint = did_you_mean("" if name in _RANGES else name, list(_RANGES))
    return UsageError("deformation-part", given=printable(quoted(given), _LONGEST), known=", ".join(_RANGES), hint=hint)


def _nothing(given: str) -> UsageError:
    return UsageError("deformation-nothing", given=given)
