"""The report is one page that runs nothing, asks nothing, speaks both languages and can be read by everyone."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from importlib.resources import files

import pytest
from hypothesis import example, given

from sumtoone.checking.verdict import Finding, Verdict
from sumtoone.checking.writers import WRITERS
from sumtoone.checking.writers.circumstances import lines
from sumtoone.language import speaking
from verdicts import CIRCUMSTANCES, EVERYTHING, Page, batches, made_up_words, verdict, verdicts


@pytest.fixture(autouse=True)
def _words() -> Iterator[None]:
    with made_up_words():
        yield


def report(batch: list[Verdict]) -> tuple[str, Page]:
    written = WRITERS["report"](batch, CIRCUMSTANCES).encode().decode()
    return written, Page(written)


ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "h4", "p", "time", "fieldset",
    "legend", "label", "input", "span", "main", "section", "table", "caption", "thead", "tbody", "tr", "th", "td",
    "svg", "rect", "a", "div", "bdi", "details", "summary", "article", "ul", "li", "strong", "pre", "code", "mark",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "id", "class", "type", "checked", "datetime", "scope", "width",
    "aria-labelledby", "aria-hidden", "focusable", "height", "rx", "href", "open", "dir", "tabindex", "role",
}  # fmt: skip


@given(batches)
@example(EVERYTHING)
def test_nothing_of_a_learner_is_markup_in_the_report(batch: list[Verdict]) -> None:
    written, page = report(batch)
    assert page.elements <= ELEMENTS
    assert {name for _, name, _ in page.attributes} <= ATTRIBUTES
    assert all(re.fullmatch(r"#submission-\d+", link) for link in page.values("href"))
    assert "script" not in page.elements
    assert [letter for letter in set(written) if not (letter.isprintable() or letter in "\n\t")] == []


@given(verdicts)
def test_the_report_shows_the_code_as_it_is(each: Verdict) -> None:
    _, page = report([each])
    expected = lines(each.source).rstrip("\n").split("\n") if each.source.strip() else []
    shown = [row.removeprefix(str(number)) for number, row in enumerate(page.code, start=1)]
    assert [row.rstrip("\n") for row in shown] == [row if len(row) <= 400 else f"{row[:400]}…" for row in expected]


def test_the_report_marks_the_line_of_a_file_and_of_a_cell() -> None:
    source = "# cell 1\nfirst = 1\n# cell 4\nsecond = 2\nthird = 3\n"
    for finding, marked in (
        (Finding("x", 2, row=2), "first = 1"),
        (Finding("x", 2, 4, row=5), "third = 3"),
        (Finding("x"), None),
    ):
        _, page = report([verdict(finding=finding, source=source)])
        assert page.text.get("mark") == marked


def test_of_long_code_the_report_shows_what_is_around_the_line() -> None:
    source = "\n".join(f"line_{number}" for number in range(1, 5_001))
    _, page = report([verdict(finding=Finding("x", 3_000, row=3_000), source=source)])
    assert page.text["mark"] == "line_3000"
    assert len(page.code) == 400
    assert "4600 more lines are not shown." in page.text["span"]


def test_the_report_speaks_both_languages() -> None:
    with speaking("ko"):
        written, page = report([verdict()])
    assert '<html lang="ko">' in written
    assert "0.3 came" in page.text["span"]
    assert "0.3이 왔습니다" in page.text["span"]
    assert page.text["title"] == "sumtoone check의 채점 결과"
    english, korean = (page.attributes.count(("span", "lang", name)) for name in ("en", "ko"))
    assert english == korean >= 20


def test_the_report_lets_nothing_in() -> None:
    written, page = report([verdict()])
    style = re.search(r"<style>(.*)</style>", written, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert policy in page.values("content")
    assert not re.search(r"url\(|@import|://", style[1])


@given(batches)
@example(EVERYTHING)
def test_the_report_can_be_used_by_everyone(batch: list[Verdict]) -> None:
    _, page = report(batch)
    names = page.values("id")
    assert len(names) == len(set(names))
    assert set(" ".join(page.values("aria-labelledby")).split()) | {link[1:] for link in page.values("href")} <= set(
        names
    )
    assert page.count["main"] == page.count["h1"] == page.count["header"] == 1
    assert page.count["label"] == page.count["input"] == 2
    assert page.count.get("pre", 0) == page.values("tabindex").count("0")


def test_the_report_can_be_read_in_light_and_dark() -> None:
    style = files("sumtoone.checking.writers").joinpath("report.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in style.split("@media", 2)[:2])
    assert set(light) == set(dark)
    for colours in (light, dark):
        for ink in ("ink", "soft", "right", "wrong", "link"):
            for paper in ("paper", "panel"):
                assert _contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
        assert _contrast(colours["ink"], colours["mark"]) >= 4.5


def _contrast(one: str, other: str) -> float:
    """Return the ratio of contrast that WCAG 2 defines."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lower, upper = sorted((light(one), light(other)))
    return (upper + 0.05) / (lower + 0.05)
