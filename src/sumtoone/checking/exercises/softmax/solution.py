import torch


def softmax(x):
    """Return the probabilities of each row of logits: (N, K) to (N, K)."""
    # keepdim stands the sums up as a column (N, 1), so that each row is divided by its own.
    return torch.exp(x) / torch.sum(torch.exp(x), dim=1, keepdim=True)
