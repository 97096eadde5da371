# Cross entropy from logits: the mean over the rows.
# Judge this file with:  sumtoone check cross_entropy.py
import torch


def cross_entropy(logits, labels):
    """Return the mean cross entropy: logits (N, K) and labels (N,) to one number ()."""
    # TODO: your code here
    raise NotImplementedError
