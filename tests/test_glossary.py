"""The Korean texts keep to the glossary: one word for each thing, and none of those that it does not use."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sumtoone.language import entries

ROOT = Path(__file__).parent.parent
EXERCISES = ROOT / "src" / "sumtoone" / "checking" / "exercises"
ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$",
    (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").split("## Particles")[0],
    re.MULTILINE,
)[1:]
WORDS = [(english, korean, unused.split(", ")) for english, korean, unused in ROWS]

# What may follow a word and leave it the same word. 글자 is another word than 글, 축소 another than 축.
_PARTICLES = (
    "은|는|이|가|을|를|과|와|의|에|에서|에는|에도|으로|로|도|만|들|마다|까지|부터|보다|처럼|"
    "이나|나|라면|이라면|이라|입니다|이며"
)


def _korean(value: Any) -> list[str]:
    """The Korean strings of a document: all below the key "ko", or all with Hangul where there is none."""
    if isinstance(value, str):
        return [value] if re.search("[가-힣]", value) else []
    return [text for each in (value.values() if isinstance(value, dict) else value) for text in _korean(each)]


def texts() -> dict[str, list[str]]:
    """Every Korean text by where it stands."""
    found = {f"ko.toml {key}": [words] for key, words in entries("ko").items()}
    for path in sorted(EXERCISES.glob("*/statement.ko.md")):
        found[f"{path.parent.name} statement"] = [path.read_text(encoding="utf-8")]
    for path in sorted(EXERCISES.glob("*/exercise.toml")):
        found[f"{path.parent.name} hints"] = _korean(tomllib.loads(path.read_text(encoding="utf-8"))["hints"])
    for path in sorted((ROOT / "notebooks").glob("*.toml")):
        cells = tomllib.loads(path.read_text(encoding="utf-8"))["cell"]
        found[path.name] = [words for cell in cells for words in _korean(cell.get("ko", []))]
    for path in (ROOT / "README.ko.md", *sorted((ROOT / "docs").glob("*.ko.md"))):
        found[path.name] = [path.read_text(encoding="utf-8")]
    return found


def _without_code(words: str) -> str:
    """Programs, addresses and names in backticks speak another language."""
    words = re.sub(r"^```.*?^```", "", words, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", words)


def unused_in(words: str, unused: str) -> bool:
    """Whether a word that is not used stands in a text, alone, with a particle, or, if it is long, in a compound."""
    word = re.escape(unused).replace(r"\ ", r"\s+")
    if len(unused) > 2 and re.search("[가-힣]", unused):
        return re.search(word, words) is not None
    return re.search(rf"(?<![가-힣A-Za-z]){word}(?:{_PARTICLES})*(?![가-힣A-Za-z])", words) is not None


@pytest.mark.parametrize(
    ("words", "found"),
    [("글이 있습니다", True), ("글자", False), ("한글", False), ("축들이", True), ("축소", False), ("압축을", False)],
)
def test_a_word_is_found_where_it_stands_for_itself(words: str, found: bool) -> None:
    assert any(unused_in(words, unused) for _, _, unused_ in WORDS for unused in unused_) is found


def test_no_text_has_a_word_that_is_not_used() -> None:
    found = {
        (where, unused, korean)
        for where, parts in texts().items()
        for part in map(_without_code, parts)
        for _, korean, every in WORDS
        for unused in every
        if unused_in(part, unused)
    }
    assert sorted(found) == []


def test_every_word_of_the_glossary_is_used_and_means_one_thing() -> None:
    all_of_them = "\n".join(_without_code(part) for parts in texts().values() for part in parts)
    assert len(WORDS) > 60
    assert [korean for _, korean, _ in WORDS if korean not in all_of_them] == []
    assert len({korean for _, korean, _ in WORDS}) == len(WORDS)
    assert not {korean for _, korean, _ in WORDS} & {unused for _, _, every in WORDS for unused in every}
    assert [english for english, _, _ in WORDS] == sorted((english for english, _, _ in WORDS), key=_plain)


def _plain(english: str) -> str:
    return english.removeprefix("to ").lower()
