"""What a notebook shows of a value: a few lines, and below them a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sumtoone.language.display import printable

# Rows that a table shows; of more, the first and the last.
_MOST_ROWS = 24


def shown(lines: Sequence[str], head: Sequence[str] = (), rows: Sequence[Sequence[str]] = ()) -> str:
    """Return lines and a table as HTML in which every text stands for itself.

    The middle of a long table is left out. The first column is flush left, the others flush right.

    >>> shown(["two < three"], ["class", "rows"], [["ant", "2"]])  # doctest: +ELLIPSIS
    '<p>two &lt; three</p><table><thead><tr><th style="text-align: left">class</th>...</tbody></table>'
    """
    words = "<br>".join(map(_safe, lines))
    if not rows:
        return f"<p>{words}</p>"
    if len(rows) > _MOST_ROWS:
        half = _MOST_ROWS // 2
        rows = [*rows[:half], ["…"] * len(head), *rows[-half:]]
    body = "".join(_row("td", row) for row in rows)
    return f"<p>{words}</p><table><thead>{_row('th', head)}</thead><tbody>{body}</tbody></table>"


def _row(tag: str, values: Sequence[str]) -> str:
    sides = ["left", *["right"] * (len(values) - 1)]
    cells = (
        f'<{tag} style="text-align: {side}">{_safe(each)}</{tag}>' for side, each in zip(sides, values, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _safe(words: str) -> str:
    return escape(printable(words))
