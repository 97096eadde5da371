# A deeper network: 784 inputs, 128 and 64 hidden units with ReLU, 10 probabilities.
# Judge this file with:  sumtoone check relu_network.py
from torch import nn


class ReluNetwork(nn.Module):
    """784-128-64-10: ReLU after each hidden layer, softmax at the end."""

    def __init__(self):
        super().__init__()
        # TODO: make the layers

    def forward(self, x):
        """Return probabilities (N, 10) for flat images (N, 784)."""
        # TODO: pass x through the network
        raise NotImplementedError
