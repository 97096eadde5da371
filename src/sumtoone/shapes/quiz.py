"""Questions about shapes, to be answered before the answer is shown; all that is random follows from a seed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from sumtoone.shapes import Explanation, explain
from sumtoone.shapes.values import LARGEST_AXIS, MOST_AXES

MOST_QUESTIONS = 100
HIGHEST_LEVEL = 4
LARGEST_SEED = 2**32 - 1
_SIZES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 32, 64)
_LISTED = re.compile(r"\d+(?:(?:\s*[,x×]\s*|\s+)\d+)*\s*,?", re.ASCII)
_FAILS = ("error", "fails", "raises", "오류", "에러")


@dataclass(frozen=True)
class _Template:
    """A question with letters for its sizes, which differ from each other: n rows, k columns, and h."""

    kind: str
    level: int
    expression: str
    shapes: Mapping[str, str]


# In the order of the lesson; what fails stands beside what works, so that neither is told by its kind.
_TEMPLATES = tuple(
    _Template(kind, level, expression, dict(item.split("=") for item in shapes.split()))
    for kind, level, expression, shapes in (
        ("elementwise", 1, "torch.exp(x)", "x=n,k"),
        ("elementwise", 1, "x * 2 + 1", "x=n,k"),
        ("elementwise", 1, "a + b", "a=n,k b=n,k"),
        ("broadcast", 1, "x + b", "x=n,k b=k"),
        ("reduction", 1, "x.sum()", "x=n,k"),
        ("reduction", 1, "x.sum(dim=1)", "x=n,k"),
        ("reduction", 1, "x.mean(dim=0)", "x=n,k"),
        ("softmax", 1, "F.softmax(x, dim=1)", "x=n,k"),
        ("matmul", 1, "x @ w", "x=n,h w=h,k"),
        ("reduction", 2, "x.sum(dim=1, keepdim=True)", "x=n,k"),
        ("reduction", 2, "x.argmax(dim=1)", "x=n,k"),
        ("reduction", 2, "x.max(dim=1).values", "x=n,k"),
        ("softmax", 2, "F.softmax(x, dim=1).sum(dim=1)", "x=n,k"),
        ("matmul", 2, "x @ w", "x=n,h w=k,h"),
        ("matmul", 2, "x @ w.T", "x=n,h w=k,h"),
        ("matmul", 2, "torch.mm(x, w) + b", "x=n,h w=h,k b=k"),
        ("view", 2, "x.view({n}, -1)", "x=n,1,k,h"),
        ("view", 2, "x.unsqueeze(1)", "x=n,k"),
        ("broadcast", 2, "x / s", "x=n,k s=n,1"),
        ("broadcast", 2, "x / s", "x=n,k s=n"),
        ("broadcast", 3, "torch.exp(x) / torch.exp(x).sum(dim=1)", "x=n,k"),
        ("broadcast", 3, "torch.exp(x) / torch.exp(x).sum(dim=1, keepdim=True)", "x=n,k"),
        ("broadcast", 3, "x / s.view({n}, 1)", "x=n,k s=n"),
        ("broadcast", 3, "y - p", "y=n,1 p=n"),
        ("broadcast", 3, "x - x.mean(dim=0)", "x=n,k"),
        ("matmul", 3, "x @ w + b", "x=n,h w=h,k b=n"),
        ("matmul", 3, "x @ v", "x=n,k v=k"),
        ("view", 3, "x.flatten(1) @ w", "x=n,2,3 w=6,k"),
        ("view", 3, "x.view(-1, {k})", "x=n,2,k"),
        ("index", 3, "s[:, None] * x", "s=n x=n,k"),
        ("index", 3, "s[None, :] * x", "s=n x=n,k"),
        ("reduction", 4, "(x.argmax(dim=1) == y).float().mean()", "x=n,k y=n"),
        ("softmax", 4, "F.softmax(x @ w + b, dim=1).argmax(dim=1)", "x=n,h w=h,k b=k"),
        ("softmax", 4, "F.log_softmax(x, dim=1).sum(dim=1).mean()", "x=n,k"),
        ("broadcast", 4, "(x - x.mean(1)) / x.std(1)", "x=n,k"),
        ("broadcast", 4, "x - x.max(dim=1, keepdim=True).values", "x=n,k"),
        ("broadcast", 4, "(x.argmax(dim=1, keepdim=True) == y).float()", "x=n,k y=n"),
        ("index", 4, "a[:, None] - b[None, :]", "a=n b=k"),
        ("index", 4, "(a[:, None] - b) @ w", "a=n,h b=k,h w=h"),
        ("matmul", 4, "torch.relu(x @ w) @ v", "x=n,h w=h,k v=h,k"),
        ("view", 4, "x.view({n}, -1) @ w.T", "x=n,1,2,k w=h,{2k}"),
    )
)


@dataclass(frozen=True)
class Question:
    """An expression whose shape is asked for, and its explanation; ``template`` tells it from others of its kind."""

    kind: str
    level: int
    explanation: Explanation
    template: int

    @property
    def expression(self) -> str:
        """What is asked about."""
        return self.explanation.expression

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each name."""
        return self.explanation.shapes

    @property
    def answer(self) -> Answer:
        """What is right."""
        return Answer(self.explanation.shape)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: one of the questions of ``sumtoone explain --quiz --json``."""
        shape = self.answer.shape
        return {
            "kind": self.kind,
            "level": self.level,
            "expression": self.expression,
            "shapes": {name: list(sizes) for name, sizes in self.shapes.items()},
            "answer": None if shape is None else list(shape),
            "text": self.explanation.text,
        }


@dataclass(frozen=True)
class Answer:
    """A shape, or None for an error of PyTorch's."""

    shape: tuple[int, ...] | None


def ask(seed: int, level: int, asked: tuple[Question, ...] = ()) -> Question:
    """Return the next question of a level, none like those that were asked already while there are others.

    >>> ask(0, 1) == ask(0, 1), ask(0, 4).level
    (True, 4)
    """
    random = Random(f"{seed} {len(asked)} {level}")  # noqa: S311 - what is asked need not be secret
    places = [place for place, template in enumerate(_TEMPLATES) if template.level == level]
    seen = {question.template for question in asked}
    place = random.choice([place for place in places if place not in seen] or places)
    expression, shapes = _drawn(_TEMPLATES[place], random)
    return Question(_TEMPLATES[place].kind, level, explain(expression, **shapes), place)


def questions(count: int, seed: int) -> Iterator[Question]:
    """Yield the questions of somebody who answers all of them right.

    >>> [question.level for question in questions(5, seed=0)]
    [1, 2, 3, 4, 4]
    """
    asked: tuple[Question, ...] = ()
    level = 1
    for _ in range(count):
        asked = (*asked, ask(seed, level, asked))
        yield asked[-1]
        level = after(level, right=True)


def after(level: int, *, right: bool) -> int:
    """Return the level of the question that follows a right or a wrong answer."""
    return min(level + 1, HIGHEST_LEVEL) if right else max(level - 1, 1)


def read_answer(given: str) -> Answer | None:
    """Return what somebody answered: a shape in any usual spelling, or that PyTorch raises; None if it is neither.

    >>> read_answer("(64, 10)"), read_answer("64x10"), read_answer("()"), read_answer("error"), read_answer("many")
    (Answer(shape=(64, 10)), Answer(shape=(64, 10)), Answer(shape=()), Answer(shape=None), None)
    """
    words = given.strip().lower()
    if words.rstrip(".!") in _FAILS:
        return Answer(None)
    inner = bare = words.removeprefix("torch.size").strip()
    while inner[:1] + inner[-1:] in ("()", "[]"):
        inner = inner[1:-1].strip()
    if not (_LISTED.fullmatch(inner) or (bare and not inner)):
        return None
    sizes = re.findall(r"\d+", inner)
    if len(sizes) > MOST_AXES or any(len(size) > len(str(LARGEST_AXIS)) for size in sizes):
        return None
    return Answer(tuple(map(int, sizes)))


def _drawn(template: _Template, random: Random) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Return a template with sizes in place of its letters."""
    n, k, h = random.sample(_SIZES, 3)
    sizes = {"n": n, "k": k, "h": h, "{2k}": 2 * k}
    shapes = {
        name: tuple(sizes[part] if part in sizes else int(part) for part in shape.split(","))
        for name, shape in template.shapes.items()
    }
    return template.expression.format(n=n, k=k, h=h), shapes
