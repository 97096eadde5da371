import torch


def softmax_gradient(logits, labels):
    """Return the gradient of the mean cross entropy: logits (N, K) and labels (N,) to (N, K)."""
    exponentials = torch.exp(logits - logits.max(dim=1, keepdim=True).values)
    gradient = exponentials / exponentials.sum(dim=1, keepdim=True)
    gradient[torch.arange(len(labels)), labels] -= 1
    return gradient / len(labels)
