"""Exports .pth files with all the tensors of torchvision's VGG19 in some kilobytes: tests/fixtures/weights/*.

    python3 scripts/export_weights_fixtures.py      # from any directory; fetches pinned packages once, see peer_env.py

Every tensor is a view of one small storage, by strides with which its elements share memory.
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
SIZE_LIMIT = 30_000


def strides(shape):
    """Steps that stay within the storage, and zero where the tensor is too long for that."""
    return {1: (int(shape[0] <= 512),), 2: (0, 0), 4: (1, 1, 7, 3)}[len(shape)]


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
    size = sum(path.stat().st_size for path in FIXTURES.iterdir())
    assert size <= SIZE_LIMIT, f"{size} bytes"


if __name__ == "__main__":
    main()
