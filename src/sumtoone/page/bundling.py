"""The page and a run as one HTML file that opens from a disk.

A browser imports no module from a disk, so the modules become one script: each a function that is called once and
returns what it exports. They are written for it: ``import { names } from "./other.js";`` (or ``* as name``) at the
start of a line, and ``export`` before a function, a class or a constant.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sumtoone.errors import UsageError
from sumtoone.page.assets import Content, assets
from sumtoone.page.documents import in_page, model, samples, to_bytes, weights

if TYPE_CHECKING:
    from sumtoone.runs import Run

_IMPORT = re.compile(r'^import (?:\{([^}]*)\}|\* as (\w+)) from "\./([a-z-]+\.js)";\n', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\*? ([A-Za-z_$][\w$]*))", re.M)
_STYLE = '<link rel="stylesheet" href="static/style.css">'
_SCRIPT = '<script type="module" src="static/app.js"></script>'
_ENCODING = '<meta charset="utf-8">'
# So many pictures go into the file; rows of a table do not, for they may be about people.
_SAMPLES = 40
_MOST_VALUES = 100_000


def single_file(run: Run) -> bytes:
    """Return the page with the run inside as one HTML file: the same bytes each time.

    It opens from a disk, needs no network and asks none: its own policy forbids it. What it holds beside the weights
    are the run's story and some 40 pictures of its test split; the epochs' snapshots stay behind, for each is as large
    as the weights.

    Raises
    ------
    UsageError
        If the page cannot compute the run's network itself: a module of one's own, one of more than five million
        weights, or one that is neither float32 nor float64.
    """
    if not in_page(run.answering):
        raise UsageError("page-module", name=run.name, given=type(run.network).__name__)
    described = model(run, None)
    shown = _pictures(run)
    described["samples"] = bool(shown)
    held = {
        "model": described,
        "samples": {"rows": shown},
        "weights": base64.b64encode(weights(run.answering)).decode(),
    }
    texts = assets()["texts.json"].body.decode()
    style, script = assets()["style.css"].body.decode(), bundle("app.js", assets())
    # Data in a script of another type is never run, and ends at nothing but "</script".
    data = f'{{"texts":{texts},"run":{to_bytes(held).decode()}}}'.replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'"
    )
    page = assets()["index.html"].body.decode()
    for old, new in (
        (_ENCODING, f'{_ENCODING}\n<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        (_STYLE, f"<style>{style}</style>"),
        (
            _SCRIPT,
            f'<script type="application/json" id="held">{data}</script>\n<script type="module">{script}</script>',
        ),
    ):
        before, found, after = page.partition(old)
        assert found, f"index.html has no {old}"
        page = before + new + after
    return page.encode()


def _pictures(run: Run) -> Sequence[Any]:
    rows = samples(run) if run.image_shape is not None else ()
    return rows[: min(_SAMPLES, _MOST_VALUES // run.preprocessing.features)]


def bundle(name: str, modules: Mapping[str, Content]) -> str:
    """Return a module and all that it imports as one script."""
    done: dict[str, str] = {}
    _add(name, modules, done)
    return "\n".join(done.values())


def _add(name: str, modules: Mapping[str, Content], done: dict[str, str]) -> None:
    """Add a module, after all those it imports."""
    source = modules[name].body.decode()
    for found in _IMPORT.finditer(source):
        if found[3] not in done:
            _add(found[3], modules, done)
    exported = ", ".join(_EXPORT.findall(source))
    body = _EXPORT.sub("", _IMPORT.sub(_taken, source))
    left = re.search(r"^\s*(?:import|export)\b.*|</script", body, re.M)
    assert left is None, f"{name} has what does not go into one script: {left and left[0]}"
    done[name] = f"const {_variable(name)} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();"


def _taken(found: re.Match[str]) -> str:
    names = found[2] or "{ " + re.sub(r"(\w+) as (\w+)", r"\1: \2", " ".join(found[1].split())) + " }"
    return f"const {names} = {_variable(found[3])};\n"


def _variable(name: str) -> str:
    return "module_" + name.removesuffix(".js").replace("-", "_")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
