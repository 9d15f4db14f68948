"""Other training processes, beside which is measured: a small convolutional network in PyTorch, with as many threads as
PyTorch takes by itself.
"""

import subprocess
import sys


class Neighbours:
    """Trains in `count` processes within the `with`; `command` starts one, which says when it has begun."""

    def __init__(self, command, count):
        self.command, self.count, self.processes = command, count, []

    def __enter__(self):
        try:
            for _ in range(self.count):
                process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                self.processes.append(process)
            for process in self.processes:
                if not process.stdout.readline():
                    sys.exit("bench_peers: a neighbour did not begin to train")
        except BaseException:
            self.__exit__()
            raise
        return self

    def check(self):
        """Figures beside fewer than were asked for are none."""
        if any(process.poll() is not None for process in self.processes):
            sys.exit("bench_peers: a neighbour ended early")

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def train(device):
    """Steps of training until the process is ended, or its parent is gone."""
    import select

    import torch
    from torch import nn
    from torch.nn import functional as F

    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()]
    layers += [nn.Conv2d(64, 128, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)]
    network = nn.Sequential(*layers).to(device)
    optimizer = torch.optim.Adam(network.parameters())
    images, labels = torch.rand(16, 3, 64, 64, device=device), torch.randint(10, (16,), device=device)
    steps = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        steps += 1
        if steps == 3:
            print("training", flush=True)
