"""softmax and its kin against PyTorch, against 200-bit arithmetic, and against their own laws."""

from __future__ import annotations

import doctest
import itertools
import math
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import mpmath
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy as torch_cross_entropy

from sumtoone import DtypeError, SeveralErrors, ShapeError, SumtooneError, UsageError, functional
from sumtoone.functional import cross_entropy, log_softmax, relu, sigmoid, softmax, tanh
from sumtoone.language import speaking

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ALONG = {"softmax": (softmax, torch.softmax), "log_softmax": (log_softmax, torch.log_softmax)}
ELEMENTWISE = {"sigmoid": (sigmoid, torch.sigmoid), "tanh": (tanh, torch.tanh), "relu": (relu, torch.relu)}
REDUCTIONS = ("mean", "sum", "none")
NAN, INF = math.nan, math.inf


def same(ours: Tensor, theirs: Tensor, ulps: float = 4) -> None:
    """Same dtype and shape, the same NaN and infinities, and numbers a few units of the last place apart."""
    tolerance = ulps * torch.finfo(theirs.dtype).eps
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True, check_stride=False)


def rows(scale: float = 5.0, *, count: int = 7, classes: int = 10, dtype: torch.dtype = torch.float32) -> Tensor:
    return (torch.randn(count, classes, generator=torch.Generator().manual_seed(3)) * scale).to(dtype)


def labels(count: int = 7, classes: int = 10) -> Tensor:
    return torch.randint(classes, (count,), generator=torch.Generator().manual_seed(4))


def test_the_examples_in_the_docstrings_run() -> None:
    result = doctest.testmod(functional)
    assert result.attempted > 15
    assert result.failed == 0


# --- against PyTorch


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (2, 3, 4), (2, 1, 3, 2), (0,), (0, 3), (3, 0), (2, 0, 3)])
def test_along_every_dimension_of_every_shape(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    ours, theirs = ALONG[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype) * 4
    for dim in range(-max(len(shape), 1), max(len(shape), 1)):
        same(ours(x, dim), theirs(x, dim))
        same(ours(x, dim=dim), theirs(x, dim=dim))
        with torch.no_grad():  # computed in place
            before = x.clone()
            assert torch.equal(ours(x, dim), ours(x.requires_grad_(), dim))
            assert torch.equal(x, before)
        x = x.detach()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0, 3)])
def test_elementwise_as_pytorch(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    ours, theirs = ELEMENTWISE[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype) * 4
    same(ours(x), theirs(x), ulps=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0, 0.0, 0.1, 1.0, 1])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_as_pytorch(reduction: str, smoothing: float, dtype: torch.dtype) -> None:
    for logits, target in ((rows(dtype=dtype), labels()), (rows(dtype=dtype)[0], labels()[0])):
        ours = cross_entropy(logits, target, reduction=reduction, label_smoothing=smoothing)
        # PyTorch rounds half types between its steps: held against float32, rounded once.
        wide = logits if dtype == torch.float64 else logits.float()
        same(ours, torch_cross_entropy(wide, target, reduction=reduction, label_smoothing=smoothing).to(dtype), ulps=8)
        assert ours.shape == torch_cross_entropy(logits, target, reduction=reduction).shape


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(0, 3), (0, 0)])
def test_cross_entropy_of_no_rows(shape: tuple[int, int], reduction: str) -> None:
    logits, target = torch.zeros(shape), torch.zeros(0, dtype=torch.long)
    same(cross_entropy(logits, target, reduction=reduction), torch_cross_entropy(logits, target, reduction=reduction))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_targets_of_any_integer_type(dtype: torch.dtype) -> None:
    assert torch.equal(cross_entropy(rows(), labels().to(dtype)), cross_entropy(rows(), labels()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_with_nan_and_infinities(dtype: torch.dtype) -> None:
    x = torch.tensor(list(itertools.product((NAN, INF, -INF, 0.0, 2.0), repeat=3)), dtype=dtype)
    for ours, theirs in ALONG.values():
        same(ours(x, 1), theirs(x, 1))
        same(ours(x.T, 0), theirs(x.T, 0))
    for ours, theirs in ELEMENTWISE.values():
        same(ours(x), theirs(x))
    wide = x if dtype == torch.float64 else x.float()
    for label, smoothing in itertools.product(range(3), (0.0, 0.2, 1.0)):
        target = torch.full((len(x),), label)
        expected = torch_cross_entropy(wide, target, reduction="none", label_smoothing=smoothing).to(dtype)
        same(cross_entropy(x, target, reduction="none", label_smoothing=smoothing), expected)


@pytest.mark.parametrize(
    "row", [(NAN, 1.0, 2.0), (INF, 1.0, 2.0), (-INF, 1.0, 2.0), (-INF, -INF, -INF), (INF, INF, 0.0)]
)
def test_gradients_of_rows_with_nan_and_infinities(row: tuple[float, ...]) -> None:
    weights = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    for ours, theirs in (*ALONG.values(), (lambda x, _: relu(x), lambda x, _: torch.relu(x))):
        gradients = []
        for function in (ours, theirs):
            x = torch.tensor(row, dtype=torch.float64, requires_grad=True)
            (gradient,) = torch.autograd.grad(function(x, 0), x, weights)
            gradients.append(gradient)
        same(*gradients)


def test_strided_and_expanded_inputs_equal_contiguous_ones() -> None:
    base = rows(count=8, classes=12)
    views = [
        base.T,
        base[::2, 1::3],
        base[0].expand(5, 12),
        base[:, :1].expand(8, 4),
        base.unfold(1, 3, 2),
        base.reshape(2, 4, 12).transpose(0, 2),
        base.reshape(2, 4, 4, 3).to(memory_format=torch.channels_last),
    ]
    for view in views:
        for dim in range(view.ndim):
            for ours, _ in ALONG.values():
                same(ours(view, dim), ours(view.contiguous(), dim), ulps=1)
        for ours, _ in ELEMENTWISE.values():
            same(ours(view), ours(view.contiguous()), ulps=1)
    target = torch.tensor([3]).expand(12)
    same(cross_entropy(base.T, target), cross_entropy(base.T.contiguous(), target.contiguous()), ulps=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_numbers_do_not_overflow(dtype: torch.dtype) -> None:
    top = torch.finfo(dtype).max
    x = torch.tensor([[top, top, -top], [-top, -top, -top], [top, 0, 0]], dtype=dtype)
    third = 1 / 3
    same(softmax(x), torch.tensor([[0.5, 0.5, 0], [third, third, third], [1, 0, 0]], dtype=dtype))
    assert not log_softmax(x).isnan().any()
    assert log_softmax(x).max() == 0.0
    same(
        cross_entropy(x, torch.tensor([0, 1, 0]), reduction="none").exp(), torch.tensor([2, 3, 1], dtype=dtype), ulps=8
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_rounded_once(dtype: torch.dtype) -> None:
    # float32 keeps 2e-7 of error before the rounding: at most that more than half a unit in the last place.
    x = rows(dtype=dtype, count=500)
    for function in (softmax, log_softmax, sigmoid, tanh):
        exact = function(x.double())
        unit = torch.finfo(dtype).eps * torch.exp2(exact.abs().log2().floor()).clamp_min(torch.finfo(dtype).tiny)
        assert ((function(x).double() - exact).abs() / unit).max() < 0.51


# --- against 200-bit arithmetic


def exact_log_softmax(row: Tensor) -> list[mpmath.mpf]:
    highest, *others = sorted(map(mpmath.mpf, row.tolist()), reverse=True)
    # Even 200 bits do not hold 1 + exp(-200).
    log_total = mpmath.log1p(mpmath.fsum(mpmath.exp(value - highest) for value in others))
    return [mpmath.mpf(value) - highest - log_total for value in row.tolist()]


def distance(computed: Tensor, exact: list[mpmath.mpf]) -> list[float]:
    """How far each number is from the truth, in units of the last place of the truth."""
    information = torch.finfo(computed.dtype)
    smallest = round(math.log2(information.tiny))
    units = [mpmath.ldexp(information.eps, max(mpmath.frexp(truth)[1] - 1, smallest)) for truth in exact]
    return [
        float(abs(mpmath.mpf(value) - truth) / unit)
        for value, truth, unit in zip(computed.tolist(), exact, units, strict=True)
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1, 10, 50, 1e4])
def test_never_further_from_the_truth_than_pytorch(scale: float, dtype: torch.dtype) -> None:
    x = rows(scale, count=40, dtype=dtype)
    logarithms, probabilities = log_softmax(x), softmax(x)
    with mpmath.workprec(200):
        for index, row in enumerate(x):
            exact = exact_log_softmax(row)
            for ours, theirs, truth in (
                (probabilities[index], torch.softmax(row, 0), [mpmath.exp(value) for value in exact]),
                (logarithms[index], torch.log_softmax(row, 0), exact),
            ):
                # The two exponentials behind a number may each be a unit better or worse than PyTorch's.
                for mine, yours in zip(distance(ours, truth), distance(theirs, truth), strict=True):
                    assert mine <= yours + 4
            # What is left: the difference of the top two, rounded to half a unit of its own, in the exponent.
            highest, second = row.topk(2).values.tolist()
            assert max(distance(logarithms[index], exact)) <= 3 + highest - second


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("row", [(0.0, -20.0), (0.0, -80.0), (-30.0, 5.0, -40.0), (7.0, -60.0, -60.0, 7.0)])
def test_confident_rows_keep_their_digits(row: tuple[float, ...], dtype: torch.dtype) -> None:
    x = torch.tensor(row, dtype=dtype)
    with mpmath.workprec(200):
        exact = exact_log_softmax(x)
        assert max(distance(log_softmax(x), exact)) <= 3
        label = int(x.argmax())
        assert max(distance(cross_entropy(x, torch.tensor(label))[None], [-exact[label]])) <= 3


# --- laws

law = settings(deadline=None, max_examples=50)
numbers = st.floats(-100, 100, width=32)
tables = (
    st.integers(1, 6)
    .flatmap(lambda classes: st.lists(st.lists(numbers, min_size=classes, max_size=classes), min_size=1, max_size=5))
    .map(lambda table: torch.tensor(table, dtype=torch.float64))
)


@law
@given(tables)
def test_rows_sum_to_one(x: Tensor) -> None:
    p = softmax(x)
    assert ((p >= 0) & (p <= 1)).all()
    same(p.sum(1), torch.ones(len(x), dtype=x.dtype), ulps=8)
    same(softmax(x, 0).sum(0), torch.ones(x.shape[1], dtype=x.dtype), ulps=8)


@law
@given(tables, st.integers(-1000, 1000))
def test_a_shift_changes_nothing(x: Tensor, shift: int) -> None:
    x = x.round()  # so that the shift itself is exact
    assert torch.equal(softmax(x + shift), softmax(x))
    assert torch.equal(log_softmax(x + shift), log_softmax(x))


@law
@given(tables)
@example(x=torch.tensor([[0.0] * 3, [0.0] * 3, [0.0, -7.055111885070801, -7.055111885070801]], dtype=torch.float64))
def test_order_is_kept(x: Tensor) -> None:
    order = x.argsort(dim=1)
    for function in (softmax, log_softmax, sigmoid, tanh, relu):
        result = function(x).gather(1, order)
        # PyTorch rounds the last numbers of a tensor, too few for its vectors, otherwise than the ones before them.
        rounding = 4 * torch.finfo(result.dtype).eps * result[:, 1:].abs()
        assert (result.diff(dim=1) >= -rounding).all()


@law
@given(tables, st.randoms(use_true_random=False))
def test_a_permutation_passes_through(x: Tensor, random: object) -> None:
    places = list(range(x.shape[1]))
    random.shuffle(places)  # type: ignore[attr-defined]
    same(softmax(x[:, places]), softmax(x)[:, places])
    same(log_softmax(x[:, places]), log_softmax(x)[:, places])


@law
@given(tables)
def test_softmax_is_the_exponential_of_log_softmax(x: Tensor) -> None:
    same(log_softmax(x).exp(), softmax(x), ulps=400)  # exp multiplies a relative error by up to 200


@law
@given(numbers)
def test_sigmoid_is_a_softmax_of_two(value: float) -> None:
    x = torch.tensor(value, dtype=torch.float64)
    same(sigmoid(x), softmax(torch.stack([x, torch.zeros_like(x)]), 0)[0])
    same(tanh(x), 2 * sigmoid(2 * x) - 1, ulps=8)
    assert relu(x) == max(value, 0.0)


@law
@given(tables, st.data())
def test_cross_entropy_is_log_softmax_at_the_targets(x: Tensor, data: st.DataObject) -> None:
    target = torch.tensor(data.draw(st.lists(st.integers(0, x.shape[1] - 1), min_size=len(x), max_size=len(x))))
    losses = -log_softmax(x)[torch.arange(len(x)), target]
    same(cross_entropy(x, target, reduction="none"), losses)
    same(cross_entropy(x, target, reduction="sum"), losses.sum(), ulps=16)
    same(cross_entropy(x, target), losses.mean(), ulps=16)
    smooth = 0.75 * losses - 0.25 * log_softmax(x).mean(1)
    torch.testing.assert_close(cross_entropy(x, target, reduction="none", label_smoothing=0.25), smooth)


# --- derivatives and transforms


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # PyTorch's forward mode
@pytest.mark.parametrize("dim", [0, 1])
def test_derivatives_of_first_and_second_order(dim: int) -> None:
    # Ties in a row and in a column, and a confident row.
    x = torch.tensor([[1.0, 1.0, 0.5], [1.0, -0.7, 0.3], [9.0, -9.0, 0.5]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([1, 0, 0])
    along = [lambda x: softmax(x, dim), lambda x: log_softmax(x, dim)]
    others = [
        lambda x: cross_entropy(x, target, label_smoothing=0.1),
        lambda x: cross_entropy(x[0], target[0]),
        sigmoid,
        tanh,
    ]
    for function in (*along, *(others if dim == 0 else ())):
        assert torch.autograd.gradcheck(function, x, check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(function, x, check_fwd_over_rev=True)


def test_relu_has_slope_zero_at_zero() -> None:
    x = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(relu(x).sum(), x)
    assert gradient.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_as_pytorch(dtype: torch.dtype) -> None:
    upstream = torch.randn(7, 10, generator=torch.Generator().manual_seed(9)).to(dtype)
    for ours, theirs in ALONG.values():
        for dim in (0, 1):
            gradients = []
            for function in (ours, theirs):
                x = rows(dtype=dtype).requires_grad_()
                gradients.extend(torch.autograd.grad(function(x, dim), x, upstream))
            same(*gradients, ulps=16)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # PyTorch's forward mode
def test_functorch_transforms() -> None:
    x, target = rows(dtype=torch.float64), labels()
    for function, dim in itertools.product((softmax, log_softmax), (0, -1)):
        same(torch.func.vmap(lambda row, f=function, d=dim: f(row, d))(x), function(x, -1))
        same(torch.func.vmap(lambda column, f=function, d=dim: f(column, d), in_dims=1, out_dims=1)(x), function(x, 0))
    each = torch.func.vmap(cross_entropy)(x, target)
    same(each, cross_entropy(x, target, reduction="none"))
    with torch.no_grad():
        same(torch.func.vmap(softmax)(x), softmax(x))
    # The gradients of single examples: vmap over grad, grad over vmap, and their Hessian.
    single = torch.func.vmap(torch.func.grad(cross_entropy))(x, target)
    same(single, softmax(x) - torch.nn.functional.one_hot(target, 10))
    over = torch.func.grad(lambda x: torch.func.vmap(cross_entropy)(x, target).sum())(x)
    same(over, single)
    jacobian = torch.func.vmap(torch.func.jacfwd(softmax))(x)
    same(jacobian, torch.diag_embed(softmax(x)) - softmax(x)[:, :, None] * softmax(x)[:, None])
    same(torch.func.hessian(cross_entropy)(x[0], target[0]), jacobian[0])


def test_functional_call() -> None:
    class Probabilities(torch.nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.Linear
            return softmax(relu(super().forward(input)))

    module = Probabilities(10, 4)
    weights = {name: torch.zeros_like(value) for name, value in module.named_parameters()}
    assert torch.equal(torch.func.functional_call(module, weights, rows()), torch.full((7, 4), 0.25))


@pytest.mark.parametrize("dtype", DTYPES)
def test_autocast_gives_pytorchs_types(dtype: torch.dtype) -> None:
    x, target = rows(dtype=dtype), labels()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for ours, theirs in ALONG.values():
            same(ours(x, 1), theirs(x, 1))
        for ours, theirs in ELEMENTWISE.values():
            same(ours(x), theirs(x))
        same(cross_entropy(x, target), torch_cross_entropy(x, target), ulps=8)


def test_meta_and_fake_tensors_have_shapes_and_no_values() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.zeros(7, 10), torch.zeros(7, dtype=torch.long)
    for logits, target in (fake, (torch.zeros(7, 10, device="meta"), torch.zeros(7, dtype=torch.long, device="meta"))):
        assert softmax(logits).shape == log_softmax(logits, 0).shape == (7, 10)
        assert cross_entropy(logits, target, reduction="none").shape == (7,)


# The contracts that conftest.py switches on are no part of what users compile: hence a process of its own.
COMPILED = """
    import sys, torch
    from sumtoone import DtypeError, cross_entropy, log_softmax, relu, sigmoid, softmax, tanh

    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)) * 8
    x[0, 0], x[1, 2], x[5] = -torch.inf, torch.inf, torch.tensor([0.0, -20.0, -21.0, -40.0, -20.5])
    half = x.bfloat16()  # an input: a compiler may leave out the rounding of a conversion inside
    target = torch.tensor([0, 1, 2, 3, 4, 0])

    def every(x):
        loss = cross_entropy(x[2:], target[2:], label_smoothing=0.1) + cross_entropy(x[2], target[2])
        return softmax(x, 0), log_softmax(x), loss, relu(x), sigmoid(x), tanh(x), softmax(half)

    def gradient(function):
        y = x.clone().requires_grad_()
        outputs = function(y)
        return outputs, torch.autograd.grad(outputs[0][:, 1].square().sum() + outputs[1][3:].sum() + outputs[2], y)

    def agree(ours, theirs):
        torch.testing.assert_close(ours, theirs, equal_nan=True, rtol=1e-5, atol=1e-6)

    backend = sys.argv[1]
    compiled = torch.compile(every, backend=backend, fullgraph=True)
    with torch.no_grad():
        ours, theirs = compiled(x), every(x)
    agree(ours, theirs)
    torch.testing.assert_close(ours[1][5], theirs[1][5], rtol=1e-5, atol=0)  # the digits of a confident row
    if backend == "aot_eager":  # the same graphs, without waiting for a C++ compiler
        agree(gradient(compiled), gradient(every))
        flexible = torch.compile(every, backend=backend, fullgraph=True, dynamic=True)
        agree(gradient(flexible), gradient(every))
        for wrong, kind in ((lambda: softmax([1.0, 2.0]), DtypeError), (lambda: softmax(x, 2.0), ValueError)):
            try:
                torch.compile(wrong, backend=backend)()
            except kind:
                continue
            raise AssertionError("no error")
    print("agrees")
"""


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_as_one_graph(backend: str, tmp_path: Path) -> None:
    if backend == "inductor" and not (shutil.which("c++") or shutil.which("g++")):
        pytest.skip("needs a C++ compiler")
    command = [sys.executable, "-c", textwrap.dedent(COMPILED), backend]
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, "agrees\n"), done.stderr


# --- complaints


def complaint(kind: type[SumtooneError], call: object) -> str:
    with pytest.raises(kind) as caught:
        call()  # type: ignore[operator]
    assert type(caught.value) is kind
    with speaking("ko"):
        assert "{" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [*ALONG, *ELEMENTWISE])
def test_not_a_tensor(name: str) -> None:
    function = {**ALONG, **ELEMENTWISE}[name][0]
    assert complaint(DtypeError, lambda: function([1.0, 2.0])) == (
        f"{name} takes a tensor of floating-point numbers [functional-tensor]\n"
        "  expected: x: a torch.Tensor of dtype float16, bfloat16, float32 or float64\n"
        "  got: list\n"
        "  try: x = torch.as_tensor(x, dtype=torch.float32); x.abs() for complex numbers"
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("name", [*ALONG, *ELEMENTWISE])
def test_not_floating_point(name: str, dtype: torch.dtype) -> None:
    function = {**ALONG, **ELEMENTWISE}[name][0]
    assert complaint(DtypeError, lambda: function(torch.ones(2, 3, dtype=dtype))) == (
        f"{name} takes a tensor of floating-point numbers [functional-tensor]\n"
        "  expected: x: a torch.Tensor of dtype float16, bfloat16, float32 or float64\n"
        f"  got: {dtype}\n"
        "  try: x = torch.as_tensor(x, dtype=torch.float32); x.abs() for complex numbers"
    )


@pytest.mark.parametrize("dim", [2, -3, 1.0, "rows", None, True])
@pytest.mark.parametrize("name", ALONG)
def test_no_such_dimension(name: str, dim: object) -> None:
    assert complaint(ShapeError, lambda: ALONG[name][0](torch.zeros(64, 10), dim)) == (
        f"{name} has no such dimension to run along [functional-dimension]\n"
        "  expected: a whole number from -2 to 1 for a tensor of shape (64, 10)\n"
        f"  got: dim={dim!r}\n"
        "  try: dim=-1: the last axis, which holds the classes of each row"
    )


def test_a_scalar_has_one_dimension() -> None:
    error = complaint(ShapeError, lambda: softmax(torch.tensor(1.0), 1))
    assert "a whole number from -1 to 0 for a tensor of shape ()" in error


def test_logits_that_are_none() -> None:
    assert complaint(DtypeError, lambda: cross_entropy([[0.0]], labels())).startswith("cross_entropy takes a tensor")
    assert complaint(DtypeError, lambda: cross_entropy(labels(), labels())) == (
        "cross_entropy takes a tensor of floating-point numbers [functional-tensor]\n"
        "  expected: logits: a torch.Tensor of dtype float16, bfloat16, float32 or float64\n"
        "  got: torch.int64\n"
        "  try: logits = torch.as_tensor(logits, dtype=torch.float32); logits.abs() for complex numbers"
    )


@pytest.mark.parametrize("shape", [(), (2, 3, 4), (2, 10, 28, 28), (3, 0), (0,)])
def test_logits_that_are_no_rows(shape: tuple[int, ...]) -> None:
    assert complaint(ShapeError, lambda: cross_entropy(torch.zeros(shape), labels())) == (
        "cross_entropy takes rows of logits, one for each class [cross-entropy-logits]\n"
        "  expected: shape (N, K), or (K,) for a single row, with at least one class\n"
        f"  got: shape {shape}\n"
        "  try: put the classes in the last axis and flatten the others: logits.movedim(1, -1).flatten(0, -2)"
    )


@pytest.mark.parametrize(
    ("target", "got"),
    [
        ([1, 2], "list"),
        (3, "int"),
        *((torch.zeros(7, dtype=d), str(d)) for d in (torch.float32, torch.bool, torch.cfloat)),
    ],
)
def test_targets_that_are_no_integers(target: object, got: str) -> None:
    assert complaint(DtypeError, lambda: cross_entropy(rows(), target)) == (
        "cross_entropy takes the true classes as whole numbers [cross-entropy-target-dtype]\n"
        "  expected: target: a torch.Tensor of integers from 0 to K - 1\n"
        f"  got: {got}\n"
        "  try: torch.as_tensor(target) for a list, target.long() for numbers, "
        "target.argmax(dim=-1) for one-hot rows"
    )


@pytest.mark.parametrize(
    ("logits", "wanted", "given_shape", "hint"),
    [
        ((7, 10), (7,), (7, 10), "turn one-hot rows into labels: target.argmax(dim=-1)"),
        ((10,), (), (10,), "turn one-hot rows into labels: target.argmax(dim=-1)"),
        ((7, 10), (7,), (7, 1), "drop the last axis: target.squeeze(-1)"),
        ((10,), (), (1,), "drop the last axis: target.squeeze(-1)"),
        ((7, 10), (7,), (6,), "take logits and target from the same batch"),
        ((7, 10), (7,), (), "reshape the target to (7,)"),
        ((10,), (), (3,), "reshape the target to ()"),
    ],
)
def test_targets_of_another_shape(
    logits: tuple[int, ...], wanted: tuple[int, ...], given_shape: tuple[int, ...], hint: str
) -> None:
    target = torch.zeros(given_shape, dtype=torch.long)
    assert complaint(ShapeError, lambda: cross_entropy(torch.zeros(logits), target)) == (
        "cross_entropy takes one label for each row of logits [cross-entropy-target-shape]\n"
        f"  expected: target of shape {wanted} for logits of shape {logits}\n"
        f"  got: shape {given_shape}\n"
        f"  try: {hint}"
    )


@pytest.mark.parametrize(
    ("target", "got"),
    [
        ([0, 1, 10, 11, 2, 3, 4], "target[2] = 10; 2 of 7 labels are out of range"),
        ([0, 1, 2, 3, 4, 5, -100], "target[6] = -100; 1 of 7 labels are out of range"),
        ([0, 1, 2, 10, 4, 5, 9], "target[3] = 10; 1 of 7 labels are out of range"),
        ([-1, 1, 2, 3, 4, 5, 9], "target[0] = -1; 1 of 7 labels are out of range"),
        (12, "target = 12; 1 of 1 labels are out of range"),
    ],
)
def test_targets_out_of_range(target: object, got: str) -> None:
    logits = rows() if isinstance(target, list) else rows()[0]
    assert complaint(ShapeError, lambda: cross_entropy(logits, torch.tensor(target))) == (
        "A label names a class that the logits do not have [cross-entropy-target-range]\n"
        "  expected: labels from 0 to 9, for 10 logits in a row\n"
        f"  got: {got}\n"
        "  try: count classes from 0, leave out rows without a label (-100 is not skipped), "
        "or give the network more outputs"
    )


def test_a_reduction_that_is_none() -> None:
    call = cross_entropy
    assert complaint(UsageError, lambda: call(rows(), labels(), reduction="maen")) == (
        "reduction cannot be this [choice]\n"
        "  expected: one of mean, sum, none\n"
        "  got: 'maen'\n"
        "  try: did you mean mean?"
    )
    assert complaint(UsageError, lambda: call(rows(), labels(), reduction=7)).endswith("choose one of mean, sum, none")


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, NAN, "much", True, None])
def test_a_smoothing_that_is_no_share(smoothing: object) -> None:
    assert complaint(UsageError, lambda: cross_entropy(rows(), labels(), label_smoothing=smoothing)) == (
        "label_smoothing must be a number of a certain range [number-range]\n"
        "  expected: a finite number x, 0 <= x <= 1\n"
        f"  got: {smoothing!r}\n"
        "  try: label_smoothing=0.1, or leave it out"
    )


def test_both_options_wrong_are_told_together() -> None:
    call = lambda: cross_entropy(rows(), labels(), reduction="total", label_smoothing=2)  # noqa: E731
    with pytest.raises(SeveralErrors) as caught:
        call()
    assert [problem.code for problem in caught.value.problems] == ["choice", "number-range"]
