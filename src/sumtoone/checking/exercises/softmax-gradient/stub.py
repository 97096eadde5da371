# The gradient of the mean cross entropy with respect to the logits, by hand.
# Judge this file with:  sumtoone check softmax_gradient.py
import torch


def softmax_gradient(logits, labels):
    """Return the gradient of the mean cross entropy: logits (N, K) and labels (N,) to (N, K)."""
    # TODO: your code here
    raise NotImplementedError
