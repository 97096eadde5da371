"""Every text exists in both languages, with the same fields, and every code a user can meet has its words."""

from __future__ import annotations

import ast
import os
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sumtoone.errors import SumtooneError
from sumtoone.language import LANGUAGES, entries, language, speak, speaking, text

SOURCE = Path(__file__).parent.parent / "src" / "sumtoone"


def _fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_both_languages_have_the_same_keys() -> None:
    assert set(entries("en")) == set(entries("ko"))


def test_both_languages_have_the_same_fields() -> None:
    english, korean = entries("en"), entries("ko")
    assert [key for key in english if _fields(english[key]) != _fields(korean[key])] == []
    assert [key for key in english if not (english[key] and korean[key])] == []


def test_korean_texts_are_korean() -> None:
    # Commands, identifiers and bare fields stand alike in both languages; sentences do not.
    untranslated = [
        key for key, words in entries("ko").items() if len(words.split()) > 6 and not re.search("[가-힣]", words)
    ]
    assert untranslated == []


def _literal_keys() -> set[tuple[str, str]]:
    """Every key that the source looks up, and every error code it raises, as (file, key)."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            word = node.args[0].value
            if name == "text":
                found.add((path.name, str(word)))
            elif name.endswith("Error") and isinstance(word, str) and re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", word):
                found.add((path.name, f"error.{word}.message"))
    return found


def test_every_key_in_the_source_has_its_words() -> None:
    keys = _literal_keys()
    assert len(keys) > 50
    assert {key for _, key in keys} - set(entries("en")) == set()


def _codes() -> set[str]:
    return {key.split(".")[1] for key in entries("en") if key.startswith("error.") and key.endswith(".message")}


def test_every_error_has_four_parts() -> None:
    known = {key.split(".")[1] for key in entries("en") if key.startswith("error.") and key.count(".") == 2}
    assert known - _codes() == {"default"}
    for code in _codes():
        error = SumtooneError(code, **dict.fromkeys(_fields_of(code), "x"))
        assert all([error.message, error.expected, error.got, error.try_]), code


def _fields_of(code: str) -> set[str]:
    """The fields that the texts of an error need, its own and those that it takes from the default."""
    texts = entries("en")
    keys = [(f"error.{code}.{part}", f"error.default.{part}") for part in ("message", "expected", "got", "try")]
    return {name for own, default in keys for name in _fields(texts[own] if own in texts else texts[default])}


def _raised() -> Iterator[tuple[str, int, str, set[str]]]:
    """Every error made in the source with its code and its fields as they are written: (file, line, code, fields)."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
                continue
            names = {keyword.arg for keyword in node.keywords}
            if getattr(node.func, "id", "").endswith("Error") and node.args[0].value in _codes() and None not in names:
                yield path.name, node.lineno, node.args[0].value, {str(name) for name in names}


def test_every_error_is_raised_with_the_fields_it_needs() -> None:
    raised = list(_raised())
    assert len(raised) > 100
    assert [(file, line, code) for file, line, code, fields in raised if not _fields_of(code) <= fields] == []


def test_no_error_repeats_the_default() -> None:
    for language_ in LANGUAGES:
        texts = entries(language_)
        repeated = [
            f"{code}.{part}"
            for code in _codes()
            for part in ("expected", "got", "try")
            if texts.get(f"error.{code}.{part}") == texts[f"error.default.{part}"]
        ]
        assert repeated == []


def test_every_error_code_is_used() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    assert [code for code in sorted(_codes()) if f'"{code}"' not in sources] == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SUMTOONE_LANG": "ko"}, "ko"),
        ({"SUMTOONE_LANG": "en", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_MESSAGES": "ko", "LANG": "en_US.UTF-8"}, "ko"),
        ({"LANG": "kok_IN"}, "en"),
        ({"SUMTOONE_LANG": "fr", "LANG": "C"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("SUMTOONE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


def test_speaking_ends_with_its_block() -> None:
    with speaking("ko"):
        assert text("error.try") == "해 볼 것"
    assert text("error.try") == "try"


def test_speak_lasts_until_taken_back() -> None:
    speak("ko")
    try:
        assert language() == "ko"
    finally:
        speak(None)
    assert language() == "en"


def test_a_missing_field_is_a_defect() -> None:
    with pytest.raises(KeyError):
        text("error.several.message")


def test_text_runs_without_torch() -> None:
    code = "import sys; from sumtoone.language import text; text('error.try'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_languages_are_the_files() -> None:
    assert sorted(path.stem for path in (SOURCE / "language").glob("*.toml")) == sorted(LANGUAGES)
