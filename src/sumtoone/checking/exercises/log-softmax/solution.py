import torch


def log_softmax(x, dim=1):
    """Return the logarithm of the probabilities of each row of logits: (N, K) to (N, K)."""
    shifted = x - x.max(dim=dim, keepdim=True).values
    return shifted - torch.log(torch.exp(shifted).sum(dim=dim, keepdim=True))
