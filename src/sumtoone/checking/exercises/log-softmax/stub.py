# The logarithm of softmax, right even where a probability is too small for float32.
# Judge this file with:  sumtoone check log_softmax.py
import torch


def log_softmax(x):
    """Return the logarithm of the probabilities of each row of logits: (N, K) to (N, K)."""
    # TODO: your code here
    raise NotImplementedError
