"""Exports .pth files with all the tensors of torchvision's VGG19 in some kilobytes: tests/fixtures/weights/*.

    python3 scripts/export_weights_fixtures.py      # from any directory; fetches pinned packages once, see peer_env.py

Every tensor is a view of one small storage, by strides with which its elements share memory. wrapped/ has the
convolutional part, with the names that wrappers of a network give to its parameters.
"""

from collections import OrderedDict
from pathlib import Path

import peer_env

if __name__ == "__main__":
    peer_env.parser(__doc__).parse_args()

peer_env.ensure(["torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6"])

import torch  # noqa: E402
import torchvision  # noqa: E402

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "weights"
SIZE_LIMIT = 70_000


def strides(shape):
    """Steps that stay within the storage, and zero where the tensor is too long for that."""
    return {1: (int(shape[0] <= 512),), 2: (0, 0), 4: (1, 1, 7, 3)}[len(shape)]


def wrapped(network, state):
    """Files as people have them: of a wrapped network, and of a checkpoint with the network somewhere in it."""

    def renamed(names):
        """The state with other names, which are in the same order."""
        return {name: tensor for name, tensor in zip(names, state.values(), strict=True) if "features." in name}

    plain = renamed(state)
    files = {
        "data_parallel": renamed(torch.nn.DataParallel(network).state_dict()),
        "compiled": renamed(torch.compile(network).state_dict()),
        "both": {"epoch": 3, "state_dict": renamed(torch.nn.DataParallel(torch.compile(network)).state_dict())},
        "nested": {"epoch": 3, "state_dict": {"model": plain}},
        "nested_otherwise": {"model": {"state_dict": plain}},
        # Which of the two is meant?
        "ambiguous": {"module": plain, "_orig_mod": plain},
    }
    (FIXTURES / "wrapped").mkdir(exist_ok=True)
    for name, content in files.items():
        torch.save(content, FIXTURES / "wrapped" / f"{name}.pth", _use_new_zipfile_serialization=False)


def main():
    with torch.device("meta"):
        network = torchvision.models.vgg19(weights=None)
    generator = torch.Generator().manual_seed(0)
    storage = (torch.rand(1100, generator=generator) - 0.5) / 8
    state = OrderedDict()
    for name, tensor in network.state_dict().items():
        state[name] = storage.as_strided(tensor.shape, strides(tensor.shape))
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for form, zipped in {"zip": True, "legacy": False}.items():
        torch.save(state, FIXTURES / f"vgg19_{form}.pth", _use_new_zipfile_serialization=zipped)
    wrapped(network, state)
    size = sum(path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file())
    assert size <= SIZE_LIMIT, f"{size} bytes"


if __name__ == "__main__":
    main()
