"""A script that trains the network as a user of PyTorch would: tensors in memory, no DataLoader.

    PYTHONPATH=benchmarks python -m rivals.plain_torch --data data/mnist --threads 2 --out model.pt

Prints the accuracy on the test images as one JSON object.
"""

import json

import torch
from rivals.mnist import Images, read_mnist
from rivals.plain import arguments
from torch import nn
from torch.nn.functional import cross_entropy


def tensors(images: Images) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels and labels as tensors."""
    return torch.from_numpy(images.pixels), torch.from_numpy(images.labels).long()


def main() -> None:
    """Train, save, score."""
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    data = read_mnist(options.data)
    pixels, labels = tensors(data.train)
    model = nn.Sequential(nn.Linear(784, options.hidden), nn.ReLU(), nn.Linear(options.hidden, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=options.learning_rate, fused=True)
    for _ in range(options.epochs):
        for rows in torch.randperm(len(labels)).split(options.batch):
            loss = cross_entropy(model(pixels[rows].float() / 255), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.save(model.state_dict(), options.out)
    pixels, labels = tensors(data.test)
    with torch.no_grad():
        right = model(pixels.float() / 255).argmax(dim=1) == labels
    print(json.dumps({"test_accuracy": right.double().mean().item()}))


if __name__ == "__main__":
    main()
