"""What ``make soak`` puts the server through, in seconds: each request has one answer, each answer is its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

import sumtoone as s1
from benchmarks import soak
from benchmarks.load import parts, schemas, server
from benchmarks.load.parts import Subject, Verdict

# Under this the server has collapsed; what it should reach is for a machine that does nothing else.
_COLLAPSED = 0.3


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """A run and one server for all that do not end it."""
    pytest.importorskip("uvicorn")
    folder = tmp_path_factory.mktemp("load") / "digits"
    s1.fit(s1.Network("784-128-64-10"), s1.load("digits"), epochs=2, out=folder)
    with server.sumtoone(folder) as it:
        yield replace(parts.subject(folder, it, rows=64), running=it)


def missed(verdicts: list[Verdict]) -> list[str]:
    return [f"{verdict.what}: {verdict.found}, not {verdict.wanted}" for verdict in verdicts if not verdict.good]


def test_ten_times_the_load_beside_idle_and_slow_clients(subject: Subject) -> None:
    assert missed(parts.overload(subject, 1.5, idle=200, slow=40, least=_COLLAPSED)) == []


def test_a_full_queue_refuses_with_a_reason_and_goes_on(subject: Subject) -> None:
    said: list[str] = []
    with server.sumtoone(subject.folder, "--queue", "16") as it:
        verdicts = parts.overload(replace(subject, running=it, say=said.append), 0.5, least=0.0)
    assert missed(verdicts) == []
    assert re.search(r"640 clients: .* × 200, .* × 503;", "\n".join(said))


def test_no_answer_is_another_s(subject: Subject) -> None:
    assert missed(parts.tagged(subject, 3_000)) == []


def test_requests_that_are_none_are_refused(subject: Subject) -> None:
    assert missed(parts.malformed(subject, 1_500)) == []


def test_requests_of_schemathesis_are_answered_as_the_document_says(subject: Subject) -> None:
    assert missed(schemas.explored(subject, 3)) == []


def test_no_accepted_request_is_lost_at_the_end(subject: Subject) -> None:
    assert missed(parts.terminated(replace(subject, running=None), 1)) == []


def test_a_soak_says_what_it_found(subject: Subject) -> None:
    said: list[str] = []
    given = soak.arguments(["--only", "tagged", "--requests", "200"])
    assert soak.soaked(replace(subject, say=said.append), given) == 0
    assert said[-1].splitlines() == [
        "| | what | wanted | found |",
        "|---|---|---|---|",
        "| ok | tagged requests | all 160 | 160 |",
        "| ok | tagged requests in pieces | all 20 | 20 |",
        "| ok | tagged requests at once | all 20 | 20 |",
        "| ok | tagged requests that were not refused | ≥ 95% | 100% |",
        "| ok | tagged: alive, no defect written of | yes | yes |",
    ]


def test_what_was_missed_is_said() -> None:
    table = soak.table([Verdict("a", "b", "c", good=False), Verdict("d", "e", "f", good=True)])
    assert table.splitlines()[2:] == ["| MISSED | a | b | c |", "| ok | d | e | f |"]


def test_a_soak_knows_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        soak.main(["--only", "tagged,nothing"])
    assert capsys.readouterr().err.splitlines()[-1] == (
        "python -m benchmarks.soak: error: there is no nothing; "
        "there are overload, crowd, tagged, signals, malformed, schemas"
    )
