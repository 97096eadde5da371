"""A changed run or checkpoint whose digests were put right is one, or is refused by an error of ours."""

from __future__ import annotations

from pathlib import Path

from mutations import go_through


def test_whatever_is_changed_it_is_read_or_refused(tmp_path: Path) -> None:
    became = go_through(3000, 0, tmp_path)
    assert became["a run"] > 100
    assert became["a checkpoint"] > 100
    assert became["run-damaged"] > 300
    assert became["run-no-checkpoint"] > 300
