"""What MkDocs adds to the pages of this folder: the README in both languages, and lists of all codes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TEXTS = ROOT / "src" / "sumtoone" / "language" / "en.toml"
PARTS = ("message", "expected", "got", "try")

_ERRORS, _VERDICTS = "<!-- error codes -->", "<!-- verdict codes -->"
_STARTS = {"README.md": "start.md", "README.ko.md": "start.ko.md"}
_ROLE = re.compile(r":(?:class|meth|func|attr|mod):(?=<code>)")


def error_codes(texts: Path = TEXTS) -> str:
    """Return a section for each error code, in the order of the alphabet, from a file of texts."""
    with texts.open("rb") as file:
        errors = tomllib.load(file)["error"]
    default = errors.pop("default", {})
    codes = {code: {**default, **said} for code, said in sorted(errors.items()) if isinstance(said, dict)}
    return "\n\n".join(_section(code, said) for code, said in codes.items())


def verdict_codes(texts: Path = TEXTS) -> str:
    """Return a section for each code of a verdict: its text, its hint, and what exercises say in its place."""
    with texts.open("rb") as file:
        verdicts = tomllib.load(file)["verdict"]
    exercises = {name: said for name, said in verdicts.items() if "text" not in said}
    codes = {*verdicts, *(code for said in exercises.values() for code in said)} - exercises.keys()
    sections = []
    for code in sorted(codes):
        said = verdicts.get(code, {})
        lines = [f"- **hint**: {_escaped(said['hint'])}"] if "hint" in said else []
        own = {name: each[code] for name, each in sorted(exercises.items()) if code in each}
        for name, each in own.items():
            lines += [f"- **{name}**: {_escaped(' '.join(each.values()))}"]
        sections.append("\n".join([f"### {code}", "", _escaped(said.get("text", "")), "", *lines]).strip())
    return "\n\n".join(sections)


def _section(code: str, said: dict[str, str]) -> str:
    lines = [f"- **{part}**: {_escaped(said[part])}" for part in PARTS[1:] if part in said]
    return "\n".join([f"### {code}", "", _escaped(said.get("message", "")), "", *lines])


def _escaped(words: str) -> str:
    """Return words as Markdown that shows them as they are."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(words.split()))


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each README."""
    from mkdocs.structure.files import File

    for readme, page in _STARTS.items():
        content = re.sub(r"\]\(docs/", "](", (ROOT / readme).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=_within(content, inside=True)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the codes in their places, and name the files that are no pages of the website."""
    for place, codes in ((_ERRORS, error_codes), (_VERDICTS, verdict_codes)):
        if place in markdown:
            markdown = markdown.replace(place, codes())
    return _within(markdown, inside=page.file.src_uri in _STARTS.values())


def on_page_content(html: str, **_: Any) -> str:
    """Take the roles off the names in docstrings."""
    return _ROLE.sub("", html)


def _within(markdown: str, *, inside: bool) -> str:
    """Turn links to files of the repository that are no pages into the names of these files."""

    def named(link: re.Match[str]) -> str:
        words, target = link[1], link[2].removeprefix("../")
        if target in _STARTS:
            return f"[{words}]({_STARTS[target]})"
        outside = link[2].startswith("../") or (inside and not (ROOT / "docs" / target.partition("#")[0]).exists())
        return f"{words} (`{target}`)" if outside and target not in _STARTS.values() else link[0]

    return re.sub(r"(?<!!)\[([^\]\[]+)\]\((?!https?:|#)([^)\s]+)\)", named, markdown)
