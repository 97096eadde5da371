# A linear layer by hand: what nn.Linear computes.
# Judge this file with:  sumtoone check linear.py
import torch


def linear(x, weight, bias):
    """Return a linear layer's output: x (N, in), weight (out, in) and bias (out,) to (N, out)."""
    # TODO: your code here
    raise NotImplementedError
