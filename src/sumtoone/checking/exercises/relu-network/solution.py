from torch import nn
from torch.nn import functional as F


class ReluNetwork(nn.Module):
    """784-128-64-10: ReLU after each hidden layer, softmax at the end."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x):
        """Return probabilities (N, 10) for flat images (N, 784)."""
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return F.softmax(self.fc3(x), dim=1)
