"""What a text defines at its top level, and what of it is unfinished, read from the text alone."""

from __future__ import annotations

import ast
import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import Any

from sumtoone.checking.syntax import Cell, attempt

_HEADER = re.compile(r"^[ \t]*(?:async[ \t]+)?(def|class)[ \t]+([^\W\d]\w*)", re.MULTILINE)
_NOTHING_ASSIGNED = re.compile(r"\s*[^\W\d][\w., ]*=\s*#.*")
_ASSIGNED = re.compile(r"([^\W\d]\w*) *=(?!=)")
_BLOCK = re.compile(r"expected an indented block after (?:function|class) definition on line (\d+)")
# A learner's file defines some ten names; a hostile one is looked at no further than here.
# The lesson's own two sigmoid classes and its two Sequentials: SHA-256 of their text as ``ast.unparse`` writes it.
_GIVEN = frozenset({"ef4de66366d889b7", "9f45dd06c1f829b6", "602a10ccbb952d8b", "d1a9ed6de6dc8717"})
_MOST, _LONGEST_BODY = 2_000, 200


def statically_defined(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return what cells define at their top level, as running them would report it, from their text alone.

    Of a cell that is no Python only the names after ``def`` and ``class``, and before ``=``, are known.
    """
    found: list[dict[str, Any]] = []
    modules: set[str] = set()
    for cell in cells:
        tree = attempt(cell.source)
        if tree is None:
            lines = cell.lines
            starts = [0, *accumulate(len(line) + 1 for line in lines)][:-1]
            matches = islice(_HEADER.finditer(cell.source), _MOST)
            found += [_by_text(match, cell, lines, starts) for match in matches]
            found += [
                {"name": match[1], "kind": "other", "line": line, "cell": cell.number}
                for line, text in enumerate(lines, start=1)
                if (match := _ASSIGNED.match(text))
            ]
            continue
        for statement in tree.body:
            try:
                found += [
                    {"line": statement.lineno, "cell": cell.number, **each} for each in _entries(statement, modules)
                ]
            except RecursionError:
                continue  # thousands of branches deep: no exercise is written so
    common = {"shape": None, "required": None, "unfinished": False}
    return [{**common, **entry, "order": place} for place, entry in enumerate(found[:_MOST])]


def statement_at(cell: Cell, line: int) -> str:
    """Return the text of the top-level statement that begins at a line, or of the line itself."""
    tree = attempt(cell.source)
    for statement in tree.body if tree is not None else ():
        first = min([statement.lineno, *(item.lineno for item in getattr(statement, "decorator_list", ()))])
        if first <= line <= (statement.end_lineno or statement.lineno):
            return "\n".join(cell.lines[first - 1 : statement.end_lineno])
    return ""


def is_given(text: str) -> bool:
    """Whether a statement is one of the networks that stand in the lesson's notebook before any exercise is done."""
    tree = attempt(text)
    if tree is None or not text.strip():
        return False
    return hashlib.sha256(ast.unparse(_plain(tree)).encode()).hexdigest()[:16] in _GIVEN


def _plain(tree: ast.Module) -> ast.Module:
    """Return a tree without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def unfinished(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return the functions and classes whose place for the learner's own code is empty still."""
    return [entry for entry in statically_defined(cells) if entry["unfinished"]]


def template(cells: Sequence[Cell], stub: str = "") -> bool:
    """Whether cells are what the learner was given and no more: the stub, or nothing but unfinished places."""
    text = "\n".join(cell.source for cell in cells)
    if stub and _same(text, stub):
        return True
    defined = [entry for entry in statically_defined(cells) if entry["kind"] in ("function", "class")]
    left = any(entry["unfinished"] for entry in statically_defined(cells))
    left = left or any(_NOTHING_ASSIGNED.fullmatch(line) for cell in cells for line in cell.lines)
    return all(entry["unfinished"] for entry in defined) and (bool(defined) or left)


def is_placeholder(message: str, lines: Sequence[str], line: int) -> bool:
    """Whether a syntax error comes from a place that was left for the learner: ``out = # …``, a ``def`` of comments."""
    if _NOTHING_ASSIGNED.fullmatch(lines[line - 1]):
        return True
    match = _BLOCK.match(message)
    if not match:
        return False
    below = [text.strip() for text in lines[int(match[1]) : max(line - 1, int(match[1]))] or lines[int(match[1]) :]]
    comments = [text for text in below if text]
    return bool(comments) and all(text.startswith("#") for text in comments)


def _by_text(match: re.Match[str], cell: Cell, lines: list[str], starts: list[int]) -> dict[str, Any]:
    line = bisect_right(starts, match.start(1))
    body = []
    for text in lines[line : line + _LONGEST_BODY]:
        if text.strip() and not text.strip().startswith("#"):
            break
        body.append(text.strip())
    follows = lines[line + len(body)] if line + len(body) < len(lines) else ""
    deeper = len(follows) - len(follows.lstrip()) > len(match[0]) - len(match[0].lstrip())
    left = not deeper and any(body)
    kind = "function" if match[1] == "def" else "class"
    return {
        "name": match[2],
        "kind": kind,
        "line": line,
        "cell": cell.number,
        "unfinished": left,
        "module": kind == "class",
    }


def _entries(statement: ast.stmt, modules: set[str]) -> Iterator[dict[str, Any]]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        yield {
            "name": statement.name,
            "kind": "function",
            **_signature(statement.args),
            "unfinished": _is_empty(statement),
        }
    elif isinstance(statement, ast.ClassDef):
        yield _class(statement, modules)
    elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for name in (part.id for target in targets for part in _names(target)):
            yield {"name": name, **_value(statement.value, modules)}
    elif isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
        for part in [*statement.body, *getattr(statement, "orelse", [])]:
            for entry in _entries(part, modules):
                yield {"line": part.lineno, **entry}


def _names(target: ast.expr) -> Iterator[ast.Name]:
    if isinstance(target, ast.Name):
        yield target
    elif isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _names(part)


def _signature(arguments: ast.arguments) -> dict[str, Any]:
    names = [item.arg for item in (*arguments.posonlyargs, *arguments.args)]
    return {"required": len(names) - len(arguments.defaults), "parameters": names}


def _class(statement: ast.ClassDef, modules: set[str]) -> dict[str, Any]:
    bases = [_last_name(base) for base in statement.bases]
    module = any(base in ("Module", "Sequential") or base in modules for base in bases)
    if module:
        modules.add(statement.name)
    methods = [item for item in statement.body if isinstance(item, ast.FunctionDef)]
    rest = [item for item in statement.body if item not in methods]
    # A forward that hands its input back is empty where no layer was made either.
    empty = all(map(_is_nothing, rest)) and all(map(_is_empty_method, methods))
    facts = {
        "module": module,
        "methods": [item.name for item in methods],
        "unfinished": empty and not _only_base(bases, methods),
    }
    return {"name": statement.name, "kind": "class", **facts}


def _only_base(bases: list[str], methods: list[ast.FunctionDef]) -> bool:
    """Whether a class with nothing in it takes all of it from another class of the learner's."""
    return bool(bases) and not methods and not {*bases} & {"Module", "object"}


def _value(value: ast.expr, modules: set[str]) -> dict[str, Any]:
    if isinstance(value, ast.Lambda):
        return {"kind": "function", **_signature(value.args)}
    if isinstance(value, ast.Call):
        of = _last_name(value.func)
        if of in ("vmap", "partial"):
            return {"kind": "function"}
        if of in modules or of == "Sequential":
            return {"kind": "instance", "of": of, "library": of not in modules}
    return {"kind": "other", "unfinished": isinstance(value, ast.Constant) and value.value is ...}


def _is_empty(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return all(map(_is_nothing, function.body))


def _is_empty_method(function: ast.FunctionDef) -> bool:
    parameters = {item.arg for item in function.args.args[1:]}
    return all(
        _is_nothing(item)
        or (isinstance(item, ast.Return) and isinstance(item.value, ast.Name) and item.value.id in parameters)
        for item in function.body
    )


def _is_nothing(statement: ast.stmt) -> bool:
    """Whether a statement does nothing: pass, a docstring, ``...``, an empty return, ``super().__init__()``."""
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        value = statement.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            return value.func.attr == "__init__" and all(isinstance(item, ast.Name) for item in value.args)
        return isinstance(value, ast.Constant)
    if isinstance(statement, ast.Return):
        return statement.value is None or (
            isinstance(statement.value, ast.Constant) and statement.value.value in (None, ...)
        )
    if isinstance(statement, ast.Raise):
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return raised is not None and _last_name(raised).startswith("NotImplemented")
    return False


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _same(text: str, stub: str) -> bool:
    trees = [attempt(each) for each in (text, stub)]
    if trees[0] is None or trees[1] is None:
        return text.split() == stub.split()
    try:
        return ast.dump(trees[0]) == ast.dump(trees[1])
    except RecursionError:
        return False
