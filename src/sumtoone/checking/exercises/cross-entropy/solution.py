import torch


def cross_entropy(logits, labels):
    """Return the mean cross entropy: logits (N, K) and labels (N,) to one number ()."""
    shifted = logits - logits.max(dim=1, keepdim=True).values
    log_probabilities = shifted - torch.log(torch.exp(shifted).sum(dim=1, keepdim=True))
    return -log_probabilities[torch.arange(len(labels)), labels].mean()
