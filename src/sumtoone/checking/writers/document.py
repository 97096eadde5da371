"""``check --json``: one document with all that a verdict says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sumtoone.checking.verdict import Verdict
from sumtoone.checking.writers.circumstances import Circumstances, as_json, counted


def values(verdicts: Sequence[Verdict], circumstances: Circumstances) -> dict[str, Any]:
    """Return ``{"isolation", "results": […], "counts": {code: n}}`` as plain values."""
    return {
        "isolation": circumstances.isolation,
        "results": [verdict.to_json() for verdict in verdicts],
        "counts": counted(verdicts),
    }


def document(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return :func:`values` as a text."""
    return as_json(values(verdicts, circumstances))
