import torch
from torch import nn


class Network(nn.Module):
    """784-256-10: sigmoid after the hidden layer, softmax at the end."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 256)
        self.output = nn.Linear(256, 10)

    def forward(self, x):
        """Return probabilities (N, 10) for flat images (N, 784)."""
        x = torch.sigmoid(self.hidden(x))
        return torch.softmax(self.output(x), dim=1)
