import torch


def stable_softmax(x, dim=1):
    """Return the probabilities of each row of logits, however large: (N, K) to (N, K)."""
    # The largest exponent is 0, so that nothing overflows and no sum is 0.
    exponentials = torch.exp(x - x.max(dim=dim, keepdim=True).values)
    return exponentials / exponentials.sum(dim=dim, keepdim=True)
