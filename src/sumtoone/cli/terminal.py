"""What a verb draws in a terminal: probabilities as bars, and a confusion matrix, in lines that fit its width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sumtoone.language import text
from sumtoone.language.display import printable
from sumtoone.language.lines import cells, cut, flush_right, padded

if TYPE_CHECKING:
    from sumtoone.evaluation import Confusion

# A space and the eighths of a block; plain letters where the output has no blocks.
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_PERCENT = len("100.0%")
_NARROWEST = 24
_MOST_PAIRS = 10


def probability_bars(
    probabilities: Sequence[float], classes: Sequence[str], width: int, *, blocks: bool = True
) -> list[str]:
    """Return a line for every class, in the order of the classes: its name, a bar, its probability.

    Wide letters such as Hangul take two cells; names longer than a third of the line are cut.

    Shape: ``probabilities`` (K,), each in [0, 1]; each line is ``max(width, 24)`` cells wide at most.

    >>> for line in probability_bars([0.25, 0.75], ["cat", "dog"], 30, blocks=False):
    ...     print(line)
      cat  ####              25.0%
      dog  ############      75.0%
    """
    width = max(width, _NARROWEST)
    names = _in_cells(classes, width // 3)
    room = width - len("  ") - cells(names[0]) - len("  ") - len(" ") - _PERCENT
    lines = []
    for name, probability in zip(names, probabilities, strict=True):
        bar = _bar(probability, room, blocks=blocks)
        lines.append(f"  {name}  {bar} {f'{probability:.1%}':>{_PERCENT}}")
    return lines


def confusion_table(confusion: Sequence[Sequence[int]], classes: Sequence[str], width: int) -> list[str]:
    """Return a confusion matrix as lines, rows the true class and columns the predicted one.

    A count of zero is a dot. Nothing is returned where the matrix is wider than ``width`` cells.

    Shape: ``confusion`` (K, K) counts.

    >>> for line in confusion_table([[9, 1], [0, 1234]], ["cat", "dog"], 80):
    ...     print(line)
          cat   dog
    cat     9     1
    dog     .  1234
    """
    counts = [[f"{count}" if count else "." for count in row] for row in confusion]
    widest = max(len(count) for row in counts for count in row)
    names = _in_cells(classes, width // 4)
    column = min((width - cells(names[0])) // len(classes), 2 + max(widest, *map(cells, names)))
    if column < widest + 1 or column < 3:
        return []
    heads = [flush_right(cut(name.rstrip(), column - 1), column) for name in names]
    head = " " * cells(names[0]) + "".join(heads)
    body = [name + "".join(f"{count:>{column}}" for count in row) for name, row in zip(names, counts, strict=True)]
    return [head, *body]


def commonest_confusions(confusions: Sequence[Confusion]) -> list[str]:
    """Return a line for each of the ten commonest confusions, the most frequent first."""
    return [
        "  " + text("cli.evaluate.pair", true=pair.true, predicted=pair.predicted, count=f"{pair.count:,}")
        for pair in confusions[:_MOST_PAIRS]
    ]


def _bar(share: float, room: int, *, blocks: bool) -> str:
    if not blocks:
        return ("#" * round(share * room)).ljust(room)
    whole, eighths = divmod(round(share * room * 8), 8)
    return ("█" * whole + (_EIGHTHS[eighths] if eighths else "")).ljust(room)


def _in_cells(names: Sequence[str], most: int) -> list[str]:
    """Return names made printable, cut to ``most`` cells and padded to one width."""
    shown = [cut(printable(name), most) for name in names]
    return [padded(name, max(map(cells, shown))) for name in shown]
