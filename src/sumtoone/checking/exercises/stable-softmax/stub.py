# A softmax that bears large numbers.
# Judge this file with:  sumtoone check stable_softmax.py
import torch


def stable_softmax(x):
    """Return the probabilities of each row of logits, however large: (N, K) to (N, K)."""
    # TODO: your code here
    raise NotImplementedError
