"""What the rows of losses on numbers have in common; rows.py has those on images. Imports torch."""

from pathlib import Path

import safetensors.torch
import torch


class NumbersRow:
    """A row with a `work`, as both sides call it, and a `shape`."""

    compute = "f32"
    moved = None
    flavours = ("ours", "eager", "compiled")
    # An objective's file, where the work does not say which loss it is.
    objective = ""

    @property
    def name(self):
        return f"{self.work}/f32/{'x'.join(map(str, self.shape))}"

    def environment(self, device):
        return {} if device == "cpu" else {"NVIDIA_TF32_OVERRIDE": "0"}

    def setup(self, folder, device):
        torch.manual_seed(0)
        path = Path(folder) / "tensors.safetensors"
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in self.tensors().items()}, path)
        return {
            "work": self.work,
            "compute": self.compute,
            "images": str(path),
            "weights": "",
            "objective": self.objective,
            "device": device,
        }
