"""Explanations of shapes agree with PyTorch, fit a terminal, and every line they suggest works."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

import sumtoone as s1
from expressions import outcome, random_case
from sumtoone.errors import SumtooneError, UsageError
from sumtoone.language import speaking
from sumtoone.language.lines import cells, cut, wrapped
from sumtoone.shapes import Explanation, explain

SIZES = st.lists(st.sampled_from([0, 1, 2, 3, 5]), max_size=4).map(tuple)


# --- laws, held against PyTorch on real tensors


# One of them is enough to see what it covers.
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.no_cover) for seed in range(1, 8))])
def test_every_verdict_is_pytorchs(seed: int) -> None:
    """8 times 2,600 expressions: the shape, or that there is none; and everything shown fits and works."""
    dice = random.Random(seed)
    worked, failed, refused = 0, 0, 0
    for _ in range(2_600):
        expression, shapes = random_case(dice)
        try:
            found = explain(expression, **shapes)
        except UsageError as error:
            # The one thing that shapes alone do not decide.
            assert error.code == "explain-layout", expression
            refused += 1
            continue
        expected = outcome(expression, shapes)
        assert found.shape == expected, (expression, shapes, found.error)
        worked, failed = worked + (expected is not None), failed + (expected is None)
        _check_shown(found)
        if (worked + failed) % 4 == 0:
            with speaking("ko"):
                korean = explain(expression, **shapes)
            assert (korean.shape, korean.suggestions) == (found.shape, found.suggestions)
            _check_lines(korean)
    assert worked > 1_100
    assert failed > 900
    assert refused < 10


def _check_shown(found: Explanation) -> None:
    assert (found.error is None) == (found.shape is not None)
    _check_lines(found)
    for suggestion in found.suggestions:
        assert outcome(suggestion.line, dict(found.shapes)) == suggestion.shape, (found.expression, suggestion)
        assert _joined(str(suggestion)) in _joined(found.text)


def _joined(lines: str) -> str:
    """A long line is broken, and shapes of several suggestions stand under each other."""
    return re.sub(r"\s+", "", lines)


def _check_lines(found: Explanation) -> None:
    for lines in (found.text, *found.warnings):
        assert max(map(cell_len, lines.split("\n"))) <= 80, lines
        assert [line for line in lines.split("\n") if line != line.rstrip()] == []


@given(SIZES, SIZES)
@settings(deadline=None)
def test_two_shapes_broadcast_as_in_pytorch(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    try:
        expected = tuple(torch.broadcast_shapes(left, right))
    except RuntimeError:
        expected = None
    assert explain("a + b", a=left, b=right).shape == expected


@given(SIZES, st.lists(st.sampled_from([-2, -1, 0, 1, 2, 3, 5, 6]), min_size=1, max_size=4), st.permutations(range(4)))
@settings(max_examples=400, deadline=None)
def test_view_knows_the_layout(shape: tuple[int, ...], sizes: list[int], order: list[int]) -> None:
    dims = ", ".join(str(dim) for dim in order if dim < len(shape))
    expression = f"a.permute(({dims}{',' if shape else ''})).view({', '.join(map(str, sizes))})"
    assert explain(expression, a=shape).shape == outcome(expression, {"a": shape})


@given(st.text(max_size=30) | st.text(alphabet="ab0123456789.,:()[]+-*/@=<> TFsum", max_size=25))
@settings(max_examples=1_500, deadline=None)
def test_any_text_is_explained_or_refused(expression: str) -> None:
    try:
        found = explain(expression, a=(2, 3), b=(3,))
    except SumtooneError as error:
        assert isinstance(error, UsageError)
        assert str(error)
    else:
        _check_lines(found)


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "(lambda: a)()",
        "[a for a in b]",
        "a if b else a",
        "a.__class__",
        "a.data",
        "f'{a}'",
        "a and b",
        "a < b < a",
        "(a := b)",
        "a[..., ...]",
        "a[True]",
        "not a",
        "True + a",
        "torch",
        "F + a",
        "1j * a",
        "a.sum(*b)",
        "a.sum(**b)",
        "a.sum(dim=b)",
        "a.sum(dim=())",
        "a.sum(dim=1.0)",
        "a.sum(1, True, 3)",
        "a.sum(1, dim=1)",
        "a.std(1, True)",
        "a.clamp(min=b)",
        "a.norm(p=-1)",
        "a.view(b)",
        "a.view()",
        "a.transpose(0)",
        "torch.view(a, (6,))",
        "torch.reshape(a, 6)",
        "torch.sum()",
        "torch.sum(1, input=a)",
        "a.exp(1)",
        "a.sum(nowhere=1)",
        "torch.matmul(a)",
        "F.exp(a)",
        "F.softmax(a, axis=1)",
        "torch.exp(2)",
        "2 .exp()",
        "2 ** 3 * a",
        "1 / 0 * a",
        "1e300 * a",
        "a + " + "9" * 30,
        "a.view(" + "9" * 30 + ")",
        "a.sum()(b, dim=1)",
        "a + b" * 60,
        "-" * 60 + "a",
        "(" * 150 + "a" + ")" * 150 + "(",
        "a +",
        "a\0",
        "",
        "for b in a: pass",
        "if a: b",
        "def f(a): return b",
        "class A: pass",
        "a.b = a",
        "a = b = a",
        "self.fc1(a)",
        "self + a",
        "math.log(a)",
        "softmax(a)",
        "nn.Conv2d(1, 2)(a)",
        "nn.Linear(3)(a)",
        "nn.Linear(3, 2)",
        "nn.Sequential()(a)",
        "nn.Sequential(a)(a)",
        "F.one_hot(a)",
        "torch.cat(a)",
        "torch.cat([a, *b])",
        "torch.einsum(a, b)",
        "torch.einsum('...i->i', a)",
        "torch.zeros()",
        "torch.zeros(a)",
        "torch.tensor([[1], [1, 2]])",
        "torch.tensor([a])",
        "torch.zeros(2, dtype=b)",
        "torch.zeros_like(a, b)",
        "F.cross_entropy(a, b, reduction='no')",
        "a.view(a.shape[0:'x'])",
        "a.shape['x']",
        "a.view(a.sum())",
        "len(a, b)",
        "a ~ b",
        "~2 * a",
        "exp(a)",
    ],
)
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain(expression, a=(2, 3), b=(3,))
    assert max(map(len, str(caught.value).split("\n"))) < 300


# --- whole texts


def test_a_division_that_fails_is_shown_whole() -> None:
    found = explain("a / b", a=(64, 10), b=(64,))
    assert found.text == (
        "a / b\n"
        "  a (64, 10), b (64,)\n"
        "\n"
        " 1. a / b\n"
        "     a  64  10\n"
        "     b      64\n"
        "             ^ 10 meets 64: neither is 1\n"
        "\n"
        "this fails: a (64, 10) and b (64,) do not broadcast. Counted from the right,\n"
        "  axis -1 is 10 on one side and 64 on the other; two sizes go together when they\n"
        "  are equal or one of them is 1.\n"
        "  write instead:\n"
        "    a / b[:, None]      # (64, 10)\n"
        "    a / b.view(64, 1)   # (64, 10)\n"
        "    a / b.unsqueeze(1)  # (64, 10)"
    )
    assert str(found) == found.text
    assert found.error == (
        "a (64, 10) and b (64,) do not broadcast. Counted from the right, axis -1 is 10 on one side and 64 on the "
        "other; two sizes go together when they are equal or one of them is 1."
    )


def test_a_trap_is_shown_whole_in_korean() -> None:
    with speaking("ko"):
        found = explain("a / a.sum(dim=1)", a=(64, 64))
    assert found.text == (
        "a / a.sum(dim=1)\n"
        "  a (64, 64)\n"
        "\n"
        " 1. a.sum(dim=1)\n"
        "     (64, 64) → (64,)\n"
        "     축소로 사라진 차원: dim 1 (크기 64)\n"
        "\n"
        " 2. a / a.sum(dim=1)\n"
        "     a             64  64\n"
        "     a.sum(dim=1)      64\n"
        "     =             64  64\n"
        "     dim 0: 64 ← a.sum(dim=1)에 없는 차원이라 반복함\n"
        "\n"
        "결과: (64, 64)\n"
        "\n"
        "주의: a / a.sum(dim=1)은 행렬이 정사각이라서 동작할 뿐입니다. a.sum(dim=1)에는\n"
        "  행마다 수가 하나 있지만 벡터는 열을 따라 놓입니다. 행 j가 아니라 열 j가 j번째\n"
        "  수와 만납니다.\n"
        "  대신 이렇게 쓰세요:\n"
        "    a / a.sum(dim=1, keepdim=True)  # (64, 64)\n"
        "    a / a.sum(dim=1)[:, None]       # (64, 64)"
    )


def test_a_name_alone_is_its_shape() -> None:
    assert explain("a", a=[]).text == "a\n  a ()\n\nresult: ()"


def test_a_pair_says_so() -> None:
    found = explain("x.max(dim=1)", x=(4, 3))
    assert found.shape == (4,)
    assert "result: a pair (values, indices), each of shape (4,); .values is the first" in found.text


def test_plain_values_and_html() -> None:
    found = s1.explain("a<b", a=(2,), b=(3,))
    assert isinstance(found, s1.Explanation)
    plain = json.loads(json.dumps(found.to_json()))
    assert plain == {
        "expression": "a < b",
        "shapes": {"a": [2], "b": [3]},
        "shape": None,
        "error": found.error,
        "warnings": [],
        "suggestions": [],
        "confirmed": None,
        "text": found.text,
    }
    shown = found._repr_html_()
    assert "a &lt; b" in shown
    assert "#b3261e" in shown
    assert "#2e7d32" in explain("a", a=())._repr_html_()


# --- why PyTorch refuses, and what to write instead


@pytest.mark.parametrize(
    ("expression", "shapes", "error", "lines"),
    [
        (
            "x / x.sum(dim=1)",
            {"x": (64, 10)},
            "x (64, 10) and x.sum(dim=1) (64,) do not broadcast. Counted from the right, axis -1 is 10 on one side and "
            "64 on the other; two sizes go together when they are equal or one of them is 1.",
            ["x / x.sum(dim=1, keepdim=True)", "x / x.sum(dim=1)[:, None]", "x / x.sum(dim=1).view(64, 1)"],
        ),
        (
            "x - torch.max(x, 1).values",
            {"x": (64, 10)},
            None,
            ["x - torch.max(x, 1, keepdim=True).values", "x - torch.max(x, 1).values[:, None]"],
        ),
        (
            "x - x.max(dim=1)",
            {"x": (3, 3)},
            "x.max(dim=1) is a pair (values, indices), not a tensor: max and min with dim return both.",
            ["x - x.max(dim=1).values"],
        ),
        (
            "a @ b",
            {"a": (64, 10), "b": (64, 10)},
            "a (64, 10) and b (64, 10) do not multiply: the last axis of the left one has size 10, but the axis of the "
            "right one that meets it has size 64.",
            ["a @ b.T", "a * b"],
        ),
        (
            "a * b",
            {"a": (64, 784), "b": (784, 10)},
            None,
            ["a @ b"],
        ),
        (
            "a @ 2",
            {"a": (2, 3)},
            "a @ 2 multiplies matrices, and a number is none; '*' multiplies by a number.",
            ["a * 2"],
        ),
        (
            "x.T.view(-1)",
            {"x": (2, 3)},
            "x.T.view(-1): after a transpose or expand the elements do not lie in this order in memory, and view never "
            "copies.",
            ["x.T.reshape(-1)"],
        ),
        (
            "x.view(64, 800)",
            {"x": (64, 1, 28, 28)},
            "x.view(64, 800) needs 51200 elements, but shape (64, 1, 28, 28) has 50176.",
            ["x.view(64, -1)"],
        ),
        (
            "x.sum(dim=2)",
            {"x": (4, 3)},
            "x.sum(dim=2) has dim=2, but here dim goes from -2 to 1.",
            ["x.sum(dim=1)", "x.sum(dim=-1)"],
        ),
        (
            "(x == y).mean()",
            {"x": (4,), "y": (4,)},
            "(x == y).mean() does not work here: x == y holds bool elements.",
            ["(x == y).float().mean()"],
        ),
        (
            "1 - (x > 0)",
            {"x": (4,)},
            "1 - (x > 0) subtracts with x > 0, a tensor of True and False; PyTorch refuses '-' there.",
            ["1 - (x > 0).float()"],
        ),
        (
            "torch.softmax(x)",
            {"x": (4, 3)},
            "torch.softmax(x) needs dim=: along which axis?",
            ["torch.softmax(x, dim=1)", "torch.softmax(x, dim=-1)"],
        ),
        (
            "x.mm(y)",
            {"x": (5, 2, 3), "y": (3, 4)},
            "mm takes two matrices: x is (5, 2, 3), y is (3, 4).",
            ["x.matmul(y)"],
        ),
    ],
)
def test_failures_say_why_and_what_instead(
    expression: str, shapes: dict[str, tuple[int, ...]], error: str | None, lines: list[str]
) -> None:
    found = explain(expression, **shapes)
    assert found.shape is None
    assert error is None or found.error == error
    assert [one.line for one in found.suggestions[: len(lines)]] == lines


@pytest.mark.parametrize(
    ("expression", "shape"),
    [
        ("x.sum((0, 0))", (2, 2)),
        ("x.sum(keepdim=True)", (2, 2)),
        ("x.norm(dim=(0, 1, 2))", (2, 2, 2)),
        ("x.amax()", (0, 2)),
        ("x.argmax() ** -1", (2,)),
        ("x.argmax() % 0", (2,)),
        ("(x > 0) % (x > 0)", (2,)),
        ("x.clamp()", (2,)),
        ("x.max(dim=0)[2]", (2, 2)),
        ("x.values", (2, 2)),
        ("x @ x.sum()", (2, 2)),
        ("x @ x.argmax(dim=1)", (2, 2)),
        ("x @ x[0].expand(5, 2, 3)", (4, 2, 3)),
        ("x.view(-2)", (2,)),
        ("x.view(-1, -1)", (2,)),
        ("x.view(0, -1)", (0, 2)),
        ("x.view(0, -1)", (2, 2)),
        ("x.view(3, -1)", (2, 2)),
        ("x.t()", (2, 2, 2)),
        ("x.mT", (2,)),
        ("x.permute(0)", (2, 2)),
        ("x.permute(0, 0)", (2, 2)),
        ("x.flatten(1, 0)", (2, 2)),
        ("x.expand(2)", (2, 2)),
        ("x.expand(-1, 2)", (2,)),
        ("x.expand(3)", (2,)),
        ("x[0, 0, 0]", (2, 2)),
        ("x[2]", (2, 2)),
        ("x.squeeze((0, 0))", (1, 1)),
        ("x.logsumexp()", (2, 2)),
        ("-(x > 0)", (2,)),
    ],
)
def test_each_refusal_is_pytorchs(expression: str, shape: tuple[int, ...]) -> None:
    found = explain(expression, x=shape)
    assert outcome(expression, {"x": shape}) is None
    assert found.error
    _check_shown(found)


@pytest.mark.parametrize(
    ("expression", "shape"),
    [
        ("torch.sum(input=x, dim=1)", (4,)),
        ("torch.matmul(x, other=x.T)", (4, 4)),
        ("torch.permute(x, (1, 0))", (3, 4)),
        ("x.view((3, 4))", (3, 4)),
        ("x.max(dim=1)[:]", (4,)),
        ("x.min(dim=0)[-1]", (3,)),
        ("x.norm(2, 1, True)", (4, 1)),
        ("x.sum(axis=1, keepdims=True)", (4, 1)),
        ("x ** 0.5 >= -1", (4, 3)),
    ],
)
def test_the_many_ways_to_write_it(expression: str, shape: tuple[int, ...]) -> None:
    assert outcome(expression, {"x": (4, 3)}) == shape
    assert explain(expression, x=(4, 3)).shape == shape


# --- traps: each fires where it should, and not beside it


@pytest.mark.parametrize(
    ("expression", "shapes", "first", "lines"),
    [
        (
            "x / x.sum(dim=1)",
            {"x": (64, 64)},
            "x / x.sum(dim=1) works only because",
            ["x / x.sum(dim=1, keepdim=True)", "x / x.sum(dim=1)[:, None]"],
        ),
        (
            "x - x.max(dim=1).values",
            {"x": (8, 8)},
            "x - x.max(dim=1).values works only because",
            ["x - x.max(dim=1, keepdim=True).values", "x - x.max(dim=1).values[:, None]"],
        ),
        ("a - b", {"a": (8, 8), "b": (8,)}, "a - b: a is square, so b fits both ways.", ["a - b[:, None]"]),
        ("b * a", {"a": (8, 8), "b": (8,)}, "b * a: a is square, so b fits both ways.", ["b[:, None] * a"]),
        ("a / b", {"a": (64, 10), "b": (10,)}, "a / b divides column j by number j of b,", []),
        (
            "x / x.sum(0)",
            {"x": (64, 10)},
            "x / x.sum(0) divides by sums over the 64",
            ["x / x.sum(1, keepdim=True)"],
        ),
        (
            "p - y",
            {"p": (64, 1), "y": (64,)},
            "p - y: both sides are stretched.",
            ["p.squeeze(1) - y", "p - y[:, None]"],
        ),
        (
            "y == p",
            {"p": (64, 1), "y": (64,)},
            "y == p compares each with each:",
            ["y == p.squeeze(1)", "y[:, None] == p"],
        ),
        ("x.softmax(dim=0)", {"x": (64, 10)}, "x.softmax(dim=0) normalises over the 64", ["x.softmax(dim=1)"]),
        ("F.softmax(x, 0)", {"x": (64, 10)}, "F.softmax(x, 0) normalises over the 64", ["F.softmax(x, 1)"]),
        *(
            (f"x - {written}", {"x": (64, 10)}, f"x - {written} normalises over the 64", [f"x - {better}"])
            for written, better in (
                ("x.logsumexp(dim=0)", "x.logsumexp(dim=1, keepdim=True)"),
                ("x.exp().sum(dim=0).log()", "x.exp().sum(dim=1, keepdim=True).log()"),
            )
        ),
        *(
            (expression, {"x": (64, 10)}, f"{expression} gives one answer for each of the 10", [better])
            for expression, better in (
                ("torch.max(x, 0)[1]", "torch.max(x, 1)[1]"),
                ("x.min(dim=-2).indices", "x.min(dim=1).indices"),
            )
        ),
        *(
            (expression, {"x": (4, 4)}, f"{expression} works only because the matrix is square:", lines)
            for expression, lines in (
                ("x * x.sum(1)[None, :]", ["x * x.sum(1)[:, None]", "x * x.sum(0)[None, :]"]),
                ("x.sum(1)[None, :] * x", ["x.sum(1)[:, None] * x", "x.sum(0)[None, :] * x"]),
            )
        ),
        ("F.softmax(x)", {"x": (64, 10)}, "F.softmax(x) does not say dim=: PyTorch", ["F.softmax(x, dim=-1)"]),
        (
            "F.log_softmax(x.softmax(1), dim=1)",
            {"x": (64, 10)},
            "F.log_softmax(x.softmax(1), dim=1) takes a softmax of x.softmax(1),",
            ["F.log_softmax(x, dim=1)"],
        ),
        ("x.softmax(1).softmax(1)", {"x": (6, 4)}, "x.softmax(1).softmax(1) takes a softmax", ["x.softmax(1)"]),
        ("a * b", {"a": (3, 3), "b": (3, 3)}, "a * b multiplies entry by entry.", ["a @ b"]),
        ("a @ b", {"a": (3, 3), "b": (3, 3)}, "a @ b is the matrix product.", ["a * b"]),
        (
            "torch.mean(y * p.log())",
            {"y": (64, 10), "p": (64, 10)},
            "torch.mean(y * p.log()) divides by all 640 entries, not by",
            ["torch.mean(torch.sum(y * p.log(), dim=1))"],
        ),
        ("x.view(10, 64)", {"x": (64, 10)}, "x.view(10, 64) does not transpose: the", ["x.T", "x.view(64, -1)"]),
        (
            "x.reshape(-1, 64)",
            {"x": (64, 10)},
            "x.reshape(-1, 64) does not transpose: the",
            ["x.T", "x.reshape(64, -1)"],
        ),
        ("x.T", {"x": (8, 4, 3)}, "x.T reverses all axes of (8, 4, 3), the", ["x.mT", "x.permute(2, 1, 0)"]),
        ("x.T", {"x": (8,)}, "x.T changes nothing: shape (8,) has no two", ["x[:, None]"]),
        ("x.mT", {"x": ()}, "x.mT changes nothing: shape () has no two", []),
    ],
)
def test_traps_are_noticed(expression: str, shapes: dict[str, tuple[int, ...]], first: str, lines: list[str]) -> None:
    found = explain(expression, **shapes)
    (warning,) = found.warnings
    assert " ".join(warning.split()).startswith(first)
    assert [one.line for one in found.suggestions] == lines
    assert found.text.count("watch out: ") == 1
    _check_shown(found)


@pytest.mark.parametrize(
    ("expression", "shapes"),
    [
        ("x / x.sum(dim=1, keepdim=True)", {"x": (64, 64)}),
        ("x - x.mean(dim=0)", {"x": (64, 64)}),
        ("x + b", {"x": (64, 10), "b": (10,)}),
        ("(x - x.mean(dim=0)) / x.std(dim=0)", {"x": (64, 10)}),
        ("a * b", {"a": (64, 1), "b": (1, 64)}),
        ("a * b", {"a": (64, 10), "b": (64, 10)}),
        ("x @ w + b", {"x": (64, 784), "w": (784, 10), "b": (10,)}),
        ("x.softmax(dim=1)", {"x": (64, 10)}),
        ("x.softmax(dim=0)", {"x": (10,)}),
        ("F.log_softmax(x, dim=1).exp().sum(dim=1)", {"x": (64, 10)}),
        ("(x.argmax(dim=1) == y).float().mean()", {"x": (64, 10), "y": (64,)}),
        ("x.view(64, -1)", {"x": (64, 1, 28, 28)}),
        ("x.T", {"x": (64, 10)}),
        ("x.mean(dim=0)", {"x": (64, 10)}),
        ("x.max(dim=0).values", {"x": (64, 10)}),
        ("x - x.exp().sum(dim=1, keepdim=True).log()", {"x": (64, 10)}),
        ("x - w.logsumexp(dim=0)", {"x": (64, 10), "w": (64, 10)}),
        ("x.sum(1)[:, None] * x", {"x": (4, 4)}),
        ("a / 2", {"a": (64, 10)}),
    ],
)
def test_what_is_right_is_not_warned_of(expression: str, shapes: dict[str, tuple[int, ...]]) -> None:
    found = explain(expression, **shapes)
    assert found.shape is not None
    assert found.warnings == ()


# --- wrong usage


def test_a_missing_shape_names_its_neighbour() -> None:
    with pytest.raises(UsageError) as caught:
        explain("logits / b", logit=(2,), b=(2,))
    assert str(caught.value) == (
        "A tensor has no shape [explain-shape-missing]\n"
        "  expected: a shape for each name of the expression\n"
        "  got: none for logits\n"
        "  try: did you mean logit?\n"
        "A shape belongs to no tensor of the expression [explain-shape-unused]\n"
        "  expected: shapes for logits, b\n"
        "  got: one for logit\n"
        "  try: take the shape of logit away, or use logit in the expression"
    )
    with pytest.raises(UsageError) as caught:
        explain("a")
    assert caught.value.try_ == "add its shape: a=(64, 10), on the command line --shape a=64,10"


def test_an_unknown_function_names_its_neighbour() -> None:
    with pytest.raises(UsageError) as caught:
        explain("x.sofmax(dim=1)", x=(2, 2))
    assert str(caught.value) == (
        "sumtoone does not explain this function [explain-function]\n"
        "  expected: reductions, softmax, losses, elementwise functions, views, products, dense layers\n"
        "  got: x.sofmax\n"
        "  try: did you mean softmax?"
    )


@pytest.mark.parametrize("shape", [5, "64", (2.0,), (-1,), (True,), (10**6 + 1,), (1,) * 9, None, {2: 3}])
def test_what_is_no_shape_is_refused(shape: object) -> None:
    with pytest.raises(UsageError) as caught:
        explain("a", a=shape)  # type: ignore[arg-type]
    assert caught.value.code == "explain-shape-value"
    assert caught.value.got == f"a={shape!r}"


def test_sizes_have_a_limit() -> None:
    with pytest.raises(UsageError) as caught:
        explain("a * b * c", a=(10**6, 1, 1), b=(10**6, 1), c=(10**6,))
    assert (caught.value.code, caught.value.expected) == ("explain-limit", "at most 1,000,000,000,000,000 elements")
    with pytest.raises(UsageError) as caught:
        explain("a[None]", a=(1,) * 8)
    assert (caught.value.code, caught.value.expected) == ("explain-limit", "at most 8 axes")


def test_an_expression_is_a_string() -> None:
    with pytest.raises(UsageError) as caught:
        explain(3)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.got) == ("argument-type", "int")
    for nothing in ("nn.Linear(2, 3)", "import torch", "# nothing"):
        with pytest.raises(UsageError) as caught:
            explain(nothing)
        assert caught.value.code == "explain-no-tensor"


def test_the_largest_shapes_and_longest_names_fit() -> None:
    name = "로짓" * 20
    shapes = {name: (10**6, *(1,) * 6, 10**6), "b": (10**6, 7)}
    for language in ("en", "ko"):
        with speaking(language):
            _check_lines(explain(f"{name} + b", **{name: (10**6, 1, 1, 1, 1, 1, 1, 10**6), "b": (10**6,)}))
            _check_lines(explain(f"{name} / b", **shapes))


# --- pieces


def test_wide_letters_take_two_cells() -> None:
    for words in ("모양 (64, 10)", "a←b→c…", "é", "e\u0301", "漢字"):
        assert cells(words) == cell_len(words)
    assert cut("모양이", 5) == "모양…"
    assert cut("모양", 4) == "모양"


@given(st.text(alphabet="ab 모양", max_size=300), st.sampled_from(["", "  ", "주의: "]))
@settings(deadline=None)
def test_wrapped_lines_fit_and_lose_nothing(sentence: str, first: str) -> None:
    lines = wrapped(sentence, first, "  ")
    assert max(map(cell_len, lines)) <= 80
    assert "".join("".join(lines).split()) == "".join((first + sentence).split())


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, sumtoone; sumtoone.explain('a', a=()); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_functions_of_other_modules_are_named_as_what_they_are() -> None:
    with pytest.raises(UsageError) as caught:
        explain("math.exp(x)", x=(64, 10))
    assert (caught.value.code, caught.value.message) == ("explain-module", "The functions of math are not explained")
