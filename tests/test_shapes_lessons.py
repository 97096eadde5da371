"""The lesson's own lines are explained: as PyTorch runs them, with the mistakes named and the right ones confirmed."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from broken import Broken, broken
from lessons import REFUSALS, outcome, random_lines, value_of
from sumtoone.errors import SeveralErrors, UsageError
from sumtoone.language import speaking
from sumtoone.language.lines import cells
from sumtoone.shapes import Explanation, explain

LINES = [
    tuple(part.strip() for part in line.split(" | ", 1)[:1] + line.split(" | ", 1)[1].rsplit(" | ", 1))
    for line in (Path(__file__).parent / "lesson_lines.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def _check_lines(found: Explanation) -> None:
    for line in found.text.split("\n"):
        assert cells(line) <= 80, line
        assert line == line.rstrip()


# --- laws, held against PyTorch on real tensors


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.no_cover) for seed in range(1, 4))])
def test_every_line_ends_as_in_pytorch(seed: int) -> None:
    """4 times 1,500 programs: the shape, or that there is none; and every suggestion works."""
    dice = random.Random(seed)
    worked = failed = refused = 0
    for _ in range(1_500):
        lines, shapes = random_lines(dice)
        names = {name: torch.ones(shape) for name, shape in shapes.items()}
        try:
            found = explain(lines, **names)
        except UsageError as error:
            # Whether a view works on what PyTorch laid out, and x.view(*c.shape) of a c without axes.
            assert error.code in ("explain-layout", "explain-argument"), lines
            refused += 1
            continue
        expected = outcome(lines, shapes)
        assert found.shape == expected, (lines, shapes, found.error)
        worked, failed = worked + (expected is not None), failed + (expected is None)
        _check_lines(found)
        if (worked + failed) % 5 == 0:
            with speaking("ko"):
                korean = explain(lines, **names)
            assert (korean.shape, korean.suggestions) == (found.shape, found.suggestions)
            _check_lines(korean)
    assert worked > 450
    assert failed > 800
    assert refused < 10


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.no_cover)])
def test_a_program_broken_in_one_place_is_mended(seed: int) -> None:
    """The mistake is named in 97 of 100, and the first suggestion gives the right program's values in 95."""
    dice = random.Random(seed)
    count = named = mended = 0
    while count < 300:
        case = broken(dice)
        names = _tensors(case)
        right = _run(case.right, names)
        if case.how != "wrong_bias" and _same(_run(case.wrong, names), right):
            continue  # no mistake: both ways come to the same
        given = case.wrong_shapes if case.how == "wrong_bias" else names
        found = explain(case.wrong, **given)
        count += 1
        named += found.error is not None or bool(found.warnings)
        mended += bool(found.suggestions) and _mends(case, found, names, right)
    assert named >= 0.97 * count
    assert mended >= 0.95 * count


def _tensors(case: Broken) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for name, shape in case.shapes.items():
        counted = any(word in case.right for word in ("argmax", "cross_entropy", "nll_loss", "arange"))
        if name in ("y", "labels", "t") and len(shape) == 1 and counted:
            tensors[name] = torch.randint(0, 3, shape, generator=generator)
        else:
            tensors[name] = torch.rand(shape, generator=generator) + 0.1
    return tensors


def _run(lines: str, names: dict[str, torch.Tensor]) -> torch.Tensor | None:
    torch.manual_seed(0)
    try:
        value = value_of(lines, names)
    except REFUSALS:
        return None
    return value if isinstance(value, torch.Tensor) else None


def _same(left: torch.Tensor | None, right: torch.Tensor | None) -> bool:
    return left is not None and right is not None and left.shape == right.shape and torch.allclose(left, right)


def _mends(case: Broken, found: Explanation, names: dict[str, torch.Tensor], right: torch.Tensor | None) -> bool:
    first = found.suggestions[0]
    if case.how == "wrong_bias":
        (name,) = [one for one in case.shapes if case.shapes[one] != case.wrong_shapes[one]]
        return first.shape == case.shapes[name] and first.line.startswith(f"{name} = ")
    return _same(_run(_with_line(case.wrong, first.line), names), right)


def _with_line(program: str, line: str) -> str:
    """Return a program with a line in the place of the one that gives the same name its value."""
    body, (new,) = ast.parse(program).body, ast.parse(line).body
    for place, old in enumerate(body):
        if ast.unparse(old).partition(" = ")[0] == line.partition(" = ")[0] or place == len(body) - 1:
            return "\n".join(ast.unparse(one) for one in [*body[:place], new, *body[place + 1 :]])
    raise AssertionError(program)


# --- the lines that learners type, each with its verdict


def _verdict(found: Explanation) -> str:
    if found.error is not None:
        return f"> {found.suggestions[0].line}" if found.suggestions else f"x {found.error}"
    if found.warnings:
        assert len(found.warnings) == 1  # one cause, one warning
        return f"! {found.suggestions[0].line}" if found.suggestions else "!"
    return f"{'+' if found.confirmed else '='} {found.shape}"


@pytest.mark.parametrize(("given", "lines", "verdict"), LINES, ids=[line for _, line, _ in LINES])
def test_each_line_gets_its_verdict(given: str, lines: str, verdict: str) -> None:
    shapes = {
        name: tuple(map(int, sizes.split(","))) for name, _, sizes in (one.partition("=") for one in given.split())
    }
    if verdict.startswith("?"):
        with pytest.raises(UsageError) as caught:
            explain(lines, **shapes)
        assert f"? {caught.value.code}" == verdict
        return
    found = explain(lines, **shapes)
    shown = _verdict(found)
    assert shown.startswith(verdict) if verdict.startswith("x") else shown == verdict
    _check_lines(found)
    elsewhere = any(word in lines for word in ("np.", "s1.", "device", "cuda", "with", "print"))
    if not elsewhere and not {"y", "mask"} & set(shapes):
        assert found.shape == outcome(lines.removeprefix("return "), shapes)


def test_the_table_is_large_enough() -> None:
    assert len(LINES) >= 300
    assert len({lines for _, lines, _ in LINES}) > 290


# --- whole texts


def test_a_right_softmax_is_confirmed() -> None:
    found = explain("torch.exp(x) / torch.sum(torch.exp(x), dim=1).view(-1, 1)", x=(64, 10))
    assert found.confirmed == "each of the 64 rows sums to one: torch.exp(x) is divided by its own sum along the row."
    assert found.text.endswith(
        "result: (64, 10)\n"
        "\n"
        "right: each of the 64 rows sums to one: torch.exp(x) is divided by its own sum\n"
        "  along the row."
    )


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("F.softmax(x, dim=1)", "each of the 64 rows sums to one: the softmax goes along the row."),
        (
            "F.log_softmax(x, dim=1)",
            "these are logarithms of probabilities: after exp, each of the 64 rows sums to one.",
        ),
        ("x.argmax(dim=1)", "one prediction for each of the 64 rows: the place of the largest number in the row."),
        (
            "(x.argmax(dim=1) == y).float().mean()",
            "the accuracy: the share of the 64 rows where both sides agree.",
        ),
        ("F.cross_entropy(x, y)", "one number: the mean loss of the 64 rows."),
    ],
)
def test_what_is_right_says_how_that_is_known(lines: str, words: str) -> None:
    shapes = {"x": (64, 10), **({"y": (64,)} if "y" in lines.replace("entropy", "") else {})}
    assert explain(lines, **shapes).confirmed == words


def test_several_lines_are_shown_whole() -> None:
    found = explain("w = torch.randn(784, 256); b = torch.randn(64)\nh = x @ w + b", x=(64, 784))
    assert found.text == (
        "w = torch.randn(784, 256)\n"
        "b = torch.randn(64)\n"
        "h = x @ w + b\n"
        "  x (64, 784)\n"
        "\n"
        " 1. torch.randn(784, 256)\n"
        "     (784, 256)\n"
        "\n"
        " 2. torch.randn(64)\n"
        "     (64,)\n"
        "\n"
        " 3. x @ w\n"
        "     (64, 784), (784, 256) → (64, 256)\n"
        "     the inner axes of size 784 are multiplied and summed away\n"
        "\n"
        " 4. x @ w + b\n"
        "     x @ w  64  256\n"
        "     b           64\n"
        "                  ^ 256 meets 64: neither is 1\n"
        "\n"
        "this fails: b has the shape (64,), but there are 256 outputs: a bias has one\n"
        "  number for each output, so its shape is (256,).\n"
        "  write instead:\n"
        "    b = torch.randn(256)  # (256,)"
    )


def test_a_step_that_stands_twice_is_shown_once() -> None:
    text = explain("torch.exp(x) / torch.exp(x).sum(dim=1, keepdim=True)", x=(64, 10)).text
    assert [line for line in text.split("\n") if line[:4].strip().rstrip(".").isdigit()] == [
        " 1. torch.exp(x)",
        " 2. torch.exp(x).sum(dim=1, keepdim=True)",
        " 3. torch.exp(x) / torch.exp(x).sum(dim=1, keepdim=True)",
    ]


def test_the_search_for_advice_has_an_end() -> None:
    """Three faults in the last of many lines, of which two at most are cured together."""
    lines = ["h = x", *["h = (h - h.mean(dim=1, keepdim=True)).T.T.unsqueeze(0)[0].softmax(dim=1)"] * 28]
    found = explain("\n".join([*lines, "(h - h.mean(1)) / h.std(1) / h.sum(1)"]), x=(64, 10))
    assert found.error is not None
    assert found.error.startswith("h (64, 10) and h.mean(1) (64,) do not broadcast.")


def test_a_mask_and_a_number_say_what_they_are() -> None:
    assert (
        "     a mask keeps the entries where it is True: how many depends on its values;\n"
        "     followed here as if all 64 were\n" in explain("x[mask]", x=(64, 10), mask=(64,)).text
    )
    assert explain("x.shape", x=(64, 10)).text.endswith("result: (64, 10), the sizes of a tensor")
    assert explain("x.shape[0] * 2", x=(64, 10)).text.endswith("result: 128, not a tensor")
    assert explain("x.mean().item()", x=(64, 10)).text.endswith("result: a number, not a tensor")


def test_the_places_of_the_largest_are_known_by_the_name_that_they_are_given() -> None:
    for line, better in (
        ("_, pred = torch.max(x, 0)", "_, pred = torch.max(x, 1)"),
        ("values, pred = x.min(dim=0)", "values, pred = x.min(dim=1)"),
        ("best = x.max(dim=0)\n_, pred = best", "best = x.max(dim=1)"),
    ):
        found = explain(line, x=(64, 10))
        (warning,) = found.warnings
        assert "gives one answer for each of the 10 columns" in " ".join(warning.split())
        assert [one.line for one in found.suggestions] == [better]
    for line in ("most, _ = x.max(dim=0)", "values, pred = x.max(dim=1)", "best = x.max(dim=0)\nbest.values"):
        assert explain(line, x=(64, 10)).warnings == ()
    found = explain("most, _ = x.max(dim=0)\nx - most", x=(64, 10))
    assert [one.line for one in found.suggestions] == ["most, _ = x.max(dim=1, keepdim=True)"]


def test_a_long_suggestion_is_broken() -> None:
    layers = ", ".join(["nn.Linear(784, 784)", "nn.ReLU()"] * 3)
    found = explain(f"nn.Sequential({layers}, nn.Linear(64, 10))(x)", x=(64, 784))
    assert found.suggestions[0].line == f"nn.Sequential({layers}, nn.Linear(784, 10))(x)"
    assert "    nn.Sequential(nn.Linear(784, 784), nn.ReLU(), nn.Linear(784, 784),\n        nn.ReLU()," in found.text
    _check_lines(found)


# --- tensors, arrays and layers as they stand in a notebook


def test_tensors_and_arrays_give_their_shape_and_kind() -> None:
    exponentials = torch.rand(64, 10)
    found = explain("e / e.sum(dim=1)", e=exponentials)
    assert (found.shape, found.suggestions[0].line) == (None, "e / e.sum(dim=1, keepdim=True)")
    assert found == explain("e / e.sum(dim=1)", e=(64, 10))
    assert explain("x @ y", x=torch.ones(2, 3), y=torch.ones(3, 2, dtype=torch.float64)).error == (
        "x @ y multiplies float by float64; a matrix product takes two floats or two integers."
    )
    assert explain("(x == y).sum()", x=np.ones(3), y=np.arange(3)).shape == ()
    assert explain("y.mean()", y=torch.arange(3)).suggestions[0].line == "y.float().mean()"
    assert explain("x[keep]", x=torch.ones(4, 3), keep=torch.ones(4, 3, dtype=torch.bool)).shape == (12,)
    assert explain("x[keep]", x=torch.ones(4, 3), keep=torch.ones(2, 3, dtype=torch.long)).shape == (2, 3, 3)


def test_layers_of_a_notebook_are_followed() -> None:
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(dim=1))
    found = explain("net(images)", net=net, images=torch.ones(64, 784))
    assert (
        found.error
        == "nn.Linear(64, 10) takes 64 numbers for each row, but receives 128: nn.ReLU() has the shape (64, 128)."
    )
    assert found.shapes == {"images": (64, 784)}
    assert explain("layer(x)", layer=nn.Linear(3, 2), x=(5, 3)).shape == (5, 2)
    assert explain("loss(x, y)", loss=nn.CrossEntropyLoss(), x=(5, 3), y=(5,)).shape == ()
    assert explain("layer(x)", layer=nn.Softmax(dim=None), x=(5, 3)).warnings
    for own in (_Own(), nn.Conv2d(1, 2, 3), nn.Sequential(_Own())):
        with pytest.raises(UsageError) as caught:
            explain("net(x)", net=own, x=(5, 3))
        assert (caught.value.code, caught.value.got) == (
            "explain-own-module",
            "Conv2d" if isinstance(own, nn.Conv2d) else "_Own",
        )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Flatten(),
        nn.Flatten(2),
        nn.Flatten(0, 1),
        nn.Linear(5, 2, bias=False),
        nn.Linear(5, 2, dtype=torch.float64),
        nn.Sequential(nn.Linear(5, 2), nn.Flatten(0)),
        nn.Softmax(dim=-1),
        nn.Dropout(0.1),
    ],
    ids=str,
)
def test_a_given_layer_keeps_its_arguments(layer: nn.Module) -> None:
    for x in (torch.ones(2, 3, 4, 5), torch.ones(2, 3, 4, 5, dtype=torch.float64)):
        try:
            expected: tuple[int, ...] | None = tuple(layer(x).shape)
        except RuntimeError:
            expected = None
        assert explain("layer(x)", layer=layer, x=x).shape == expected


@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss, nn.MSELoss])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_given_loss_keeps_its_reduction(kind: type[nn.Module], reduction: str) -> None:
    x = torch.ones(5, 3)
    y = x if kind is nn.MSELoss else torch.ones(5, dtype=torch.long)
    found = explain("loss(x, y)", loss=kind(reduction=reduction), x=x, y=y)
    assert found.shape == tuple(kind(reduction=reduction)(x, y).shape)
    assert found.confirmed is None or reduction == "mean"


def test_a_layer_of_half_precision_is_not_followed() -> None:
    with pytest.raises(UsageError) as caught:
        explain("layer(x)", layer=nn.Linear(3, 2, dtype=torch.float16), x=(5, 3))
    assert (caught.value.code, caught.value.got) == ("explain-argument", "nn.Linear(3, 2, dtype=torch.float16)")


@pytest.mark.parametrize("x", [torch.ones(2, dtype=torch.uint8), torch.ones(2).half(), np.ones(2, dtype=np.int32)])
def test_a_tensor_of_another_type_is_not_taken_for_one_that_is_known(x: object) -> None:
    with pytest.raises(UsageError) as caught:
        explain("x.mean()", x=x)
    assert caught.value.code == "explain-shape-value"
    assert caught.value.got == f"x={x.dtype!r}"  # type: ignore[attr-defined]
    assert caught.value.expected.endswith(", or a tensor of float32, float64, int64 or bool")


def test_products_of_arrays_promote_as_numpy_has_them() -> None:
    x, y, mask = np.ones((2, 3)), np.ones((3, 2), dtype=np.int64), np.ones((3, 3), dtype=bool)
    assert explain("x @ y", x=x, y=y).shape == (x @ y).shape
    assert explain("np.matmul(x, y)", x=x, y=y).shape == np.matmul(x, y).shape
    assert explain("(mask @ mask).mean() - mask.mean()", mask=mask).shape == ()
    assert explain("y.mean(axis=1)", y=y).shape == y.mean(axis=1).shape
    assert explain("x.max(axis=1) / 2", x=x).shape == (2,)
    found = explain("x @ y + y", x=x, y=y)
    assert found.error is not None
    assert "multiplies" not in str(found)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("x.to(torch.float16)", None),
        ("x.to('cuda', dtype=torch.uint8)", None),
        ("x.type(torch.FloatTensor)", None),
        ("x.type('torch.LongTensor')", None),
        ("x.astype('float32')", None),
        ("x.astype(np.uint8)", None),
        ("x.to(y)", None),
        ("nn.Linear(3, 3, dtype=torch.half)(x)", None),
        ("x.to(torch.float64)", "float64"),
        ("x.to('cuda').to(torch.device_of_mine)", None),
        ("x.to(self.device, torch.int64)", "int64"),
        ("x.to(device)", "float"),
        ("x.type(torch.bool)", "bool"),
    ],
)
def test_a_type_is_one_that_is_known_or_refused(line: str, kind: str | None) -> None:
    try:
        found = explain(f"y + 1\n{line} @ z", x=torch.ones(3, 3), y=(3,), z=torch.ones(3, 3))
    except UsageError as error:
        assert (error.code, kind) == ("explain-argument", None)
    else:
        expected = "multiplies {kind} by float;" if kind != "float" else None
        assert found.error is None if expected is None else expected.format(kind=kind) in str(found.error)
        assert kind is not None


def test_numpy_reads_pythons_types() -> None:
    assert explain("x.astype(float) + np.ones(3)", x=(3,)).shape == (3,)
    assert explain("x[y.astype(int)]", x=np.ones((5, 2)), y=np.ones(3)).shape == (3, 2)
    assert explain("x[y.astype(bool)]", x=np.ones((3, 2)), y=np.ones(3)).shape == (3, 2)


class _Own(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_what_is_no_tensor_is_named_as_what_it_is() -> None:
    x = (64, 10)
    assert explain("x.shape.sum()", x=x).error == "x.shape.sum() needs a tensor, but x.shape is the sizes of a tensor."
    assert explain("x.shape[0].sum()", x=x).error == (
        "x.shape[0].sum() needs a tensor, but x.shape[0] is a number of Python."
    )
    assert explain("f = nn.ReLU(); f + x", x=x).error == "f + x needs a tensor, but f is a layer."
    assert explain("x(x)", x=x).error == "x(x) calls x as a layer, but it is a tensor."
    assert explain("x.sum().item() @ x", x=x).error is not None
    with pytest.raises(UsageError) as caught:
        explain("(x > 0) and x", x=x)
    assert str(caught.value) == (
        "The expression holds and, or, not, which sumtoone does not explain [explain-piece]\n"
        "  expected: names, numbers, operators, methods, functions of torch, F, nn, np and s1, "
        "an index, an assignment\n"
        "  got: 'x > 0 and x' in line 1 at character 1\n"
        "  try: give the piece a name and its shape, and explain the rest"
    )
    with pytest.raises(UsageError) as caught:
        explain("x = 1\nsoftmax(x)")
    assert str(caught.value) == (
        "A function of your own is not explained [explain-own-function]\n"
        "  expected: functions of torch, F, np and s1, and methods of tensors\n"
        "  got: softmax\n"
        "  try: write its expression in its place, or a function such as torch.softmax(…)"
    )
    with pytest.raises(SeveralErrors):
        explain("x + y")


@pytest.mark.parametrize(
    ("lines", "shapes", "expected"),
    [
        ("torch.tensor([1, 2])[0]", {}, ()),
        ("torch.tensor([[True, False]]) & torch.tensor([True, False])", {}, (1, 2)),
        ("torch.tensor(3.0) * x", {"x": (2,)}, (2,)),
        ("torch.randperm(5)", {}, (5,)),
        ("torch.eye(3)", {}, (3, 3)),
        ("torch.eye(3, 4)", {}, (3, 4)),
        ("torch.zeros(2, -3)", {}, "torch.zeros(2, -3) asks for a negative size."),
        ("torch.arange(0, 10, 2)", {}, (5,)),
        ("torch.cat([x.sum(), x])", {"x": (2,)}, "torch.cat([x.sum(), x]): a tensor without axes cannot be put behind"),
        ("torch.cat([x[:0], x[:0]])", {"x": (2,)}, (0,)),
        ("torch.where(x.float(), x, 0)", {"x": (2,)}, "torch.where(x.float(), x, 0) does not work here: x.float()"),
        ("torch.where(x > 0, x, y)", {"x": (2,), "y": (3,)}, "torch.where(x > 0, x, y): y (3,) does not broadcast"),
        (
            "x.gather(0, x.float())",
            {"x": (2,)},
            "x.gather(0, x.float()): labels are whole numbers (int64), but x.float()",
        ),
        ("x @ y.bool()", {"x": (2,), "y": (2,)}, "x @ y.bool() multiplies float by bool;"),
        ("F.linear(x, w)", {"x": (2, 3), "w": (2, 3, 4)}, "F.linear takes weights of two axes, (outputs, inputs)"),
        ("F.linear(x.long(), w)", {"x": (2, 3), "w": (4, 3)}, "F.linear(x.long(), w) multiplies int64 by float;"),
        (
            "F.linear(x, w, b.long())",
            {"x": (2, 3), "w": (4, 3), "b": (4,)},
            "F.linear(x, w, b.long()) multiplies float",
        ),
        ("F.linear(x, w, b)", {"x": (2, 3), "w": (3,), "b": (1,)}, UsageError),
        (
            "F.cross_entropy(x[:, :0], y)",
            {"x": (2, 3), "y": (2,)},
            "F.cross_entropy(x[:, :0], y) looks for one element",
        ),
        ("torch.einsum('ij,ij->ij', x > 0, x)", {"x": (2, 3)}, (2, 3)),
        ("nn.Linear(3, 4)(x.double())", {"x": (2, 3)}, "nn.Linear(3, 4) multiplies float64 by float;"),
        ("nn.Linear(3, 4)(x.long())", {"x": (2, 3)}, "nn.Linear(3, 4) does not work here: x.long() holds int64"),
        ("torch.einsum('ij,jk->ik', x, x.long())", {"x": (3, 3)}, "torch.einsum('ij,jk->ik', x, x.long()) multiplies"),
        ("torch.einsum('ij,jk', x, x)", {"x": (3, 3)}, (3, 3)),
        ("len(x.sum())", {"x": (3,)}, "len(x.sum()): a tensor without axes has no length."),
        ("x.view(len(x.shape), -1)", {"x": (2, 3)}, (2, 3)),
        ("x.view(x.shape[:])", {"x": (2, 3)}, (2, 3)),
        ("x.view(-x.shape[0] + 4, x.ndim + 1)", {"x": (2, 3)}, (2, 3)),
        ("x / 2 ** 0.5 / x.shape[1] ** 0.5", {"x": (2, 3)}, (2, 3)),
        ("x / (7 % 4 // 2 * +1)", {"x": (2, 3)}, (2, 3)),
        ("x & y", {"x": (2,), "y": (2,)}, (2,)),
        ("x.float() & (x > 0)", {"x": (2,)}, "x.float() & (x > 0) does not work here: x.float() holds float"),
        ("~x", {"x": (2,)}, (2,)),
        ("~x.float()", {"x": (2,)}, "~x.float() does not work here: x.float() holds float elements."),
        ("(x > 0) | x.long()", {"x": (2,)}, (2,)),
        ("(x > 0).square()", {"x": (2,)}, (2,)),
        ("torch.maximum(x, 2)", {"x": (2,)}, "torch.maximum(x, 2) takes two tensors; a number is none."),
        ("x.sum().item().exp()", {"x": (2,)}, "x.sum().item().exp() needs a tensor, but x.sum().item() is a number"),
        ("x.item()", {"x": (2,)}, "x.item() takes the only number out of a tensor, but shape (2,) has 2."),
        ("x.double().sum().item() * x", {"x": (2,)}, (2,)),
        ("x.double().exp() + x", {"x": (2,)}, (2,)),
        ("x.double().sum() + x", {"x": (2,)}, (2,)),
        ("x.sort()", {"x": (2,)}, UsageError),
        ("np.max(x, axis=1) + np.any(x, axis=1)", {"x": (3, 2)}, (3,)),
        ("np.concatenate([x, x], axis=1)", {"x": (3, 2)}, (3, 4)),
        ("np.random.randn(3, 2)", {}, (3, 2)),
        ("x[[0, 5]]", {"x": (3, 2)}, "x[[0, 5]]: place 5 is outside axis 0 of size 3."),
        ("x[:, [1, -2]]", {"x": (3, 2)}, (3, 2)),
        ("x[x.sum() > 0]", {"x": (3, 2)}, (1, 3, 2)),
        ("a, b = x; a - b", {"x": (2, 3)}, (3,)),
        ("a, b = x", {"x": (3, 2)}, "x gives 3 values, but the names are a, b."),
        ("a: torch.Tensor = x; a.t()", {"x": (3, 2)}, (2, 3)),
        ("x *= 2", {"x": (3, 2)}, (3, 2)),
        (
            "n = x.long()\nn += 0.5",
            {"x": (3,)},
            "n + 0.5 changes n in place, so the result has to stay int64; it would",
        ),
        ("n = x.long()\nn /= 2", {"x": (3,)}, "n / 2 changes n in place, so the result has to stay int64; it would be"),
        ("n = x > 0\nn &= x.long()", {"x": (3,)}, "n & x.long() changes n in place, so the result has to stay bool;"),
        ("n = torch.zeros(3, dtype=torch.long)\nn += x", {"x": (3,)}, (3,)),
        ("m += x.double()\nm @ w.float()", {"x": (3,), "m": (3,), "w": (3,)}, ()),
        ("m = m.float()\nm += x.double()\nm @ w", {"x": (3,), "m": (3,), "w": (3,)}, ()),
        ("total = 0\ntotal += x", {"x": (3,)}, (3,)),
        ("mask &= x > 0\nx[mask]", {"x": (3, 2), "mask": (3, 2)}, (6,)),
        ("torch.sum(input=x, dim=None)", {"x": (3, 2)}, ()),
        ("x.type(torch.long).to(torch.bool).cuda()", {"x": (3, 2)}, (3, 2)),
        ("F.linear(x, w, bias=None)", {"x": (2, 3), "w": (4, 3)}, (2, 4)),
        (
            "nn.Linear(in_features=4, out_features=2)(x)",
            {"x": (2, 3)},
            "nn.Linear(in_features=4, out_features=2) takes 4",
        ),
        ("nn.Sequential(nn.Sequential(nn.Linear(3, 2)), nn.Identity())(x)", {"x": (2, 3)}, (2, 2)),
        ("1 - F.mse_loss(x > 0, x)", {"x": (2, 3)}, ()),
        ("nn.MSELoss()(x, x)", {"x": (2, 3)}, ()),
        ("F.mse_loss(x.long(), x.long())", {"x": (2, 3)}, "F.mse_loss(x.long(), x.long()) does not work here"),
        ("F.cross_entropy(x.long(), y)", {"x": (2, 3), "y": (2,)}, "F.cross_entropy(x.long(), y) does not work here"),
        ("F.cross_entropy(x, y.T)", {"x": (4, 3), "y": (3, 4)}, ()),
        ("x.exp()\nx = x.view(3, 3)", {"x": (2, 3)}, "x.view(3, 3) needs 9 elements, but shape (2, 3) has 6."),
        ("-x.sum(dim=0).log().sum().mean()", {"x": (2, 3)}, ()),
        ("(x - y.logsumexp(dim=1, keepdim=True)).exp()", {"x": (2, 3), "y": (2, 3)}, (2, 3)),
        ("x.exp() / (x + 1).sum(dim=1, keepdim=True)", {"x": (2, 3)}, (2, 3)),
        ("x.T.log_softmax(0).exp()", {"x": (2, 3)}, (3, 2)),
    ],
)
def test_the_corners_of_each_operation(
    lines: str, shapes: dict[str, tuple[int, ...]], expected: tuple[int, ...] | str | type[UsageError]
) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            explain(lines, **shapes)
    elif isinstance(expected, tuple):
        assert explain(lines, **shapes).shape == expected
    else:
        found = explain(lines, **shapes)
        assert found.error is not None
        assert found.error.startswith(expected)
