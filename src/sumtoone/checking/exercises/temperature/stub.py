# Softmax with a temperature.
# Judge this file with:  sumtoone check temperature.py
import torch


def softmax_with_temperature(logits, temperature):
    """Return probabilities that grow more equal as the temperature rises: (N, K) to (N, K)."""
    # TODO: your code here
    raise NotImplementedError
