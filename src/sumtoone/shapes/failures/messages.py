"""PyTorch's own messages, read: which mistake each stands for, and the sizes and kinds in it. Nothing is guessed.

The messages are those of PyTorch 2.13 and, where they differ, of the versions before it that are still taught with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

# What a field of a message may hold; one without a kind is a whole number.
_KINDS = {
    "": r"-?\d{1,18}",
    "sizes": r"\[[\d, -]{0,200}\]",
    "word": r"[A-Za-z][\w.:]{0,60}",
    "dtype": r"(?:(?:unsigned|signed) char|(?:long|short) (?:int|long)|[A-Za-z][\w:<>]{0,30}?)",
    "place": r"(?:cuda\.)?",
    "rest": r".{1,120}",
}
_FIELD = re.compile(r"\{(\w*)(?::(\w+))?\}")

# A mistake's code, and how the messages of it begin. The first that fits counts.
_MESSAGES: tuple[tuple[str, str], ...] = (
    ("matmul", "mat1 and mat2 shapes cannot be multiplied ({rows}x{inner} and {other}x{columns})"),
    ("matmul-vector", "size mismatch, got input ({}), mat ({rows}x{inner}), vec ({other})"),
    ("dot", "inconsistent tensor size, expected tensor [{left}] and src [{right}] to have the same number of elements"),
    (
        "batch-matmul",
        "Expected size for first two dimensions of batch2 tensor to be: [{}, {inner}] but got: [{}, {other}]",
    ),
    ("matrix-rank", "self must be a matrix"),
    ("matrix-rank", "mat2 must be a matrix"),
    ("matrix-rank", "t() expects a tensor with <= 2 dimensions"),
    (
        "broadcast",
        "The size of tensor a ({left}) must match the size of tensor b ({right}) at non-singleton dimension {axis}",
    ),
    ("in-place-shape", "output with shape {shape:sizes} doesn't match the broadcast shape {wanted:sizes}"),
    (
        "expand",
        "The expanded size of the tensor ({wanted}) must match the existing size ({size}) at non-singleton dimension "
        "{axis}.  Target sizes: {target:sizes}.  Tensor sizes: {shape:sizes}",
    ),
    ("view", "shape '{sizes:sizes}' is invalid for input of size {elements}"),
    ("view-layout", "view size is not compatible with input tensor's size and stride"),
    ("view-two", "only one dimension can be inferred"),
    ("target-dtype", "expected target dtype to be Long or Byte, but got {found:word}"),
    ("dtypes", "mat1 and mat2 must have the same dtype, but got {left:dtype} and {right:dtype}"),
    ("dtypes", "expected m1 and m2 to have the same dtype, but got: {left:dtype} != {right:dtype}"),
    ("dtypes", "Input type ({left:dtype}) and bias type ({right:dtype}) should be the same"),
    (
        "tensor-types",
        "Input type (torch.{left_place:place}{left:dtype}Tensor) and weight type "
        "(torch.{right_place:place}{right:dtype}Tensor) should be the same",
    ),
    ("dtypes", "expected scalar type {expected:word} but found {found:word}"),
    ("dtypes", "Found dtype {found:word} but expected {expected:word}"),
    ("target-probabilities", "Expected floating point type for target with class probabilities, got {found:word}"),
    ("not-for-dtype", "\"{operation:word}\" not implemented for '{found:word}'"),
    (
        "mean-dtype",
        "mean(): could not infer output dtype. Input dtype must be either a floating point",
    ),
    ("in-place-dtype", "result type {found:word} can't be cast to the desired output type {wanted:word}"),
    ("index-dtype", "tensors used as indices must be long, int, byte or bool tensors"),
    ("one-hot-dtype", "one_hot is only applicable to index tensor of type LongTensor"),
    ("one-hot-range", "Class values must be smaller than num_classes"),
    ("boolean-minus", "Subtraction, the `-` operator, with two bool tensors is not supported"),
    ("boolean-minus", "Subtraction, the `-` operator, with a bool tensor is not supported"),
    ("dimension", "Dimension out of range (expected to be in range of [{low}, {high}], but got {axis})"),
    ("dimension-none", "Dimension specified as {axis} but tensor has no dimensions"),
    ("batch-sizes", "Expected input batch_size ({rows}) to match target batch_size ({labels})"),
    ("spatial", "only batches of spatial targets supported (3D tensors) but got targets of dimension: {rank}"),
    ("spatial", "only batches of spatial targets supported (3D tensors) but got targets of size: : {rank:sizes}"),
    ("target-size", "Expected target size {wanted:sizes}, got {found:sizes}"),
    ("target-rank", "0D or 1D target tensor expected, multi-target not supported"),
    ("logits-rank", "For 1D input, 1D target must have size 1, but got target size: {labels}"),
    ("target-range", "Target {label} is out of bounds"),
    (
        "target-shape",
        "Using a target size (torch.Size({found:sizes})) that is different to the input size "
        "(torch.Size({wanted:sizes}))",
    ),
    (
        "target-shape",
        "Target size (torch.Size({found:sizes})) must be the same as input size (torch.Size({wanted:sizes}))",
    ),
    ("probability-range", "all elements of input should be between 0 and 1"),
    ("forward-missing", 'Module [{kind:word}] is missing the required "forward" function'),
    ("super-missing", "cannot assign module before Module.__init__() call"),
    ("super-missing", "cannot assign parameter before Module.__init__() call"),
    ("super-missing", "cannot assign parameters before Module.__init__() call"),
    ("super-missing", "'{:word}' object has no attribute '_backward_hooks'"),
    ("super-missing", "'{:word}' object has no attribute '_parameters'"),
    ("super-missing", "'{:word}' object has no attribute '_modules'"),
    ("iterator-next", "'_SingleProcessDataLoaderIter' object has no attribute 'next'"),
    ("iterator-next", "'_MultiProcessingDataLoaderIter' object has no attribute 'next'"),
    ("attribute", "'{kind:word}' object has no attribute '{name:word}'"),
    ("forward-self", "{kind:word}.forward() takes 1 positional argument but 2 were given"),
    ("forward-self", "forward() takes 1 positional argument but 2 were given"),
    ("forward-count", "{kind:word}.forward() takes {taken} positional arguments but {given} were given"),
    ("forward-input", "{kind:word}.forward() missing {count} required positional argument: {names:rest}"),
    ("forward-input", "{kind:word}.forward() missing {count} required positional arguments: {names:rest}"),
    ("linear-outputs", "Linear.__init__() missing 1 required positional argument: 'out_features'"),
    ("not-a-layer", "{given:word} is not a Module subclass"),
    ("no-gradient", "element 0 of tensors does not require grad and does not have a grad_fn"),
    (
        "in-place-needed",
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        "[{:word} {shape:sizes}], which is output {} of {step:word}",
    ),
    (
        "in-place-leaf",
        "a leaf Variable that requires grad is being used in an in-place operation",
    ),
    ("in-place-leaf", "a view of a leaf Variable that requires grad is being used in an in-place operation"),
    ("in-place-view", "Output {} of {step:word} is a view and is being modified inplace"),
    ("backward-twice", "Trying to backward through the graph a second time"),
    ("backward-vector", "grad can be implicitly created only for scalar outputs"),
    ("numpy-gradient", "Can't call numpy() on Tensor that requires grad"),
    ("numpy-device", "can't convert {device:word} device type tensor to numpy"),
    ("argument-type", "{function:word}(): argument '{name:word}' (position {}) must be Tensor, not {found:word}"),
    ("argument-type", "{function:word}(): argument '{name:word}' must be Tensor, not {found:word}"),
    ("dim-missing", '{function:word}() missing 1 required positional arguments: "dim"'),
    ("one-element", "a Tensor with {} elements cannot be converted to Scalar"),
    ("one-element", "only one element tensors can be converted to Python scalars"),
    ("truth", "Boolean value of Tensor with more than one value is ambiguous"),
    (
        "devices",
        "Expected all tensors to be on the same device, but found at least two devices, {left:word} and {right:word}",
    ),
    (
        "devices",
        "Expected all tensors to be on the same device, but got {:word} is on {left:word}, "
        "different from other tensors on {right:word}",
    ),
    ("devices", "Tensor on device {left:word} is not on the expected device {right:word}"),
    ("index-device", "indices should be either on cpu or on the same device as the indexed tensor ({device:word})"),
    ("cuda-assert", "CUDA error: device-side assert triggered"),
    (
        "batch-norm-row",
        "Expected more than 1 value per channel when training, got input size torch.Size({shape:sizes})",
    ),
    ("norm-features", "running_mean should contain {receives} elements not {takes}"),
    (
        "cat-sizes",
        "Sizes of tensors must match except in dimension {axis}. Expected size {wanted} but got size {size} "
        "for tensor number {number} in the list",
    ),
    ("cat-ranks", "Tensors must have same number of dimensions: got {left} and {right}"),
    (
        "stack",
        "stack expects each tensor to be equal size, but got {left:sizes} at entry {first} "
        "and {right:sizes} at entry {second}",
    ),
    ("index-range", "index {index} is out of bounds for dimension {axis} with size {size}"),
    ("index-many", "too many indices for tensor of dimension {rank}"),
    ("index-pairs", "shape mismatch: indexing tensors could not be broadcast together with shapes {shapes:rest}"),
    (
        "mask",
        "The shape of the mask {mask:sizes} at index {axis} does not match the shape of the indexed tensor "
        "{shape:sizes}",
    ),
    ("embedding-range", "index out of range in self"),
    (
        "conv-channels",
        "Given groups=1, weight of size {:sizes}, expected input{shape:sizes} to have {takes} channels, "
        "but got {receives} channels instead",
    ),
    (
        "conv-axes",
        "Expected {}D (unbatched) or {most}D (batched) input to {operation:word}, but got input of size: {shape:sizes}",
    ),
    ("optimizer-empty", "optimizer got an empty parameter list"),
)


@dataclass(frozen=True)
class Reading:
    """What a message says: the mistake's code, and the sizes and kinds in it as they are written there."""

    code: str
    fields: Mapping[str, str]

    def number(self, name: str) -> int:
        """Return a field as a whole number."""
        return int(self.fields[name])

    def sizes(self, name: str) -> tuple[int, ...]:
        """Return a field as sizes."""
        return tuple(map(int, re.findall(r"-?\d+", self.fields[name])))


def recognised(message: str) -> Reading | None:
    """Return what a message of PyTorch's says; None where it is none of those that are known.

    >>> recognised("Target 10 is out of bounds.")
    Reading(code='target-range', fields={'label': '10'})
    >>> recognised("something else")
    """
    for code, pattern in _compiled():
        match = pattern.match(message)
        if match is not None:
            return Reading(code, match.groupdict())
    return None


def codes() -> tuple[str, ...]:
    """Return the code of every mistake that is known, in the order in which messages are compared."""
    return tuple(dict.fromkeys(code for code, _ in _MESSAGES))


@cache
def _compiled() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((code, re.compile(_pattern(template))) for code, template in _MESSAGES)


def _pattern(template: str) -> str:
    """Return the regular expression of a message whose fields stand in braces."""
    pattern, end = "", 0
    for field in _FIELD.finditer(template):
        inner = _KINDS[field[2] or ""]
        pattern += re.escape(template[end : field.start()])
        pattern += f"(?P<{field[1]}>{inner})" if field[1] else f"(?:{inner})"
        end = field.end()
    return pattern + re.escape(template[end:]) + r"(?![\w(])"
