"""Korean particles after words of every kind, held to readings written by hand, in every text with every field."""

from __future__ import annotations

import re
import string
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import test_glossary
from sumtoone.language import entries, speaking, text
from sumtoone.language.particles import PAIRS, sound, with_particles

READINGS = [
    tuple(line.split("\t"))
    for line in (Path(__file__).parent / "readings.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
FINALS = dict.fromkeys(range(1, 28), "consonant") | {0: "vowel", 8: "rieul"}


def _right(reading: str, pair: str) -> str:
    """The form of a pair after a reading in Hangul, by Unicode's own account of its last syllable."""
    final = (ord(reading[-1]) - 0xAC00) % 28
    closed, open_ = pair.split("/")
    return open_ if final == 0 or (final == 8 and pair == "으로/로") else closed


def test_every_reading_is_hangul() -> None:
    assert len(READINGS) > 800
    assert [word for word, reading in READINGS if not re.fullmatch("[가-힣 ]+", reading)] == []
    assert len({word for word, _ in READINGS}) == len(READINGS)


@pytest.mark.parametrize("pair", PAIRS)
def test_particles_follow_the_reading(pair: str) -> None:
    wrong = {
        word: said
        for word, reading in READINGS
        if (said := with_particles(f"{word}({pair})")) != word + _right(reading, pair)
    }
    assert wrong == {}


def test_what_nobody_can_read_has_both_forms() -> None:
    for unread in ("", "…", "()", "'?'", "漢", "Ω", "🎉", "a →"):
        assert [with_particles(f"{unread}({pair})") for pair in PAIRS] == [unread + both for both in PAIRS.values()]


def test_a_name_that_is_decomposed_wide_or_kana_is_read() -> None:
    # As macOS writes the names of files, as Japanese keyboards write letters, and as the classes of kmnist are called.
    assert [sound(word) for word in ("서울", "개", "CSV", "す", "ん", "ㅏ", "ㄹ")] == [
        "rieul", "vowel", "vowel", "vowel", "consonant", "vowel", "rieul",
    ]  # fmt: skip


@given(st.text(), st.sampled_from(sorted(PAIRS)))
def test_any_word_whatever_gets_a_form_of_the_pair(word: str, pair: str) -> None:
    said = with_particles(f"{word}({pair})")
    assert said in {word + form for form in (*pair.split("/"), PAIRS[pair])}
    assert with_particles(said) == said


@given(st.text("가나달집모", min_size=1), st.sampled_from(sorted(PAIRS)))
def test_hangul_is_read_as_unicode_composes_it(word: str, pair: str) -> None:
    assert with_particles(f"{word}({pair})") == word + _right(word, pair)
    taken_apart = unicodedata.normalize("NFD", word)
    assert with_particles(f"{taken_apart}({pair})") == taken_apart + _right(word, pair)


def test_a_particle_is_found_behind_a_very_long_word() -> None:
    assert with_particles("x" * 100_000 + "model(은/는)").endswith("model은")


# A field may hold any of these: what it is, and how its reading ends.
FIELDS = {
    "Latin, on a vowel": ("softmax", "소프트맥스"),
    "Latin, on a consonant": ("fc.hidden", "히든"),
    "Latin, on ㄹ": ("model", "모델"),
    "number, on a vowel": ("64", "육십사"),
    "number, on a consonant": ("1,000", "천"),
    "number, on ㄹ": ("128", "백이십팔"),
    "shape": ("(64, 10)", "십"),
    "share": ("99.6%", "퍼센트"),
    "path": ("runs/first", "퍼스트"),
    "file": ("../a b/data.csv", "브이"),
    "Hangul, on a vowel": ("고양이", "고양이"),
    "Hangul, on a consonant": ("강아지 집", "집"),
    "Hangul, on ㄹ": ("서울", "서울"),
    "acronym, on a vowel": ("GPU", "유"),
    "acronym, on a consonant": ("CNN", "엔"),
    "acronym, on ㄹ": ("URL", "엘"),
}
# A private letter in a field's place. What may stand between a word and its particle makes no sound; a bracket might.
_FIELD = "\ue000"
_SILENT = rf"[^\w\s%+(){_FIELD}]*"
# Where a particle ends: not before a Hangul letter, so 이 of 이미지 and 가 of 가운데 are none.
_BARE = "(은|는|이|가|을|를|과|와|으로|로|이라고|라고)(?![가-힣])"
_UNMARKED = re.compile(_FIELD + _SILENT + _BARE)
_MARKED = re.compile(rf"{_FIELD}({_SILENT})\(({'|'.join(PAIRS)})\)")
_PAIR = re.compile(rf"\((?:{'|'.join(PAIRS)})\)")
_AFTER_LATIN = re.compile(rf"([0-9A-Za-z_]+{_SILENT}){_BARE}")
_FORMS = {form: pair for pair in PAIRS for form in pair.split("/")}


class _Filling(string.Formatter):
    """Fills every field of a template with one word, whatever its name and format."""

    def __init__(self, word: str) -> None:
        self.word = word

    def get_field(self, field_name: str, args: object, kwargs: object) -> tuple[str, str]:
        return self.word, field_name

    def format_field(self, value: str, format_spec: str) -> str:
        return value

    def convert_field(self, value: str, conversion: object) -> str:
        return value


def _filled(word: str) -> dict[str, str]:
    return {key: _Filling(word).vformat(template, (), {}) for key, template in entries("ko").items()}


def test_no_particle_depends_on_a_field_unmarked() -> None:
    # The page fills its texts itself, without the lookup: there a field before a particle is a share, 퍼센트.
    unmarked = {key for key, words in _filled(_FIELD).items() if _UNMARKED.search(words)}
    assert unmarked == {"page.confusion.lead"}
    assert not [key for key, words in entries("ko").items() if key.startswith("page.") and _PAIR.search(words)]


@pytest.mark.parametrize(("word", "reading"), FIELDS.values(), ids=FIELDS)
def test_every_text_has_the_right_particles_after_every_kind_of_field(word: str, reading: str) -> None:
    texts, seen = _filled(word), 0
    for key, template in _filled(_FIELD).items():
        said = with_particles(texts[key])
        assert not any(f"({pair})" in said or both in said for pair, both in PAIRS.items()), key
        for silent, pair in _MARKED.findall(template):
            assert word + silent + _right(reading, pair) in said, key
            seen += 1
    assert seen > 200


def test_words_in_the_texts_have_the_right_particles() -> None:
    # What stands in a text for good, as in "PyTorch는", was written by a person: the same rules must agree with it.
    wrong = {
        (key, found[0])
        for key, words in _filled(_FIELD).items()
        for found in _AFTER_LATIN.finditer(words)
        if with_particles(f"{found[1]}({_FORMS[found[2]]})") != found[0]
    }
    assert wrong == set()


def test_words_in_exercises_notebooks_and_the_readme_have_the_right_particles() -> None:
    wrong = {
        (where, found[0])
        for where, parts in test_glossary.texts().items()
        for part in parts
        for found in re.finditer(rf"([^\s`]+)`{_BARE}|([0-9A-Za-z_]+){_BARE}", part)
        for word, form in [(found[1] or found[3], found[2] or found[4])]
        if sound(word) != "unknown" and with_particles(f"{word}({_FORMS[form]})") != word + form
    }
    assert wrong == set()


def test_the_lookup_chooses() -> None:
    with speaking("ko"):
        assert text("specification.did-you-mean", guess="--lr") == "혹시 --lr을 뜻하셨나요?"
        assert text("cli.train.resume-start", out="runs/first") == "runs/first를 이어서 학습합니다"
