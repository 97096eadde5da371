"""Verdicts with whatever a learner can write, name or print, and a page as a browser would read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import strategies as st

from sumtoone.checking.verdict import Case, Finding, Verdict
from sumtoone.checking.writers import Circumstances
from sumtoone.language import entries

CIRCUMSTANCES = Circumstances("good", datetime(2026, 3, 2, 9, 0, tzinfo=UTC), datetime(2026, 3, 2, 9, 1, tzinfo=UTC))
# A code of the tests' own, whose words show what a field holds.
CODE = "made-up"
# Every field that the words of a verdict may name.
FIELDS = (
    "name", "shape", "got", "wanted", "row", "sums", "layer", "sizes", "after", "error", "explained", "what", "step",
    "limit", "printed", "names", "exercise",
)  # fmt: skip


@contextmanager
def made_up_words() -> Iterator[None]:
    """Let :data:`CODE` have words in both languages."""
    with pytest.MonkeyPatch.context() as patch:
        for name, said, hint in (("en", "{got} came", "Look at {got}."), ("ko", "{got}(이/가) 왔습니다", "{got}")):
            patch.setitem(entries(name), f"verdict.{CODE}.text", said)
            patch.setitem(entries(name), f"verdict.{CODE}.hint", hint)
        yield


HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "]]>", "--><b>", "&lt;&#60;", "\"'` onload=x",
    '=cmd|"/c calc"!A1', "+1+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "＝1", "  =1", "::error::boo",
    "a\n::stop-commands::x",
    "a\r\nb", "%0A::error::", "a:b,c", "\x00\x07\x1b[2J\x9b", "\ud800", "\udcff.py", "\u202egnp.exe", "\u200b\ufeff",
    "\ufffe\uffff", "[x](javascript:alert(1))", "|a|b|\n|---|---|", "\\|", "**b** _i_ `c` ~~s~~ # h", "@everyone #1",
    "https://example.org www.example.org", "{{ 7*7 }}{% raw %}", "</pre></code></details>", "</style>", "한글 이름.py",
    "", " ", "x" * 3_000, "a\tb\x0b\x0c\x85\u2028c",
]  # fmt: skip
texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=40))
sources = st.lists(texts, max_size=6).map("\n".join)
findings = st.builds(
    Finding,
    st.sampled_from([CODE, "time-limit", "no-such-code"]),
    st.none() | st.integers(1, 8),
    st.none() | st.integers(1, 3),
    st.fixed_dictionaries(dict.fromkeys(FIELDS, texts)),
)
cases = st.builds(
    Case, st.sampled_from(["small", "gradient", "no-such-case"]), st.sampled_from([0.5, 3.0]), st.booleans()
)
verdicts = st.builds(
    Verdict,
    path=texts,
    exercise=st.sampled_from([None, "softmax", "relu-network"]),
    passed=st.booleans(),
    finding=findings,
    remarks=st.lists(findings, max_size=2).map(tuple),
    cases=st.lists(cases, max_size=3).map(tuple),
    seconds=st.floats(0, 100),
    isolation=st.just("good"),
    printed=sources,
    source=sources,
)
batches = st.lists(verdicts, max_size=4)


def verdict(passed: bool = False, **changed: Any) -> Verdict:
    given_ = {
        "path": "kim.py",
        "exercise": "softmax",
        "finding": Finding(CODE, 2, None, {"got": "0.3"}),
        "seconds": 0.5,
    }
    return Verdict(**{**given_, "passed": passed, **changed})


# Each hostile text at every place, whatever the drawn examples leave out.
EVERYTHING = [
    verdict(
        path=words,
        finding=Finding(CODE, 1, None, dict.fromkeys(FIELDS, words)),
        remarks=(Finding(CODE, 2, None, {"got": words}),),
        printed=words,
        source=f"{words}\n{words}",
    )
    for words in HOSTILE
]


class Page(HTMLParser):
    """What a browser would find in a page: elements, attributes, text, by the standard library's parser."""

    VOID = frozenset({"meta", "input", "rect"})

    def __init__(self, written: str) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.cells: list[str] = []
        self.text: dict[str, str] = {}
        self.code: list[str] = []
        self.feed(written)
        self.close()
        assert self.open == []
        self.elements = set(self.count)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        if ("class", "at") in attrs:
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data
        if "code" in self.open and self.code:
            self.code[-1] += data

    def values(self, name: str) -> list[str]:
        return [value for _, each, value in self.attributes if each == name]
