"""Makes `src/losses/perceptual/lpips/weights.safetensors`, the linear weights of LPIPS that the crate has inside.

They come from the package lpips 0.1.4 as pip installs it. Each of its six files is checked by its SHA-256 first. The
tensors are called `{version}.{network}.{tap}` and keep their numbers: f32, one for each channel. The package's licence
goes into the file's metadata and, as `LICENSE`, beside it.

Running the script again gives the same bytes. With `--check` it compares them with the files that are there.
"""

import hashlib
import importlib.metadata
import sys

import peer_env

# File: SHA-256.
FILES = {
    "0.0/alex": "18720f55913d0af89042f13faa7e536a6ce1444a0914e6db9461355ece1e8cd5",
    "0.0/vgg": "b9e4236260c3dd988fc79d2a48d645d885afcbb21f9fd595e6744cf7419b582c",
    "0.0/squeeze": "c27abd3a0145541baa50990817df58d3759c3f8154949f42af3b59b4e042d0bf",
    "0.1/alex": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "0.1/vgg": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    "0.1/squeeze": "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
}
TORCHVISION = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
FOLDER = peer_env.REPOSITORY / "src" / "losses" / "perceptual" / "lpips"


def weights(package):
    import io

    import torch

    found = {}
    for name, sha256 in FILES.items():
        version, net = name.split("/")
        data = package.locate_file(f"lpips/weights/v{name}.pth").read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            sys.exit(f"lpips/weights/v{name}.pth is another file")
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        for tap in range(len(state)):
            weight = state[f"lin{tap}.model.1.weight"]
            assert weight.dtype == torch.float32 and (weight >= 0).all()
            found[f"{version}.{TORCHVISION[net]}.{tap}"] = weight.flatten()
    return found


def main(options):
    from safetensors.torch import save

    package = importlib.metadata.distribution("lpips")
    notice = package.read_text("LICENSE")
    metadata = {"source": f"lpips {package.version}, lpips/weights", "license": notice}
    made = {"weights.safetensors": save(weights(package), metadata), "LICENSE": notice.encode()}
    for name, data in made.items():
        path = FOLDER / name
        if not options.check:
            path.write_bytes(data)
        elif not path.exists() or path.read_bytes() != data:
            sys.exit(f"{path} differs")
        print(f"{name}: {len(data)} bytes")


if __name__ == "__main__":
    PARSER = peer_env.parser(__doc__)
    PARSER.add_argument("--check", action="store_true", help="write nothing; fail if the files differ")
    OPTIONS = PARSER.parse_args()
    peer_env.ensure(["torch==2.13.0", "numpy==2.4.6", "safetensors==0.8.0", "lpips==0.1.4"])
    main(OPTIONS)
