"""Which of two Korean particles follows a word, a path, a number or a name: 은 or 는, 이 or 가, 을 or 를.

A particle takes one form after a consonant and another after a vowel, and what counts is the sound: of ``data.csv``
the letter V (브이, a vowel), of ``model`` 모델, of ``10`` 십. So the last piece before the particle is read as a Korean
would read it: Hangul as written, numbers in Sino-Korean, acronyms and file suffixes letter by letter, English words as
the loanword rules (외래어 표기법) write them or, where usage has settled otherwise, as it did. Of what has no known
reading both forms are written, 은(는), as Koreans do themselves.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

# How a word ends: on a vowel, on ㄹ (after which 으로 is 로), on another consonant, or nobody knows how.
Sound = Literal["vowel", "rieul", "consonant", "unknown"]

PAIRS = {
    "은/는": "은(는)",
    "이/가": "이(가)",
    "을/를": "을(를)",
    "과/와": "와(과)",
    "으로/로": "(으)로",
    "이라고/라고": "(이)라고",
}
_MARKED = re.compile(rf"\(({'|'.join(PAIRS)})\)")

# A particle's word is its last piece: longer than this is no name that a message should hold.
_LOOKED_AT = 80
_LAST_PIECE = re.compile(r"([0-9][0-9,]*|[A-Za-z]+|.)$", re.DOTALL)
_LAST_WORD = re.compile(r"([A-Z]?[a-z]+|[A-Z]+)$")
# A bracket right behind Hangul explains it and is passed over: 차원(dim)을. Behind Latin it is a call: softmax(x)를.
_EXPLANATION = re.compile(r"(?<=[가-힣])\([^()]*\)$")

# Letters are read by their names, 엘 엠 엔 알 and others on a vowel; digits as 영 일 삼 육 칠 팔, or 이 사 오 구.
_ENDINGS: dict[str, Sound] = {**dict.fromkeys("mn036", "consonant"), **dict.fromkeys("lr178", "rieul")}

_VOWELS = "aeiouy"
# Capitals up to this many are an acronym: CPU, CIFAR. More of them are a word written large: LICENSE.
_LONGEST_ACRONYM = 5
# Words that are read as words though they are short and large: --label NAME.
_WORDS = {"clip", "file", "frame", "line", "name", "none", "scale", "table", "time", "title"}
# Words whose usual Korean form is not what the rules below say, and acronyms that look like words.
_ON_A_CONSONANT = {"bag", "big", "cos", "epoch", "foot", "good", "jpeg", "minute", "york", "zip"}
_ON_A_VOWEL = {
    "auc",
    "bit",
    "cifar",
    "diet",
    "heic",
    "hit",
    "ip",
    "kit",
    "mat",
    "parquet",
    "readme",
    "roc",
    "soup",
    "sub",
}
_ENDING_ON_A_CONSONANT = ("out", "private", "technique", "template", "type")
_ENDING_ON_A_VOWEL = ("check", "hub")


def with_particles(sentence: str) -> str:
    """Return a sentence in which each marked pair, such as ``(은/는)``, is the form that follows the word before it.

    >>> with_particles("data.csv(은/는) model(과/와) 64(을/를) …(으로/로)")
    'data.csv는 model과 64를 …(으)로'
    """
    return _MARKED.sub(lambda marked: _form(marked[1], sound(sentence[: marked.start()])), sentence)


def _form(pair: str, ending: Sound) -> str:
    if ending == "unknown":
        return PAIRS[pair]
    after_consonant, after_vowel = pair.split("/")
    on_vowel = ending == "vowel" or (ending == "rieul" and pair == "으로/로")
    return after_vowel if on_vowel else after_consonant


def sound(words: str) -> Sound:
    """Return how words end when a Korean reads them aloud; closing brackets, quotation marks and the like are silent.

    >>> sound("runs/first"), sound("(64, 10)"), sound("99.6%"), sound("MyModel"), sound("'?'")
    ('vowel', 'consonant', 'vowel', 'rieul', 'unknown')
    """
    words = _EXPLANATION.sub("", unicodedata.normalize("NFKC", words[-_LOOKED_AT:]))
    while words and not (words[-1].isalnum() or words[-1] in "%+" or words[-1].isspace()):
        words = words[:-1]
    piece = _LAST_PIECE.search(words)
    if piece is None:
        return "unknown"
    last = piece[1]
    if last[0] in "0123456789":
        return _of_number(last)
    if last.isascii() and last.isalpha():
        return _of_latin(last, joined=words[: piece.start()].endswith("_"))
    return _of_letter(last)


def _of_letter(letter: str) -> Sound:
    """Hangul and kana say themselves how they end; so do two signs, 퍼센트 and 플러스."""
    if "가" <= letter <= "힣":
        final = (ord(letter) - ord("가")) % 28
        return "vowel" if final == 0 else "rieul" if final == 8 else "consonant"
    name = unicodedata.name(letter, "")
    if name.startswith("HANGUL JUNGSEONG"):  # NFKC makes of ㅏ (아) a vowel of its own and of ㄱ (기역) a consonant
        return "vowel"
    if name.startswith("HANGUL"):
        return "rieul" if letter == "\N{HANGUL CHOSEONG RIEUL}" else "consonant"
    if name.startswith(("HIRAGANA", "KATAKANA")):
        return "consonant" if letter in "んン" else "vowel"
    return "vowel" if letter in "%+" else "unknown"


def _of_number(digits: str) -> Sound:
    """Zeros at the end are 십, 백, 천, 만, 억 or 경, or 영 on their own: only 조 and 해 end on a vowel."""
    digits = digits.replace(",", "")
    zeros = len(digits) - len(digits.rstrip("0"))
    if zeros and zeros < len(digits):
        return "vowel" if zeros // 4 in (3, 5) else "consonant"
    return _ENDINGS.get(digits[-1], "vowel")


def _of_latin(run: str, joined: bool) -> Sound:
    """A run of Latin letters: a word, several (``MyNetwork``), or an acronym."""
    if found := _settled(run.lower()):
        return found
    last = _LAST_WORD.search(run)
    assert last is not None
    capitals, word = last[1].isupper(), last[1].lower()
    if found := _settled(word):
        return found
    # SUMTOONE_LANG is read as words, though its letters are large.
    acronym = capitals and not joined and len(word) <= _LONGEST_ACRONYM and word not in _WORDS
    if acronym or len(word) == 1 or not any(letter in _VOWELS for letter in word):
        return _ENDINGS.get(word[-1], "vowel")
    return _of_english(word)


def _settled(word: str) -> Sound | None:
    if word in _ON_A_VOWEL or word.endswith(_ENDING_ON_A_VOWEL):
        return "vowel"
    return "consonant" if word in _ON_A_CONSONANT or word.endswith(_ENDING_ON_A_CONSONANT) else None


def _of_english(word: str) -> Sound:
    """The sound of an English word's loan form, from its spelling: -rk is 크, -ck ㄱ, -le ㄹ."""
    silent = word.endswith("e") and word[-2] not in _VOWELS and any(letter in _VOWELS for letter in word[:-2])
    stem = word[:-1] if silent else word
    last, before = stem[-1], stem[:-1]
    if last == "l":
        return "rieul"
    if last in "mn" or stem.endswith("mb") or (stem.endswith("ng") and not silent):
        return "consonant"
    if last not in "bckpt" or silent:
        return "vowel"  # 스, 즈, 브, 드, 그, 시, 치, 지, 어; a long vowel before p, t, k gives 프, 트, 크
    if stem.endswith(("ck", "pp", "tt")):
        return "consonant"
    if before[-1] not in _VOWELS:
        return "vowel"  # 테스트, 태스크, 헬프
    return "consonant" if _short(before, last) else "vowel"


def _short(before: str, last: str) -> bool:
    """Whether the vowel before a last b, c, k, p or t is short or taken so: 맵, 딥, 북, but not 루프, 위크, 루트."""
    double = len(before) > 1 and before[-2] in _VOWELS and not before.endswith(("qui", "que", "qua", "quo"))
    if not double or last in "bc":
        return True
    return before.endswith("oo") if last == "k" else last == "p" and not before.endswith("oo")
