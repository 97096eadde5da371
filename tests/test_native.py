"""The compiled kernels, on every instruction set of this machine, against PyTorch in float64."""

from __future__ import annotations

import itertools
import math
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable

import mpmath
import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.functional import cross_entropy as torch_cross_entropy

import warm
from sumtoone import DtypeError, ShapeError, UsageError, native
from sumtoone.functional import cross_entropy, log_softmax, softmax
from sumtoone.native import autograd

pytestmark = pytest.mark.skipif(not native.kernels(), reason=f"no compiled kernels here: {native.status()}")

EPS = torch.finfo(torch.float32).eps
# The largest error promised, in units of the last place.
ULPS = 4.5
ULPS_WITHOUT_FMA = 5.0  # where each product is rounded before it is added
NAN, INF = math.nan, math.inf
ALONG = {"softmax": (softmax, torch.softmax), "log_softmax": (log_softmax, torch.log_softmax)}
COLUMNS = (*range(1, 71), 100, 255, 256, 257, 1000, 1023, 4097, 9000)
ROWS = (0, 1, 2, 15, 16, 17, 33, 1000)
SIZES = (
    *((17 if columns < 300 else 3, columns) for columns in COLUMNS),
    *itertools.product(ROWS, (1, 7, 16, 17, 33)),
)
# Short, long and strided; the last three past the number from which memory comes fresh from the system.
SHARED = ((4001, 10), (301, 257), (3, 40, 700), (420_000, 10), (1050, 4001), (2, 10, 210_001))


def normal(*shape: int, scale: float = 3.0, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def labels(rows: int, classes: int) -> Tensor:
    return torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(1))


def same(ours: Tensor, theirs: Tensor, ulps: float = 8) -> None:
    tolerance = ulps * EPS
    torch.testing.assert_close(ours, theirs.float(), rtol=tolerance, atol=tolerance, equal_nan=True, check_stride=False)


def equal(a: Tensor, b: Tensor) -> bool:
    """To the bit: -0.0 is not 0.0, and a NaN is itself."""
    return torch.equal(a.contiguous().view(torch.int32), b.contiguous().view(torch.int32))


def compare(x: Tensor, dim: int, name: str) -> None:
    """Values and gradient of ``name`` against PyTorch's in float64."""
    ours, theirs = ALONG[name]
    x = x.detach()
    assert autograd.is_plain(x) or x.is_neg()
    plain, wide = ours(x, dim), x.double().requires_grad_()
    expected = theirs(wide, dim)
    same(plain, expected.detach())
    leaf = x.requires_grad_()
    result = ours(leaf, dim)
    assert result.grad_fn is not None
    assert equal(result.detach(), plain)
    upstream = normal(*x.shape, scale=1, seed=7)
    (gradient,) = torch.autograd.grad(result, leaf, upstream)
    (expected,) = torch.autograd.grad(expected, wide, upstream.double())
    # The sum that the backward pass subtracts grows with the root of the number of columns.
    same(gradient, expected, ulps=8 * max(1.0, upstream.double().sum(dim).abs().max().item() if x.numel() else 1))


def compare_entropy(x: Tensor, target: Tensor, reduction: str, smoothing: float) -> None:
    ours = cross_entropy(x.detach(), target, reduction=reduction, label_smoothing=smoothing)
    leaf, wide = x.detach().clone().requires_grad_(), x.detach().double().requires_grad_()
    with_gradient = cross_entropy(leaf, target, reduction=reduction, label_smoothing=smoothing)
    expected = torch_cross_entropy(wide, target, reduction=reduction, label_smoothing=smoothing)
    assert equal(with_gradient.detach(), ours)
    same(ours, expected.detach(), ulps=16)
    (gradient,) = torch.autograd.grad(with_gradient.sum(), leaf)
    (wanted,) = torch.autograd.grad(expected.sum(), wide)
    same(gradient, wanted)


# --- values and gradients of every shape


@pytest.mark.parametrize("name", ALONG)
def test_every_number_of_columns_and_rows(name: str, simd: str) -> None:
    for rows, columns in SIZES:
        compare(normal(rows, columns), 1, name)


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("inner", [1, 2, 15, 16, 17, 40])
def test_every_dimension(inner: int, name: str, simd: str) -> None:
    for columns, outer in itertools.product((1, 2, 7, 16, 17, 300), (1, 3)):
        for shape in ((outer, columns, inner), (columns, inner), (2, outer, columns, inner)):
            x = normal(*shape)
            for dim in range(-len(shape), len(shape)):
                compare(x, dim, name)
    compare(normal(inner), 0, name)
    if inner == 1:
        compare(normal(), 0, name)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(reduction: str, smoothing: float, simd: str) -> None:
    for rows, columns in SIZES:
        compare_entropy(normal(rows, columns), labels(rows, columns), reduction, smoothing)
    compare_entropy(normal(5), torch.tensor(3), reduction, smoothing)


@pytest.mark.parametrize("name", ALONG)
def test_every_memory_layout(name: str, simd: str) -> None:
    for columns in (1, 3, 10, 16, 17, 100):
        x = normal(21, columns)
        offset = normal(21 * columns + 1)[1:].view(21, columns)
        assert offset.data_ptr() % 16 == 4
        spread, flipped = normal(42, 2 * columns)[::2, ::2], x.flip(0, 1)
        for view in (x.T, offset, x[1:], spread, flipped, x[:, :1].expand(21, 5), x[None, 0].expand(7, -1)):
            for dim in (0, 1):
                compare(view, dim, name)
    many = normal(2, 3, 4, 5).to(memory_format=torch.channels_last)
    for dim in range(4):
        compare(many, dim, name)
        compare(many.permute(2, 0, 3, 1), dim, name)
    imaginary = torch.complex(normal(9, 5), normal(9, 5)).conj().imag
    assert imaginary.is_neg()
    compare(imaginary, 1, name)


def test_layouts_of_cross_entropy_and_of_its_gradient(simd: str) -> None:
    for columns in (3, 17, 100):
        offset, target = normal(21 * columns + 1)[1:].view(21, columns), labels(21, columns)
        spread = torch.stack((target, target), 1)[:, 0]
        for x, t in itertools.product((offset, normal(columns, 21).T, offset[:1].expand(21, -1)), (target, spread)):
            compare_entropy(x, t, "mean", 0.1)
        x = normal(21, columns).requires_grad_()
        for upstream in (torch.ones(()).expand(21, columns), normal(columns, 21).T):
            for ours, theirs in ALONG.values():
                (gradient,) = torch.autograd.grad(ours(x, 1), x, upstream)
                wide = x.detach().double().requires_grad_()
                (expected,) = torch.autograd.grad(theirs(wide, 1), wide, upstream.double())
                same(gradient, expected, ulps=100)


# --- the same bits, however the work is cut


def everything(x: Tensor, dim: int) -> list[Tensor]:
    """All that the kernels compute of ``x``."""
    found = []
    for ours, _ in ALONG.values():
        leaf = x.detach().clone().requires_grad_()
        result = ours(leaf, dim)
        (gradient,) = torch.autograd.grad(result, leaf, x.cos())
        found += [result.detach(), gradient]
    if x.ndim == 2 and dim == 1:
        leaf = x.detach().clone().requires_grad_()
        target = (torch.arange(len(x)) * 7) % x.shape[1]
        loss = cross_entropy(leaf, target, reduction="none", label_smoothing=0.1)
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        found += [loss.detach(), gradient]
    return found


@pytest.mark.parametrize("shape", SHARED)
def test_the_same_bits_with_any_number_of_threads(
    shape: tuple[int, ...], threads: Callable[[int], None], simd: str
) -> None:
    x = normal(*shape)
    threads(1)
    alone = everything(x, 1)
    for count in (2, 3):
        threads(count)
        for one, several in zip(alone, everything(x, 1), strict=True):
            assert equal(one, several)
    wide = x.double()
    same(alone[0], wide.softmax(1))
    same(alone[2], wide.log_softmax(1))


@pytest.mark.parametrize("shape", [shape for shape in SHARED if len(shape) == 2])
def test_a_row_does_not_depend_on_its_company(shape: tuple[int, ...], simd: str) -> None:
    x = normal(*shape)
    together, rows = everything(x, 1), shape[0]
    for begin, end in ((0, 1), (1, 4), (rows // 2 + 3, rows // 2 + 40), (rows - 5, rows)):
        for ours, all_rows in ((softmax, together[0]), (log_softmax, together[2])):
            assert equal(ours(x[begin:end], 1), all_rows[begin:end])
        target = (torch.arange(begin, end) * 7) % shape[1]
        loss = cross_entropy(x[begin:end], target, reduction="none", label_smoothing=0.1)
        assert equal(loss, together[4][begin:end])


def test_a_lane_does_not_depend_on_its_company(simd: str) -> None:
    for columns in (3, 17, 600):
        x = normal(2, columns, 41)
        for ours in (softmax, log_softmax):
            together = ours(x, 1)
            for lane in (0, 7, 16, 39):
                assert equal(ours(x[:, :, lane : lane + 2], 1), together[:, :, lane : lane + 2])


# --- the edges of the numbers


@pytest.mark.parametrize("padding", [0, 14, 40])
def test_nan_and_infinities(padding: int, simd: str) -> None:
    x = torch.tensor(list(itertools.product((NAN, INF, -INF, 0.0, 2.0), repeat=3)))
    x = torch.cat((x[:, :1], torch.full((len(x), padding), -1.0), x[:, 1:]), 1)
    for rows in (x, torch.full_like(x, -INF), torch.full_like(x, INF)):
        for ours, theirs in ALONG.values():
            same(ours(rows, 1), theirs(rows.double(), 1))
            same(ours(rows.T.contiguous(), 0), theirs(rows.T.double(), 0))
    for label, smoothing in itertools.product((0, 1, 2 + padding), (0.0, 0.2, 1.0)):
        target = torch.full((len(x),), label)
        options = {"reduction": "none", "label_smoothing": smoothing}
        same(cross_entropy(x, target, **options), torch_cross_entropy(x.double(), target, **options))


def test_gradients_of_rows_with_nan_and_infinities(simd: str) -> None:
    for padding in (0, 40):
        x = torch.tensor([[0.0, -INF, 2.0], [-INF, 0.0, -INF], [1.0, NAN, 2.0], [INF, 0.0, 1.0]])
        x = torch.cat((x, torch.full((4, padding), -1.0)), 1)
        upstream = normal(*x.shape)
        for (ours, theirs), turned in itertools.product(ALONG.values(), (False, True)):
            given, dim, above = (x.T.contiguous(), 0, upstream.T) if turned else (x, 1, upstream)
            leaf, wide = given.clone().requires_grad_(), given.double().requires_grad_()
            (gradient,) = torch.autograd.grad(ours(leaf, dim), leaf, above)
            (expected,) = torch.autograd.grad(theirs(wide, dim), wide, above.double())
            same(gradient, expected, ulps=100)


def ulps(ours: Tensor, truth: Tensor) -> float:
    """The largest error in units of the last place of float32, subnormal numbers included."""
    unit = torch.exp2(truth.abs().clamp_min(2.0**-126).frexp().exponent.double() - 24)
    return float(((ours.double() - truth).abs() / unit).max())


def true_logarithms(x: Tensor, dim: int) -> Tensor:
    """log_softmax in float64, whose small sums keep their digits."""
    maximum, place = x.double().max(dim, keepdim=True)
    shifted = x.double() - maximum
    others = shifted.exp().scatter(dim, place, 0.0).sum(dim, keepdim=True)
    return shifted - others.log1p()


@pytest.mark.parametrize("scale", [1.0, 10.0, 50.0, 1e3, 1e4, 1e6])
def test_a_few_units_in_the_last_place_at_any_scale(scale: float, simd: str) -> None:
    most = ULPS_WITHOUT_FMA if simd == "baseline" else ULPS
    for columns in (2, 3, 10, 16, 17, 100, 1000, 9000):
        for distribution in (normal(20_000 // columns, columns, scale=scale), scale * (labels(8, 2) * 0.7 + 0.1)):
            x = distribution.reshape(-1, columns) if distribution.ndim == 2 else distribution[None].repeat(1, columns)
            for given, dim in ((x, 1), (x.T.contiguous(), 0)):
                truth = true_logarithms(given, dim)
                assert ulps(softmax(given, dim), truth.exp()) <= most
                if scale < 1e6:  # there some logarithms are sums of subnormal numbers, which have no such digits
                    assert ulps(log_softmax(given, dim), truth) <= most
            target = labels(*x.shape)
            loss = cross_entropy(x, target, reduction="none")
            truth = -true_logarithms(x, 1).gather(1, target[:, None]).squeeze(1)
            if scale < 1e6:
                assert ulps(loss, truth) <= most


@pytest.mark.parametrize("columns", [3, 10, 17, 100, 300])
def test_a_row_is_the_same_beside_extreme_ones(columns: int, simd: str) -> None:
    x = normal(40, columns)
    for ours in (softmax, log_softmax, lambda x, dim: cross_entropy(x, labels(40, columns), reduction="none")):
        alone = ours(x, 1)
        for extreme in (1e6, -1e6, INF, -INF, NAN):
            beside = x.clone()
            beside[::3] = extreme
            beside[::3, 1] = extreme / 2
            assert equal(ours(beside, 1)[1::3], alone[1::3])
            assert equal(ours(beside, 1)[2::3], alone[2::3])


@pytest.mark.parametrize("columns", [2, 10, 16, 17, 33, 300])
def test_confident_rows_keep_their_digits(columns: int, simd: str) -> None:
    x = torch.full((columns,), -90.0)
    x[columns // 2], x[0] = 0.0, -20.0
    with mpmath.workprec(200):
        sum_of_others = mpmath.exp(-20) + (columns - 2) * mpmath.exp(-90)
        truth = torch.tensor([-float(mpmath.log1p(sum_of_others))], dtype=torch.float64)
    if columns == 2:
        assert truth.item() == -2.061153620314381e-09
    for given, dim in ((x, 0), (x[:, None].repeat(1, 3), 0)):
        assert ulps(log_softmax(given, dim)[columns // 2].reshape(-1)[:1], truth) <= ULPS
    assert ulps(cross_entropy(x[None], torch.tensor([columns // 2])), -truth[0]) <= ULPS


def test_subnormal_probabilities(simd: str) -> None:
    for columns in (2, 10, 17, 40):
        below = torch.linspace(-104.5, -86.0, 200)
        x = torch.cat((torch.zeros(200, 1), below[:, None].expand(-1, columns - 1)), 1)
        truth = true_logarithms(x, 1).exp()
        assert truth[truth < 2.0**-126].numel() > 0
        for given, dim in ((x, 1), (x.T.contiguous(), 0)):
            result = softmax(given, dim)
            assert ulps(result if dim else result.T, truth) <= 1
            assert bool((result > 0).any())


def test_the_largest_numbers(simd: str) -> None:
    largest = torch.finfo(torch.float32).max
    for row in ([largest, largest], [largest, -largest], [-largest, -largest], [largest, 0.0] * 20):
        x = torch.tensor([row])
        same(softmax(x), torch.softmax(x.double(), 1))
        same(log_softmax(x), torch.log_softmax(x.double(), 1))


# --- derivatives


@pytest.mark.parametrize("columns", [3, 17])
@pytest.mark.parametrize("name", [*ALONG, "cross_entropy"])
def test_derivatives_of_second_and_third_order(name: str, columns: int, simd: str) -> None:
    target, weight = labels(4, columns), normal(4, columns, scale=1, seed=5)

    def orders(x: Tensor) -> list[Tensor]:
        x = x.requires_grad_()
        if name == "cross_entropy":
            value = cross_entropy(x, target, label_smoothing=0.1, reduction="sum")
        else:
            value = (ALONG[name][0](x, 1) * weight.to(x.dtype)).sum()
        found = []
        for order in range(3):
            (gradient,) = torch.autograd.grad(value, x, create_graph=True)
            found.append(gradient.detach())
            value = (gradient * weight.to(x.dtype).roll(order)).square().sum()
        return found

    x = normal(4, columns, scale=1)
    for narrow, wide in zip(orders(x), orders(x.double()), strict=True):
        same(narrow, wide, ulps=200)


def test_the_first_derivative_is_the_slope(simd: str) -> None:
    """Finite differences of the float64 path, which no kernel touches, against the gradients of the kernels."""
    for columns, (ours, _) in itertools.product((5, 16, 19), ALONG.values()):
        x, weight = normal(columns), normal(columns, seed=2)
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((ours(leaf, 0) * weight).sum(), leaf)
        step = torch.eye(columns, dtype=torch.float64) * 1e-6
        above, below = (ours(x.double() + sign * step, 1) @ weight.double() for sign in (1, -1))
        torch.testing.assert_close(gradient.double(), (above - below) / 2e-6, rtol=1e-5, atol=1e-5)


# --- whatever else PyTorch does with functions

# PyTorch writes some derivatives with a tool of its own that it calls outdated.
JIT_IS_DEPRECATED = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


def torch_like(x: Tensor, target: Tensor) -> Tensor:
    return torch.softmax(x, -1).sum() * 0 + torch_cross_entropy(x, target) + torch.log_softmax(x, -1)[:, 0].sum()


def ours_like(x: Tensor, target: Tensor) -> Tensor:
    return softmax(x).sum() * 0 + cross_entropy(x, target) + log_softmax(x)[:, 0].sum()


@JIT_IS_DEPRECATED
def test_functorch_transforms(simd: str) -> None:
    x, target = normal(4, 5), labels(4, 5)
    same(torch.func.grad(ours_like)(x, target), torch.func.grad(torch_like)(x, target))
    hessian = [torch.func.hessian(f)(x, target) for f in (ours_like, torch_like)]
    same(*hessian, ulps=50)
    many = normal(3, 4, 5)
    vmapped = [torch.vmap(f, in_dims=(0, None))(many, target) for f in (ours_like, torch_like)]
    same(*vmapped, ulps=50)


@pytest.mark.parametrize("name", [*ALONG, "cross_entropy"])
def test_a_parameter_inside_a_transform_of_something_else(name: str, simd: str) -> None:
    weight, target = torch.nn.Parameter(normal(4, 5)), labels(4, 5)

    def ours(x: Tensor) -> Tensor:
        return ALONG[name][0](x, 1) if name in ALONG else cross_entropy(x, target, reduction="none")

    results = torch.vmap(lambda factor: (ours(weight) * factor).sum())(torch.arange(3.0))
    same(results.detach(), ours(weight.detach()).sum() * torch.arange(3.0), ulps=50)
    slope = torch.func.grad(lambda factor: (ours(weight) * factor).sum())(torch.ones(()))
    same(slope.detach(), ours(weight.detach()).sum(), ulps=50)


def test_targets_under_vmap(simd: str) -> None:
    x, targets = normal(4, 5), torch.stack([labels(4, 5), labels(4, 5).flip(0)])
    expected = torch.stack([torch_cross_entropy(x, target) for target in targets])
    same(torch.vmap(lambda target: cross_entropy(x, target))(targets), expected)


@pytest.mark.parametrize("name", ALONG)
def test_a_batch_of_gradients(name: str, simd: str) -> None:
    ours, theirs = ALONG[name]
    x = normal(5).requires_grad_()
    results = [torch.autograd.grad(f(x, 0), x, torch.eye(5), is_grads_batched=True)[0] for f in (ours, theirs)]
    same(*results)


def test_a_batch_of_gradients_of_cross_entropy(simd: str) -> None:
    x, target = normal(4, 5).requires_grad_(), labels(4, 5)
    losses = [f(x, target, reduction="none") for f in (cross_entropy, torch_cross_entropy)]
    same(*(torch.autograd.grad(loss, x, torch.eye(4), is_grads_batched=True)[0] for loss in losses))


def test_functional_call(simd: str) -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return softmax(self.layer(x))

    network, x = Network(), normal(4, 5)
    parameters = {name: value.detach() * 2 for name, value in network.named_parameters()}
    expected = (x @ parameters["layer.weight"].T + parameters["layer.bias"]).softmax(1)
    same(torch.func.functional_call(network, parameters, (x,)), expected)


def test_traced_to_a_graph(simd: str) -> None:
    graph, other = make_fx(ours_like)(normal(4, 5), labels(4, 5)), normal(4, 5, seed=9)
    same(graph(other, labels(4, 5)), torch_like(other, labels(4, 5)), ulps=50)


def test_compiled() -> None:
    """In a process of its own: the compiler cannot read the contracts that are checked under test."""
    result = in_a_process("""
        def losses(softmax, log_softmax, cross_entropy, x):
            target = torch.arange(4)
            return (softmax(x, -1)[:, 0] + log_softmax(x, -1)[:, 1]).sum() + cross_entropy(x, target)
        def ours(x):
            return losses(softmax, log_softmax, cross_entropy, x)
        def theirs(x):
            return losses(torch.softmax, torch.log_softmax, torch.nn.functional.cross_entropy, x)
        x = torch.randn(4, 5).requires_grad_()
        compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
        for f in (compiled, ours):
            torch.testing.assert_close(f(x), theirs(x))
            for pair in zip(torch.autograd.grad(f(x), x), torch.autograd.grad(theirs(x), x)):
                torch.testing.assert_close(*pair)
        """)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.filterwarnings("ignore")  # that tracing is deprecated, and that values became constants
def test_jit_trace(simd: str) -> None:
    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        return softmax(x), log_softmax(x)

    other = normal(4, 5, seed=9)
    traced = torch.jit.trace(both, normal(4, 5), check_trace=False)
    for result, (_, theirs) in zip(traced(other), ALONG.values(), strict=True):
        same(result, theirs(other, 1))


def test_fake_and_meta_tensors(simd: str) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode() as mode:
        fake = mode.from_tensor(normal(4, 5))
        assert ours_like(fake, mode.from_tensor(labels(4, 5))).shape == ()
        assert softmax(fake).shape == (4, 5)
    assert log_softmax(normal(4, 5).to("meta")).is_meta


@JIT_IS_DEPRECATED
def test_forward_mode(simd: str) -> None:
    from torch.autograd import forward_ad

    x, tangent = normal(4, 5), normal(4, 5, seed=2)
    with forward_ad.dual_level():
        duals = [f(forward_ad.make_dual(x, tangent), labels(4, 5)) for f in (ours_like, torch_like)]
        tangents = [forward_ad.unpack_dual(dual).tangent for dual in duals]
    same(*tangents, ulps=50)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype, simd: str) -> None:
    x, target, weight = normal(4, 5), labels(4, 3), torch.nn.Parameter(normal(3, 5))
    with torch.autocast("cpu", dtype):
        logits = torch.nn.functional.linear(x, weight)
        assert softmax(x).dtype is torch.float32
        loss = cross_entropy(logits, target)
        expected = torch_cross_entropy(logits, target)
    same(loss.detach(), expected.detach())
    for gradient in zip(*(torch.autograd.grad(f, weight, retain_graph=True) for f in (loss, expected)), strict=True):
        torch.testing.assert_close(*gradient, rtol=0.02, atol=0.02)


def test_where_no_gradient_is_wanted(simd: str) -> None:
    x, target = normal(4, 5).requires_grad_(), labels(4, 5)
    for surroundings in (torch.no_grad(), torch.inference_mode()):
        with surroundings:
            for result in (softmax(x), log_softmax(x), cross_entropy(x, target)):
                assert not result.requires_grad
                assert result.grad_fn is None
    with torch.inference_mode():
        inside = normal(4, 5)
        same(softmax(inside), inside.softmax(1))
    same(softmax(inside), inside.softmax(1))


def test_parameters_and_subclasses(simd: str) -> None:
    class Marked(Tensor):
        pass

    parameter = torch.nn.Parameter(normal(4, 5))
    assert autograd.is_plain(parameter)
    same(softmax(parameter).detach(), parameter.detach().softmax(1))
    marked = normal(4, 5).as_subclass(Marked)
    assert not autograd.is_plain(marked)
    assert isinstance(softmax(marked), Marked)
    assert type(softmax(parameter)) is Tensor


@pytest.mark.parametrize("name", ALONG)
def test_inputs_stay_as_they_are(name: str, simd: str) -> None:
    for columns in (3, 40):
        x, upstream, target = normal(8, columns), normal(8, columns, seed=4), labels(8, columns)
        before = x.clone(), upstream.clone(), target.clone()
        leaf = x.requires_grad_()
        torch.autograd.grad(ALONG[name][0](leaf, 1), leaf, upstream)
        cross_entropy(leaf, target).backward()
        for now, then in zip((x.detach(), upstream, target), before, strict=True):
            assert torch.equal(now, then)


def test_a_graph_may_be_walked_twice_checkpointed_and_hooked(simd: str) -> None:
    from torch.utils.checkpoint import checkpoint

    x, target = normal(4, 5).requires_grad_(), labels(4, 5)
    loss = ours_like(x, target)
    first, second = (torch.autograd.grad(loss, x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    (third,) = torch.autograd.grad(checkpoint(ours_like, x, target, use_reentrant=False), x)
    assert torch.equal(first, third)
    with torch.autograd.graph.save_on_cpu():
        (fourth,) = torch.autograd.grad(ours_like(x, target), x)
    assert torch.equal(first, fourth)


@pytest.mark.parametrize("name", ALONG)
def test_a_result_overwritten_before_its_backward_pass_is_told(name: str, simd: str) -> None:
    x = normal(4, 5).requires_grad_()
    result = ALONG[name][0](x, 1)
    result.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.sum().backward()


# --- tensors that have no numbers to read, one process each: a mistake here is a crash


def in_a_process(code: str, *, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    head = "import torch\nfrom sumtoone.functional import softmax, log_softmax, cross_entropy\n"
    return warm.run(head + textwrap.dedent(code), warn="ignore", timeout=seconds)


@pytest.mark.parametrize(
    ("code", "numbers"),
    [
        (
            "torch.set_default_device('meta')\n"
            "x, target = torch.arange(12.0, device='cpu').view(3, 4), torch.arange(3, device='cpu')\n"
            "print(cross_entropy(x, target, reduction='none'))",
            "tensor([3.4402, 2.4402, 1.4402])",
        ),
        ("print(softmax(torch._efficientzerotensor(2, 4)))", str(torch.full((2, 4), 0.25))),
        ("print(log_softmax(torch._efficientzerotensor(2, 4)).exp())", str(torch.full((2, 4), 0.25))),
        (
            "x = torch.ones(2, 4).requires_grad_(); softmax(x).backward(torch._efficientzerotensor(2, 4))\n"
            "print(x.grad.abs())",
            str(torch.zeros(2, 4)),
        ),
        (
            "x = torch.ones(2, 4).requires_grad_(); log_softmax(x).backward(torch._efficientzerotensor(2, 4))\n"
            "print(x.grad.abs())",
            str(torch.zeros(2, 4)),
        ),
    ],
    ids=["default-device", "zeros", "zeros-logarithm", "zero-gradient", "zero-gradient-logarithm"],
)
def test_tensors_without_memory_that_are_computed(code: str, numbers: str) -> None:
    result = in_a_process(code)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{numbers}\n", "")


@pytest.mark.parametrize(("logits", "target"), [("cpu", "meta"), ("meta", "cpu")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_targets_on_another_device_are_refused(logits: str, target: str, dtype: str) -> None:
    """In a process of its own: where there is nothing to read, PyTorch reads something else."""
    result = in_a_process(f"""
        from sumtoone import DtypeError
        logits = torch.ones(3, 4, dtype=torch.{dtype}, device="{logits}")
        for rows in (3, 0):
            for target in (torch.zeros(rows, dtype=torch.long), torch.zeros(rows, dtype=torch.uint8)):
                try:
                    print(cross_entropy(logits[:rows], target.to("{target}")))
                except DtypeError as error:
                    print(error)
        """)
    told = (
        "cross_entropy takes logits and target from the same device [cross-entropy-target-device]\n"
        f"  expected: target on {logits}, where the logits are\n"
        f"  got: target on {target}\n"
        "  try: target.to(logits.device)\n"
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, 4 * told, "")


def test_a_fake_target_beside_real_logits_is_refused_by_pytorch() -> None:
    result = in_a_process("""
        from torch._subclasses import FakeTensorMode
        cross_entropy(torch.ones(3, 4), FakeTensorMode().from_tensor(torch.zeros(3, dtype=torch.long)))
        """)
    assert (result.returncode, result.stdout) == (1, "")
    assert "AssertionError: Please convert all Tensors to FakeTensors first" in result.stderr


@pytest.mark.parametrize("rows", [4, 4000])
def test_tensors_of_inference_mode_are_as_to_pytorch(rows: int, simd: str) -> None:
    """Computed where PyTorch computes, without a graph where it makes none; refused by PyTorch's own word."""
    with torch.inference_mode():
        inside, wanting = normal(rows, 10), normal(rows, 10).requires_grad_()
        target = labels(rows, 10)
    leaf, plain = normal(rows, 10).requires_grad_(), labels(rows, 10)
    for x in (inside, wanting, wanting[:, 3:], inside.T):
        for ours, theirs in ALONG.values():
            result = ours(x, 0)
            same(result, theirs(x.double(), 0))
            assert (result.requires_grad, result.is_inference()) == (False, False)
    for x, classes in itertools.product((inside, wanting), (target, plain)):
        loss = cross_entropy(x, classes)
        same(loss, torch_cross_entropy(x.detach().double(), classes))
        assert not loss.requires_grad
    for loss_of in (cross_entropy, torch_cross_entropy):
        with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
            loss_of(leaf, target)
    with torch.inference_mode():
        for x in (leaf, leaf[1:], leaf.T):
            for ours, theirs in ALONG.values():
                result = ours(x, 1)
                same(result, theirs(x.double(), 1))
                assert result.is_inference()
                assert equal(ours(x, 1, out=torch.empty_like(x)), result)
        same(cross_entropy(leaf, target), torch_cross_entropy(leaf.double(), target))


@pytest.mark.parametrize("name", ALONG)
def test_lazily_negated_tensors(name: str, simd: str) -> None:
    ours, theirs = ALONG[name]
    x, upstream = torch._neg_view(normal(4, 5)), torch._neg_view(normal(4, 5, seed=2))
    same(ours(x), theirs(-normal(4, 5), 1))
    leaf = normal(4, 5).requires_grad_()
    gradients = (torch.autograd.grad(f(leaf, 1), leaf, g)[0] for f, g in ((ours, upstream), (theirs, upstream.clone())))
    same(*gradients)


# --- threads and processes


def test_calls_from_several_threads_at_once(threads: Callable[[int], None], simd: str) -> None:
    threads(3)
    inputs = [normal(9000 + 100 * number, 10, seed=number) for number in range(6)]
    expected = [x.double().softmax(1).float() for x in inputs]
    worst, start = [0.0] * len(inputs), threading.Barrier(len(inputs))

    def work(number: int) -> None:
        torch.set_num_threads(3)
        start.wait()
        for _ in range(30):
            worst[number] = max(worst[number], float((softmax(inputs[number]) - expected[number]).abs().max()))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(inputs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not any(worker.is_alive() for worker in workers)
    assert max(worst) < 1e-6


def test_a_forked_child_has_threads_of_its_own() -> None:
    result = in_a_process("""
        import os, sys
        torch.set_num_threads(3)
        x = torch.randn(50_000, 10)
        parent = softmax(x).numpy().tobytes()
        def same():  # with nothing of PyTorch's that uses threads: its own do not survive a fork
            return softmax(x).numpy().tobytes() == parent
        for generation in range(5):
            child = os.fork()
            if child == 0:
                always = all(same() for _ in range(20))
                grandchild = os.fork()
                if grandchild == 0:
                    os._exit(not same())
                os._exit(not always or os.waitpid(grandchild, 0)[1] != 0)
            assert same()
            assert os.waitpid(child, 0)[1] == 0
        """)
    assert (result.returncode, result.stderr) == (0, "")


def test_forking_while_other_threads_compute() -> None:
    result = in_a_process("""
        import os, threading
        torch.set_num_threads(3)
        x, stop = torch.randn(50_000, 10), threading.Event()
        expected = softmax(x).numpy().tobytes()
        def work():
            while not stop.is_set():
                softmax(x)
        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers: worker.start()
        for _ in range(10):
            child = os.fork()
            if child == 0:
                os._exit(softmax(x).numpy().tobytes() != expected)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for worker in workers: worker.join()
        """)
    assert (result.returncode, result.stderr) == (0, "")


def test_workers_of_a_data_loader() -> None:
    result = in_a_process("""
        from torch.utils.data import DataLoader
        torch.set_num_threads(2)
        data = torch.randn(64, 5000, 10)
        expected = softmax(data)
        def collate(samples):
            return softmax(torch.stack(samples))
        def threads(number):
            torch.set_num_threads(2)
        loader = DataLoader(data, batch_size=16, num_workers=2, collate_fn=collate, worker_init_fn=threads,
                            multiprocessing_context="fork")
        assert torch.equal(torch.cat(list(loader)), expected)
        """)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_interrupt_arrives() -> None:
    code = """
        import signal
        import torch
        from sumtoone.functional import softmax
        signal.signal(signal.SIGINT, signal.default_int_handler)  # who began in the background ignores it
        torch.set_num_threads(2)
        x = torch.randn(50_000, 10)
        expected = softmax(x)
        try:
            print("ready", flush=True)
            while True:
                softmax(x)
        except KeyboardInterrupt:
            assert torch.equal(softmax(x), expected)
            print("interrupted", flush=True)
        """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30) == ("interrupted\n", "")
            assert process.returncode == 0
        finally:
            process.kill()


# --- memory that is given


@pytest.mark.parametrize("shape", [(64, 10), (40, 17), (7, 300), (3, 5, 8), (0, 3), ()])
@pytest.mark.parametrize("name", ALONG)
def test_out_is_written_and_returned(name: str, shape: tuple[int, ...], simd: str) -> None:
    ours, _ = ALONG[name]
    for dim in range(-max(len(shape), 1), max(len(shape), 1)):
        x = normal(*shape)
        expected = ours(x, dim)
        for out in (torch.empty_like(x), torch.empty((*shape, 2))[..., 0], x):
            before = out._version
            assert ours(x.clone() if out is x else x, dim, out=out) is out
            assert equal(out, expected)
            assert out._version > before


def test_out_may_be_the_input_or_overlap_it(simd: str) -> None:
    for columns in (10, 17, 300):
        x = normal(50, columns)
        expected = softmax(x, 1)
        assert equal(softmax(x, 1, out=x), expected)
        memory = normal(51, columns)
        expected = softmax(memory[:50], 1)
        assert equal(softmax(memory[:50], 1, out=memory[1:]), expected)
        with torch.inference_mode():
            assert equal(softmax(normal(50, columns), 1, out=torch.empty(50, columns)), softmax(normal(50, columns), 1))


def test_what_out_must_be() -> None:
    x = torch.zeros(2, 3)
    with pytest.raises(DtypeError) as dtype:
        softmax(x, 1, out=torch.zeros(2, 3, dtype=torch.float64))
    assert str(dtype.value) == (
        "softmax cannot write into this out [functional-out]\n"
        "  expected: an out of x's shape, dtype and device: torch.float32, cpu\n"
        "  got: torch.float64, cpu\n"
        "  try: torch.empty_like(x)"
    )
    with pytest.raises(DtypeError, match=r"got: list"):
        log_softmax(x, 1, out=[0.0])
    with pytest.raises(ShapeError) as shape:
        log_softmax(x, 1, out=torch.zeros(3, 2))
    assert str(shape.value) == (
        "log_softmax cannot write into this out [functional-out]\n"
        "  expected: an out of x's shape, dtype and device: (2, 3)\n"
        "  got: (3, 2)\n"
        "  try: torch.empty_like(x)"
    )
    with pytest.raises(UsageError) as gradient:
        softmax(x.clone().requires_grad_(), 1, out=torch.zeros(2, 3))
    assert str(gradient.value) == (
        "What softmax writes into out has no gradient [functional-out-gradient]\n"
        "  expected: no gradient wanted, or no out\n"
        "  got: out, and a tensor that requires grad\n"
        "  try: leave out away, or compute under torch.no_grad()"
    )
    with torch.no_grad():
        assert softmax(x.clone().requires_grad_(), 1, out=torch.zeros(2, 3)).sum() == 2
    double = torch.zeros(2, 3, dtype=torch.float64)
    assert equal(softmax(double + 1, 1, out=double), torch.full((2, 3), 1 / 3, dtype=torch.float64))


# --- cross entropy's own gradient


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_gradient_of_cross_entropy_can_be_asked_for_twice(reduction: str) -> None:
    logits, target = normal(20, 10).requires_grad_(), labels(20, 10)
    loss = cross_entropy(logits, target, reduction=reduction)
    upstream = normal(*loss.shape)
    (first,) = torch.autograd.grad(loss, logits, upstream, retain_graph=True)
    kept = first.clone()
    first.zero_()
    (second,) = torch.autograd.grad(loss, logits, upstream)
    assert equal(second, kept)
    wide = logits.detach().double().requires_grad_()
    loss_of_wide = torch_cross_entropy(wide, target, reduction=reduction)
    (expected,) = torch.autograd.grad(loss_of_wide, wide, upstream.double())
    torch.testing.assert_close(second.double(), expected, rtol=1e-5, atol=1e-7)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, logits, upstream)


def test_logits_may_change_between_loss_and_backward_pass() -> None:
    leaf, target = normal(20, 10).requires_grad_(), labels(20, 10)
    (expected,) = torch.autograd.grad(cross_entropy(leaf, target), leaf)
    logits = leaf * 1
    loss = cross_entropy(logits, target)
    with torch.no_grad():
        logits.zero_()
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert equal(gradient, expected)
