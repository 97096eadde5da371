"""What PyTorch says is read and explained: its own messages, provoked, are the oracle, and what is advised runs."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import failing
from sumtoone import DataError
from sumtoone.adoption.failing import explained
from sumtoone.language import entries, speaking
from sumtoone.shapes.failures import ErrorExplanation, explain_error
from sumtoone.shapes.failures.messages import codes, recognised
from sumtoone.shapes.failures.tracebacks import LONGEST, Frame, read

rand = torch.rand
# What PyTorch said on a machine with a graphics card, each with the mistake that it is.
ELSEWHERE = (
    ("numpy-device", "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
     "memory first."),
    ("devices", "Expected all tensors to be on the same device, but got mat1 is on cpu, different from other tensors "
     "on cuda:0 (when checking argument in method wrapper_CUDA_addmm)"),
    ("devices", "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
    ("devices", "Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be the same"),
    ("dtypes", "Input type (torch.cuda.DoubleTensor) and weight type (torch.cuda.FloatTensor) should be the same"),
    ("index-device", "indices should be either on cpu or on the same device as the indexed tensor (cpu)"),
    ("target-dtype", "\"nll_loss_forward_reduce_cuda_kernel_2d_index\" not implemented for 'Float'"),
    ("not-for-dtype", "\"host_softmax\" not implemented for 'Long'"),
    ("cuda-assert", "CUDA error: device-side assert triggered\nSearch for `cudaErrorAssert' in the documentation"),
)  # fmt: skip


def _raised(program: Callable[[], object]) -> tuple[Exception, str]:
    try:
        program()
    except Exception as error:
        return error, traceback.format_exc()
    raise AssertionError("the program did not fail")


def _ids(rows: tuple[tuple[str, object], ...]) -> list[str]:
    return [f"{code}-{number}" for number, (code, _) in enumerate(rows)]


@pytest.mark.parametrize(("code", "program"), failing.PROVOKED, ids=_ids(failing.PROVOKED))
def test_a_message_of_pytorchs_is_known_by_its_exception_and_by_its_text(
    code: str, program: Callable[[], object]
) -> None:
    error, written = _raised(program)
    for language in ("en", "ko"):
        with speaking(language):
            ours, theirs = explained(error), explain_error(written)
            assert ours.code == code
            # Rows that were not flattened are told from a wrong size by the tensor that is there alone.
            assert theirs.code == ("linear-features" if code == "linear-flatten" else code)
            for found in (ours, theirs):
                assert found.what
                assert found.instead
                assert found.text.startswith(f"{type(error).__name__}: ")
                assert not re.search(r"[{}]|\(을/를\)|\(은/는\)", found.what + "".join(found.instead))
                assert found.place is not None
                assert found.place.file == failing.__file__


def test_every_mistake_that_is_known_was_provoked() -> None:
    provoked = {code for code, _ in failing.PROVOKED}
    elsewhere = {"numpy-device", "index-device", "cuda-assert"}
    made_of_others = {"linear-features", "linear-flatten", "linear-weight", "view-divide", "loss-dtype"}
    assert provoked - {*made_of_others, "target-negative", "nothing"} == set(codes()) - elsewhere - {"tensor-types"}
    texts = {key.split(".")[1] for key in entries("en") if re.fullmatch(r"mistake\.[\w-]+\.what", key)}
    assert texts == provoked | elsewhere


@pytest.mark.parametrize(("code", "message"), ELSEWHERE)
def test_messages_of_a_graphics_card(code: str, message: str) -> None:
    for language in ("en", "ko"):
        with speaking(language):
            found = explain_error(f"RuntimeError: {message}")
            assert found.code == code
            assert found.instead


@pytest.mark.parametrize("program", failing.UNKNOWN, ids=range(len(failing.UNKNOWN)))
def test_what_is_not_known_is_named_and_not_guessed(program: Callable[[], object]) -> None:
    error, written = _raised(program)
    for found in (explained(error), explain_error(written)):
        assert (found.code, found.what, found.instead) == (None, None, ())
        assert "sumtoone does not know this message, and does not guess what it means." in found.text
        assert found.place is not None
        assert found.place.file == failing.__file__


@given(st.text(max_size=80))
def test_no_other_text_is_taken_for_a_message(message: str) -> None:
    assert recognised(message) is None


# --- what it says


class Clash(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.fc1(x))
        return torch.softmax(self.fc2(x), dim=1)


def _where(found: ErrorExplanation) -> str:
    """The explanation, with the place of this file in it as a name."""
    assert found.place is not None
    return found.text.replace(found.place.file, "net.py").replace(f"line {found.place.line}", "line N")


def test_a_clash_of_two_layers_is_said_with_the_layers_name() -> None:
    error, written = _raised(lambda: Clash()(rand(64, 784)))
    expected = """\
RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x128 and 64x10)
  net.py, line N, in forward, layer fc2
    return torch.softmax(self.fc2(x), dim=1)

fc2 takes 64, receives 128 numbers for each row.

  write instead:
    self.fc2 = nn.Linear(128, 10)  # or let the layer before it give 64"""
    assert _where(explained(error)) == expected
    assert _where(explain_error(written)) == expected


def test_in_korean() -> None:
    _, written = _raised(lambda: Clash()(rand(64, 784)))
    with speaking("ko"):
        found = explain_error(written)
    assert found.what == "fc2는 행마다 숫자 64개를 받는데 128개가 들어옵니다."
    assert found.instead == ("self.fc2 = nn.Linear(128, 10)  # 또는 앞 층이 64개를 내게 합니다",)
    assert "번 줄, forward 안, 층 fc2" in found.text


def test_a_layer_of_a_sequence_is_named_by_its_place_or_by_its_sizes() -> None:
    network = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(64, 10))
    error, written = _raised(lambda: network(rand(2, 784)))
    assert explained(error).what == "Sequential[2] takes 64, receives 128 numbers for each row."
    found = explain_error(written)
    assert found.what == "nn.Linear(64, 10) in network takes 64, receives 128 numbers for each row."
    assert found.instead == ("nn.Linear(128, 10)  # or let the layer before it give 64",)


def test_images_that_are_not_flattened_are_told_from_a_wrong_size() -> None:
    error, written = _raised(lambda: Clash()(rand(64, 1, 28, 28)))
    flatten = "x = x.view(x.shape[0], -1)  # before fc1: each image becomes a row"
    found = explained(error)
    assert found.what == "fc1 takes 784 numbers for each row, but what it receives is not flattened: rows of 28."
    assert found.instead == (flatten,)
    size = "self.fc1 = nn.Linear(28, 128)  # or let the layer before it give 784"
    assert explain_error(written).instead == (flatten, size)
    error, _ = _raised(lambda: Clash()(rand(64, 3, 10, 10)))
    assert explained(error).instead == (
        flatten,
        "self.fc1 = nn.Linear(300, 128)  # or let the layer before it give 784",
    )


def test_a_column_that_was_summed_away() -> None:
    x = rand(64, 10)

    def softmax() -> torch.Tensor:
        return torch.exp(x) / torch.exp(x).sum(dim=1)

    _, written = _raised(softmax)
    found = explain_error(written)
    assert found.what == (
        "torch.exp(x) and torch.exp(x).sum(dim=1) do not broadcast: along axis 1 one has size 10, the other 64. "
        "Two sizes go together when they are equal or one of them is 1."
    )
    line, remark = found.instead[0].split("  # ")
    assert (line, remark) == (
        "torch.exp(x) / torch.exp(x).sum(dim=1, keepdim=True)",
        "the sum of a row stays in its row",
    )
    torch.testing.assert_close(eval(line), x.softmax(dim=1))


def test_known_shapes_give_the_advice_of_explain() -> None:
    def divide(e: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return e / s

    error, written = _raised(lambda: divide(rand(64, 10), rand(64)))
    assert explained(error).instead[0] == "e / s[:, None]  # (64, 10)"
    assert explain_error(written).instead == (
        "s[:, None]  # if s has one number for each row: as a column. A sum keeps its axis with keepdim=True",
    )


SIZES = st.integers(2, 40)


@settings(max_examples=60, deadline=None)
@given(rows=SIZES, inner=SIZES, takes=SIZES, outputs=SIZES)
def test_the_layer_that_is_advised_takes_what_comes(rows: int, inner: int, takes: int, outputs: int) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(7, inner), nn.Linear(takes, outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x))

    self = Network()
    if inner == takes:
        assert self(rand(rows, 7)).shape == (rows, outputs)
        return
    error, written = _raised(lambda: self(rand(rows, 7)))
    found = explained(error)
    assert found.what == f"second takes {takes}, receives {inner} numbers for each row."
    assert explain_error(written).what == found.what
    exec(found.instead[-1], {"self": self, "nn": nn})
    assert self(rand(rows, 7)).shape == (rows, outputs)


@settings(max_examples=60, deadline=None)
@given(rows=SIZES, inner=SIZES, columns=SIZES)
def test_a_matrix_that_lies_the_other_way_is_turned(rows: int, inner: int, columns: int) -> None:
    x, w = rand(rows, inner), rand(columns, inner)
    if inner == columns:
        return
    error, written = _raised(lambda: x @ w)
    wanted = x @ w.T
    for found in (explained(error), explain_error(written)):
        torch.testing.assert_close(eval(found.instead[0]), wanted)


@settings(max_examples=40, deadline=None)
@given(rows=SIZES, more=st.integers(1, 9))
def test_a_last_batch_keeps_its_rows(rows: int, more: int) -> None:
    x = rand(rows, 1, 5, 5)
    error, _ = _raised(lambda: x.view(rows + more, 25))
    found = explained(error)
    assert found.what == f"Sizes ({rows + more}, 25) need {(rows + more) * 25} numbers, but x has {rows * 25}."
    torch.testing.assert_close(eval(found.instead[0]), x.view(rows, 25))


def test_of_two_layers_in_one_line_the_marked_one_is_named() -> None:
    written = """\
Traceback (most recent call last):
  File "net.py", line 9, in <module>
    self.fc3(F.relu(self.fc2(x)))
                    ^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/torch/nn/modules/module.py", line 1778, in _wrapped_call_impl
    return self._call_impl(*args, **kwargs)
  File "/usr/lib/python3.11/site-packages/torch/nn/modules/linear.py", line 134, in forward
    return F.linear(input, self.weight, self.bias)
RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x128 and 64x10)
"""
    assert explain_error(written).layer == "fc2"
    unmarked = explain_error("\n".join(line for line in written.splitlines() if "^" not in line))
    assert (unmarked.layer, unmarked.what) == (None, "nn.Linear(64, 10) takes 64, receives 128 numbers for each row.")


def _said(line: str, message: str) -> ErrorExplanation:
    """The explanation of a message whose traceback shows one line of the person's own, in which nothing is marked."""
    return explain_error(f'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    {line}\n{message}')


BROADCAST = "RuntimeError: The size of tensor a (10) must match the size of tensor b (64) at non-singleton dimension 1"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("p = e / s", "e and s"),
        ("return torch.sub(e, s)", "e and s"),
        ("e.mul(s)", "e and s"),
        ("e -= s", "e and s"),
        ("if (e == s).all():", "e and s"),
        ("for row in e - s:", "e and s"),
        ("p = e / s + b", "a and b"),  # which of the two it was is not told
        ("e.sub()", "a and b"),
        ("pass", "a and b"),
        ("p = (e /", "a and b"),
        (r"f('\d', e / s)", "e and s"),
        ("", "a and b"),
        (f"p = {'e' * 50} / s", "a and s"),
    ],
)
def test_what_met_is_named_where_the_line_tells_it(line: str, names: str) -> None:
    what = _said(line, BROADCAST).what
    assert what is not None
    assert what.startswith(f"{names} do not broadcast: along axis 1 one has size 10, the other 64.")


@pytest.mark.parametrize(
    ("line", "message", "instead"),
    [
        ("e / e.sum(1)", BROADCAST, "e / e.sum(1, keepdim=True)  # the sum of a row stays in its row"),
        ("e / torch.sum(e, 1)", BROADCAST, "e / torch.sum(e, 1, keepdim=True)  # the sum of a row stays in its row"),
        ("a @ b", BROADCAST, "the axes before the last two are equal on both sides, or 1"),
        ("torch.matmul(a, b)", BROADCAST, "the axes before the last two are equal on both sides, or 1"),
        (
            "e == y",
            BROADCAST.replace("dimension 1", "dimension 0"),
            "two tensors of one size, such as predictions and labels of one batch",
        ),
        (
            "x @ w",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1792x28 and 784x10)",
            "x.view(x.shape[0], -1) @ w  # if x holds images: each becomes a row",
        ),
        (
            "x @ w",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x7 and 784x10)",
            "w needs 7 rows, or x rows of 784 numbers",
        ),
        (
            "x @ w",
            "RuntimeError: expected m1 and m2 to have the same dtype, but got: float != double",
            "w.float()  # float32, as what it meets",
        ),
        ("torch.relu()", "TypeError: relu(): argument 'input' must be Tensor, not list", "torch.tensor(x)"),
        ("torch.relu(rows)", "TypeError: relu(): argument 'input' must be Tensor, not list", "torch.tensor(rows)"),
        ("labels.numpy()", "RuntimeError: Can't call numpy() on Tensor that requires grad.", "labels.detach().numpy()"),
        (
            "x.softmax(dim=2)",
            "IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)",
            "dim=1  # the last axis",
        ),
    ],
)
def test_the_advice_has_the_learners_own_names(line: str, message: str, instead: str) -> None:
    assert _said(line, message).instead[0] == instead


@pytest.mark.parametrize(
    ("program", "instead"),
    [
        (lambda x, w: x @ w.double(), "w.double().float()  # float32, as what it meets"),
        (lambda x, w: x.double() @ w.long(), "w.long().double()  # float64, as what it meets"),
        (lambda x, w: x.long() @ w.double(), "x.long().double()  # float64, as what it meets"),
        (
            lambda x, w: torch.cat([x, w], dim=1),
            "dim=0  # joins rows below each other, where the numbers of columns are equal",
        ),
        (lambda x, w: torch.cat([x, w]), "dim=1  # joins side by side, where the numbers of rows are equal"),
        (
            lambda x, w: nn.Conv2d(1, 1, 3)(x.view(-1, 16)),
            "x.view(-1, 1, 4, 4)  # rows of 16 become images with one channel",
        ),
        (lambda x, w: nn.Conv2d(1, 1, 3)(x), "x of shape (N, C, H, W), with C=1 for grey images"),
        (
            lambda x, w: nn.Conv2d(1, 1, 3, bias=False)(x.view(1, 1, 8, 6).double()),
            "x.float()  # float32, as what it meets",
        ),
        (lambda x, w: x & x, "x.long()  # whole numbers"),
        (lambda x, w: x.log_softmax(), "dim=1  # each row sums to one"),
    ],
)
def test_the_advice_follows_from_what_is_there(program: Callable[..., object], instead: str) -> None:
    error, _ = _raised(lambda: program(rand(8, 6), rand(6, 4)))
    assert explained(error).instead[0] == instead


DTYPES = (torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64], ids=str)
def test_every_dtype_is_called_as_in_python(dtype: torch.dtype) -> None:
    x, name = torch.ones(2, 3, dtype=dtype), str(dtype).removeprefix("torch.")
    for program, other in ((lambda: x @ rand(3, 2).double(), "float64"), (lambda: nn.Linear(3, 2)(x), "float32")):
        error, _ = _raised(program)
        assert explained(error).what == f"{name} meets {other}: a product takes numbers of one type on both sides."


def test_a_line_that_explain_does_not_take_is_left_to_the_message() -> None:
    def divide(e: torch.Tensor, held: list[torch.Tensor]) -> torch.Tensor:
        return e / held[0].to(e)

    error, _ = _raised(lambda: divide(rand(64, 10), [rand(64)]))
    found = explained(error)
    assert (found.code, len(found.instead)) == ("broadcast", 1)


def test_an_exception_without_words_or_frames() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    for error in (Odd(), ValueError()):
        found = explained(error)
        assert (found.code, found.message, found.place, found.layer) == (None, "", None, None)


# --- tracebacks of every kind


IPYTHON = """\
---------------------------------------------------------------------------
RuntimeError                              Traceback (most recent call last)
Cell In[4], line 2
      1 network = Network()
----> 2 network(images)

File /opt/lib/python3.12/site-packages/torch/nn/modules/module.py:1751, in Module._wrapped_call_impl(self, *args)
   1749     return self._compiled_call_impl(*args, **kwargs)
   1750 else:
-> 1751     return self._call_impl(*args, **kwargs)

Cell In[3], line 9, in Network.forward(self, x)
      8 def forward(self, x):
----> 9     return self.fc2(x)

File /opt/lib/python3.12/site-packages/torch/nn/modules/linear.py:125, in Linear.forward(self, input)
    124 def forward(self, input: Tensor) -> Tensor:
--> 125     return F.linear(input, self.weight, self.bias)

RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x128 and 64x10)
"""
COLAB = """\
---------------------------------------------------------------------------
RuntimeError                              Traceback (most recent call last)
<ipython-input-7-0d9a8e6f1a2b> in <cell line: 2>()
      1 network = Network()
----> 2 network(images)

/usr/local/lib/python3.10/dist-packages/torch/nn/modules/module.py in _call_impl(self, *args, **kwargs)
   1517         else:
-> 1518             return self._call_impl(*args, **kwargs)

<ipython-input-6-3f2a8e6f1a2b> in forward(self, x)
      8     def forward(self, x):
----> 9         return self.fc2(x)

/usr/local/lib/python3.10/dist-packages/torch/nn/modules/linear.py in forward(self, input)
--> 114         return F.linear(input, self.weight, self.bias)

RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x128 and 64x10)
"""


@pytest.mark.parametrize(
    ("written", "file"),
    [
        (IPYTHON, "In[3]"),
        (IPYTHON.replace("Cell In[3], line 9", "Input In [3], line 9"), "In [3]"),
        (re.sub("RuntimeError", "\x1b[0;31mRuntimeError\x1b[0m", IPYTHON), "In[3]"),
        (COLAB, "<ipython-input-6-3f2a8e6f1a2b>"),
        (COLAB.replace("<ipython-input-6-3f2a8e6f1a2b>", "~/lesson/net.py"), "~/lesson/net.py"),
    ],
)
def test_tracebacks_of_notebooks(written: str, file: str) -> None:
    found = explain_error(written)
    assert found.place is not None
    assert (found.place.file, found.place.line, found.place.source) == (file, 9, "return self.fc2(x)")
    assert found.place.function.rpartition(".")[2] == "forward"
    assert found.what == "fc2 takes 64, receives 128 numbers for each row."


def test_a_traceback_of_pytests() -> None:
    found = explain_error("""\
net.py:9: in forward
    return self.fc2(x)
           ^^^^^^^^^^^
/opt/lib/python3.12/site-packages/torch/nn/modules/linear.py:134: in forward
    return F.linear(input, self.weight, self.bias)
E   RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x128 and 64x10)
""")
    assert found.place == Frame("net.py", 9, "forward", "return self.fc2(x)", "self.fc2(x)")
    assert found.what == "fc2 takes 64, receives 128 numbers for each row."


def test_the_last_of_several_errors_counts() -> None:
    _, written = _raised(lambda: failing.Attribute()(rand(2)))
    first = "Traceback (most recent call last):\n  File 'x'\nValueError: first\n\nDuring handling …:\n\n"
    assert explain_error(first + written + "\nsome other output\n").code == "attribute"


@pytest.mark.parametrize(
    ("written", "kind", "message"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory.", "OutOfMemoryError", "CUDA out of memory."),
        ("E   IndexError: Target 10 is out of bounds.", "IndexError", "Target 10 is out of bounds."),
        ("RuntimeError: first\n\tsecond\n   third\nnext", "RuntimeError", "first\nsecond\nthird"),
        ("KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("ValueError:", "ValueError", ""),
    ],
)
def test_the_last_line_alone(written: str, kind: str, message: str) -> None:
    failure = read(written)
    assert failure is not None
    assert (failure.kind, failure.message, failure.frames) == (kind, message, ())
    assert "The line it comes from" not in explain_error(written).text


@pytest.mark.parametrize(("written", "got"), [("", "an empty text"), ("all went well\n", "all went well")])
def test_a_text_without_an_error_is_refused(written: str, got: str) -> None:
    with pytest.raises(DataError) as caught:
        explain_error(written)
    assert (caught.value.code, caught.value.got) == ("explain-no-error", got)


@pytest.mark.parametrize(
    ("lines", "what", "instead"),
    [
        ("torch.bmm(counts, w)", "int64 meets float32: a product takes numbers of one type on both sides.", "counts"),
        ("w @ counts", "float32 meets int64: a product takes numbers of one type on both sides.", "counts"),
    ],
)
def test_the_odd_one_of_a_batched_product_is_named(lines: str, what: str, instead: str) -> None:
    names = {"counts": torch.ones(2, 3, 3).long(), "w": rand(2, 3, 3), "torch": torch}
    error, _ = _raised(lambda: eval(lines, names))
    written = f'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    {lines}\nRuntimeError: {error}\n'
    found = explain_error(written)
    assert found.what == what
    assert found.instead == (f"{instead}.float()  # float32, as what it meets",)


def test_labels_of_an_older_version_are_told_by_the_loss_alone() -> None:
    message = "RuntimeError: expected scalar type Long but found Float"
    written = f"""\
Traceback (most recent call last):
  File "a.py", line 3, in f
    loss = criterion(x, y)
  File "/opt/lib/python3.9/site-packages/torch/nn/modules/loss.py", line 1150, in forward
    return F.cross_entropy(input, target, weight=self.weight,
  File "/opt/lib/python3.9/site-packages/torch/nn/functional.py", line 2846, in cross_entropy
    return torch._C._nn.cross_entropy_loss(input, target, weight)
{message}
"""
    assert explain_error(written).code == "target-dtype"
    assert explain_error(message).code == "dtypes"


def test_no_terminal_obeys_an_error() -> None:
    written = 'Traceback (most recent call last):\n  File "a\x07.py", line 3, in f\x9b2J\n    a\x1b]0;b\n'
    found = explain_error(written + "ValueError: no\x1b]0;title\x07\n  and\x9b2J")
    assert found.message == "no\\x1b]0;title\\x07\nand\\x9b2J"
    assert found.place == Frame("a\\x07.py", 3, "f\\x9b2J", "a\\x1b]0;b")
    assert found.text.startswith("ValueError: no\\x1b]0;title\\x07\n  a\\x07.py, line 3, in f\\x9b2J\n    a\\x1b]0;b\n")
    try:
        raise type("Own\x1b", (Exception,), {})("one\ntwo\x1b[2J")
    except Exception as error:
        found = explained(error)
    assert (found.kind, found.message) == ("Own\\x1b", "one\ntwo\\x1b[2J")


def test_the_last_error_of_a_long_text_is_explained() -> None:
    found = explain_error("ValueError: the first\n" + "epoch\n" * LONGEST + "KeyError: 'the last'\n")
    assert (found.kind, found.message) == ("KeyError", "'the last'")


PIECES = st.sampled_from(
    ["Traceback (most recent call last):", '  File "a.py", line 3, in f', "    a / b", "    ~~^~~", "----> 9 x", "",
     "é\x1b[1m", "ValueError: \x9b2J", "Cell In[3], line 9", "ValueError",
     '  File "linear.py", line 999999999999, in f',
     "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x128 and 64x64)",
     "RuntimeError: shape '[]' is invalid for input of size 0"]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.one_of(PIECES, st.text(max_size=30)), max_size=12))
def test_no_text_breaks_it(lines: list[str]) -> None:
    try:
        found = explain_error("\n".join(lines))
    except DataError:
        return
    assert found.to_json()["text"] == found.text
    for line in (*found.text.split("\n"), *found.message.split("\n"), *found.instead):
        assert line.isprintable()


def test_it_is_plain_data_and_a_picture_for_a_notebook() -> None:
    found = explain_error(IPYTHON)
    assert found.to_json() == {
        "code": "linear-features",
        "kind": "RuntimeError",
        "message": "mat1 and mat2 shapes cannot be multiplied (64x128 and 64x10)",
        "place": {"file": "In[3]", "line": 9, "function": "Network.forward", "source": "return self.fc2(x)"},
        "layer": "fc2",
        "what": "fc2 takes 64, receives 128 numbers for each row.",
        "instead": ["self.fc2 = nn.Linear(128, 10)  # or let the layer before it give 64"],
        "text": str(found),
    }
    assert "fc2 takes 64, receives 128" in found._repr_html_()
    assert explain_error("ValueError: x").to_json()["place"] is None
