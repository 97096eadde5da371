# A network by hand: 784 inputs, 256 hidden units with a sigmoid, 10 outputs.
# Judge this file with:  sumtoone check handmade_network.py
import torch

# The batch of the lesson, (64, 1, 28, 28), is there under this name when the file is judged:
# images


def activation(x):
    """The sigmoid function of each element."""
    raise NotImplementedError


# TODO: flatten the images to (64, 784)
inputs = ...

# TODO: draw the weights and biases of both layers with torch.randn

# TODO: compute the ten logits of each image, (64, 10)
out = ...
