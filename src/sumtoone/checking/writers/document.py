"""``check --json``: one document with all that a verdict says."""

from __future__ import annotations

from collections.abc import Sequence

from sumtoone.checking.verdict import Verdict
from sumtoone.checking.writers.circumstances import Circumstances, as_json, counted


def document(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return ``{"isolation", "results": […], "counts": {code: n}}``."""
    return as_json(
        {
            "isolation": circumstances.isolation,
            "results": [verdict.to_json() for verdict in verdicts],
            "counts": counted(verdicts),
        }
    )
