# Softmax: each row of logits becomes probabilities that sum to 1.
# Judge this file with:  sumtoone check softmax.py
import torch


def softmax(x):
    """Return the probabilities of each row of logits: (N, K) to (N, K)."""
    # TODO: your code here
    raise NotImplementedError
