import torch


def activation(x):
    """Return the sigmoid of each element."""
    return 1 / (1 + torch.exp(-x))


inputs = images.view(images.shape[0], -1)  # (64, 784)

w1 = torch.randn(784, 256)
b1 = torch.randn(256)
w2 = torch.randn(256, 10)
b2 = torch.randn(10)

h = activation(torch.mm(inputs, w1) + b1)  # (64, 256)
out = torch.mm(h, w2) + b2  # (64, 10)
