def linear(x, weight, bias):
    """Return a linear layer's output: x (N, in), weight (out, in) and bias (out,) to (N, out)."""
    return x @ weight.T + bias
