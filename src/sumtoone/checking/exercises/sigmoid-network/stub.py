# A network as a class: 784 inputs, 256 hidden units with a sigmoid, 10 probabilities.
# Judge this file with:  sumtoone check sigmoid_network.py
from torch import nn


class Network(nn.Module):
    """784-256-10: sigmoid after the hidden layer, softmax at the end."""

    def __init__(self):
        super().__init__()
        # TODO: make the layers

    def forward(self, x):
        """Return probabilities (N, 10) for flat images (N, 784)."""
        # TODO: pass x through the network
        raise NotImplementedError
