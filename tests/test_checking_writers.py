"""Every format holds to its schema, whatever a learner wrote, named or printed, and none of it is ever obeyed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from lxml import etree
from markdown_it import MarkdownIt

from sumtoone.checking.verdict import Finding, Verdict
from sumtoone.checking.writers import WRITERS, Circumstances
from sumtoone.checking.writers.circumstances import one_line, points, spoken
from sumtoone.checking.writers.rows import COLUMNS
from verdicts import CIRCUMSTANCES, CODE, EVERYTHING, Page, batches, made_up_words, verdict, verdicts

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(autouse=True)
def _words() -> Iterator[None]:
    with made_up_words():
        yield


@cache
def schema(name: str) -> jsonschema.Draft202012Validator:
    words = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(words)
    return jsonschema.Draft202012Validator(words)


def document(name: str, batch: list[Verdict], circumstances: Circumstances = CIRCUMSTANCES) -> Any:
    written = WRITERS[name](batch, circumstances)
    value = json.loads(written.encode("utf-8"), parse_constant=pytest.fail)
    schema({"json": "check"}.get(name, name)).validate(value)
    return value


@given(batches)
@example(EVERYTHING)
def test_json_holds_to_its_schema(batch: list[Verdict]) -> None:
    value = document("json", batch)
    assert [result["passed"] for result in value["results"]] == [each.passed for each in batch]
    assert sum(value["counts"].values()) == len(batch)


def test_json_says_what_the_interface_promises() -> None:
    value = document("json", [verdict(), verdict(passed=True, finding=Finding("correct")), verdict()])
    assert (value["isolation"], value["counts"]) == ("good", {CODE: 2, "correct": 1})
    first = value["results"][0]
    assert (first["path"], first["line"], first["text"], first["hint"]) == ("kim.py", 2, "0.3 came", "Look at 0.3.")


@given(batches)
@example(EVERYTHING)
def test_csv_has_a_row_for_each_verdict_and_no_formula(batch: list[Verdict]) -> None:
    written = WRITERS["csv"](batch, CIRCUMSTANCES)
    names, *table = csv.reader(io.StringIO(written.encode().decode()))
    assert tuple(names) == COLUMNS
    assert len(table) == len(batch) == written.count("\n") - 1
    for row, each in zip(table, batch, strict=True):
        assert len(row) == len(COLUMNS)
        assert [cell for cell in row if cell.lstrip().startswith(tuple("=+-@\t\r＝＋－＠"))] == []
        assert row[0].removeprefix("'") in (one_line(each.path), one_line(each.path).removeprefix("'"))


@given(batches)
@example(EVERYTHING)
def test_junit_holds_to_its_schema(batch: list[Verdict]) -> None:
    written = WRITERS["junit"](batch, CIRCUMSTANCES).encode("utf-8")
    root = etree.fromstring(written)
    etree.XMLSchema(etree.parse(SCHEMAS / "junit.xsd")).assertValid(root)
    assert len(root.findall("testsuite/testcase")) == len(batch)
    failures = [each.text for each in root.findall("testsuite/testcase/failure")]
    assert failures == [spoken(each) for each in batch if not each.passed]
    assert sum(int(suite.get("failures")) for suite in root) == len(failures)


@given(batches)
@example(EVERYTHING)
def test_gradescope_holds_to_its_schema(batch: list[Verdict]) -> None:
    value = document("gradescope", batch)
    assert value["score"] == pytest.approx(sum(test["score"] for test in value["tests"]))
    assert [test["status"] == "passed" for test in value["tests"]] == [each.passed for each in batch]


@given(batches)
@example(EVERYTHING)
def test_classroom50_holds_to_its_schema(batch: list[Verdict]) -> None:
    value = document("classroom50", batch)
    assert value["score"] == sum(test["score"] for test in value["tests"])
    assert value["max-score"] == sum(test["max-score"] for test in value["tests"])
    for test, each in zip(value["tests"], batch, strict=True):
        assert test["passed"] == each.passed
        assert (test["score"] == test["max-score"]) == each.passed


def test_classroom50_takes_the_submission_from_the_runner() -> None:
    environment = {
        "CLASSROOM": "cs", "ASSIGNMENT": "softmax", "ASSIGNMENT_TYPE": "group", "USERNAME": "kim", "OWNER": "lee",
        "SUBMISSION_TAG": "submit/2026", "COMMIT_URL": "c", "RELEASE_URL": "r", "REVIEW_URL": "v",
    }  # fmt: skip
    value = document("classroom50", [verdict()], Circumstances("good", environment=environment))
    names = ("classroom", "assignment", "assignment_type", "owner", "submission", "commit", "release", "review")
    assert [value[name] for name in names] == ["cs", "softmax", "group", "lee", "submit/2026", "c", "r", "v"]
    assert document("classroom50", [], CIRCUMSTANCES)["datetime"] == "2026-03-02T09:01:00Z"


@given(batches)
@example(EVERYTHING)
def test_ctrf_holds_to_its_schema(batch: list[Verdict]) -> None:
    summary = document("ctrf", batch)["results"]["summary"]
    assert summary["tests"] == summary["passed"] + summary["failed"] == len(batch)
    assert summary["stop"] - summary["start"] == summary["duration"] == 60_000


@given(batches)
@example(EVERYTHING)
def test_coderunner_holds_to_its_schema(batch: list[Verdict]) -> None:
    value = document("coderunner", batch)
    assert (value["fraction"] == 1) == (bool(batch) and all(each.passed for each in batch))
    header, *table = value["testresults"]
    assert len(value["columnformats"]) == len(header) - 1
    assert {len(row) for row in table} <= {len(header)}
    assert {row[0] for row in table} <= {0, 1}
    page = Page(value["prologuehtml"])
    assert page.elements <= {"p", "strong", "span", "em", "pre"}
    assert page.attributes == []


@given(batches)
@example(EVERYTHING)
def test_github_annotations_are_one_command_each(batch: list[Verdict]) -> None:
    written = WRITERS["github"](batch, CIRCUMSTANCES).encode().decode()
    told = [each for each in batch if not each.passed or each.remarks]
    rows = written.splitlines()
    assert len(rows) == len(told) == written.count("\n")
    for row, each in zip(rows, told, strict=True):
        found = re.fullmatch(r"::(error|notice) file=([^:,]*),title=([^:,]*)(?:,line=(\d+))?::(.*)", row)
        assert found is not None
        kind, file, _title, line, words = found.groups()
        assert (kind == "notice") == each.passed
        assert _unescaped(file) == one_line(each.path)
        assert line == (None if each.line is None or each.finding.cell is not None else str(each.line))
        assert _unescaped(words).endswith(spoken(each))


def _unescaped(given_: str) -> str:
    for letter in "\r\n:,%":
        given_ = given_.replace(f"%{ord(letter):02X}", letter)
    return given_


@given(batches)
@example(EVERYTHING)
def test_the_github_summary_is_two_tables_of_plain_text(batch: list[Verdict]) -> None:
    page = Page(
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .render(WRITERS["github-summary"](batch, CIRCUMSTANCES))
    )
    assert page.elements <= {"h2", "p", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.count["table"] == 2
    shown = page.cells[-len(batch) * 5 :: 5] if batch else []
    ordered = sorted(batch, key=lambda each: each.passed)
    assert [name.strip() for name in shown] == [one_line(each.path).strip() for each in ordered]


def test_a_long_github_summary_is_cut_and_says_so() -> None:
    written = WRITERS["github-summary"]([verdict(path="x" * 4_000)] * 500, CIRCUMSTANCES)
    assert len(written.encode()) < 2**20
    shown = written.count("x" * 4_000)
    assert 0 < shown < 500
    assert written.endswith(f"\nand {500 - shown} more that are not shown here\n")


@given(batches)
@example(EVERYTHING)
def test_every_writer_gives_the_same_twice(batch: list[Verdict]) -> None:
    for write in WRITERS.values():
        assert write(batch, CIRCUMSTANCES) == write(batch, CIRCUMSTANCES)


@given(verdicts)
def test_full_points_go_with_what_is_passed_alone(each: Verdict) -> None:
    reached, most = points(each)
    assert (reached == most) == each.passed
