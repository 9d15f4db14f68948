"""Exports what PyTorch makes of image files, for the tests of the command line: tests/fixtures/cli.json.

    python3 scripts/export_cli_fixtures.py          # from any directory; fetches pinned packages once, see peer_env.py

Writes small images of every kind that `tch-losses compare` reads to tests/fixtures/cli/, and for each the losses
against real.png: {file name: {"signed": {"l1": ..}, "unit": {"l1": ..}}}. PNG samples are what they were made from;
JPEGs are decoded again, by libjpeg-turbo; WebP, TIFF and BMP files are written, and decoded again, by Pillow, which also
turns a JPEG with an EXIF orientation upright. VGG19 has the weights of export_fixtures.py.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import peer_env

if __name__ == "__main__":
    peer_env.parser(__doc__).parse_args()

peer_env.ensure(["torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6", "safetensors==0.8.0", "pillow==13.0.0"])

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torchvision.io  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402
from torch import nn  # noqa: E402

from export_fixtures import Laplacian, Sobel, VGGPerceptual, vgg19_features  # noqa: E402

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures"
TAPS = [("relu1_2", 1.0), ("relu2_2", 1.0), ("relu3_3", 1.0)]
LOSSES = {
    "l1": nn.L1Loss(),
    "mse": nn.MSELoss(),
    "sobel": Sobel(),
    "laplacian": Laplacian(),
    "vgg": VGGPerceptual(*vgg19_features(), TAPS, "l1", "none"),
}
HEIGHT, WIDTH = 19, 23
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


def png(samples, colour_type, depth, palette=None, transparency=None):
    """A PNG file of `[H, W, C]` samples."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = samples.shape
    if depth == 1:
        rows = np.packbits(samples[:, :, 0].astype(np.uint8), axis=1)
    else:
        rows = samples.astype({8: ">u1", 16: ">u2"}[depth]).reshape(height, -1)
    chunks = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    if palette is not None:
        chunks += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if transparency is not None:
        chunks += chunk(b"tRNS", bytes(transparency))
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def unit(samples, largest):
    """`[H, W, C]` samples as `[1, 3, H, W]` from 0 to 1."""
    array = samples.astype(np.float32) / np.float32(largest)
    return torch.from_numpy(np.broadcast_to(array, (*array.shape[:2], 3)).transpose(2, 0, 1)[None].copy())


def losses(fake, real):
    values = {}
    for name, apply in {"signed": lambda x: x * 2 - 1, "unit": lambda x: x}.items():
        values[name] = {key: loss(apply(fake), apply(real)).item() for key, loss in LOSSES.items()}
    return values


def main():
    directory = FIXTURES / "cli"
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([np.sin(x / 5 + y / 9), np.cos(x / 7), np.sin(y / 4) * np.cos(x / 6)], axis=2)
    colour8 = np.clip(np.rint(127.5 + 110 * smooth + rng.normal(0, 6, smooth.shape)), 0, 255)
    colour16 = colour8 * 257 - rng.integers(0, 257, smooth.shape) * (colour8 > 0)
    grey8, grey16 = colour8[:, :, :1], colour16[:, :, :1]
    alpha8, alpha16 = rng.integers(0, 256, (HEIGHT, WIDTH, 1)), rng.integers(0, 65536, (HEIGHT, WIDTH, 1))
    palette = rng.integers(0, 256, (7, 3))
    indices = rng.integers(0, 7, (HEIGHT, WIDTH, 1))
    bits = rng.integers(0, 2, (HEIGHT, WIDTH, 1))

    real8 = np.clip(np.rint(127.5 + 120 * smooth[::-1]), 0, 255)
    real = unit(real8, 255)
    (directory / "real.png").write_bytes(png(real8, RGB, 8))
    indexed = unit(palette[indices[:, :, 0]], 255)
    cases = {
        "rgb8.png": (png(colour8, RGB, 8), unit(colour8, 255)),
        "rgb16.png": (png(colour16, RGB, 16), unit(colour16, 65535)),
        "grey1.png": (png(bits, GREY, 1), unit(bits, 1)),
        "grey8.png": (png(grey8, GREY, 8), unit(grey8, 255)),
        "grey16.png": (png(grey16, GREY, 16), unit(grey16, 65535)),
        "palette.png": (png(indices, PALETTE, 8, palette), indexed),
        "palette_alpha.png": (png(indices, PALETTE, 8, palette, [0, 99, 255]), indexed),
        "grey8_alpha.png": (png(np.concatenate([grey8, alpha8], 2), GREY_ALPHA, 8), unit(grey8, 255)),
        "rgb8_alpha.png": (png(np.concatenate([colour8, alpha8], 2), RGB_ALPHA, 8), unit(colour8, 255)),
        "rgb16_alpha.png": (png(np.concatenate([colour16, alpha16], 2), RGB_ALPHA, 16), unit(colour16, 65535)),
    }
    for name, samples in {"rgb.jpg": colour8, "grey.jpg": grey8}.items():
        pixels = torch.from_numpy(samples.astype(np.uint8)).permute(2, 0, 1).contiguous()
        file = torchvision.io.encode_jpeg(pixels, quality=95)
        decoded = torchvision.io.decode_jpeg(file, torchvision.io.ImageReadMode.RGB).permute(1, 2, 0).numpy()
        cases[name] = (file.numpy().tobytes(), unit(decoded, 255))

    def written(samples, file_format, **options):
        """A file that Pillow writes, with the image that Pillow reads from it."""
        file = io.BytesIO()
        image = samples if isinstance(samples, Image.Image) else Image.fromarray(samples)
        image.save(file, file_format, **options)
        decoded = ImageOps.exif_transpose(Image.open(file))
        if decoded.mode == "I;16":
            return file.getvalue(), unit(np.asarray(decoded)[:, :, None], 65535)
        return file.getvalue(), unit(np.asarray(decoded.convert("RGB")), 255)

    bytes8 = colour8.astype(np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned right by a quarter
    cases |= {
        "rgb.webp": written(bytes8, "WEBP", lossless=True),
        "rgb_alpha.webp": written(np.concatenate([bytes8, alpha8.astype(np.uint8)], 2), "WEBP", lossless=True, exact=True),
        "rgb.tif": written(bytes8, "TIFF", compression="tiff_lzw"),
        "grey16.tif": written(grey16[:, :, 0].astype(np.uint16), "TIFF"),
        "rgb.bmp": written(bytes8, "BMP"),
        "palette.bmp": written(Image.fromarray(bytes8).quantize(16), "BMP"),
        "lossy.webp": written(bytes8, "WEBP", quality=95),
        "turned.jpg": written(np.rot90(bytes8).copy(), "JPEG", quality=95, exif=turned),
        "cmyk.jpg": written(Image.fromarray(bytes8).convert("CMYK"), "JPEG", quality=95),
    }

    expected = {}
    for name, (file, image) in sorted(cases.items()):
        (directory / name).write_bytes(file)
        expected[name] = losses(image, real)
    (FIXTURES / "cli.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{len(cases) + 1} images in {directory}, {sum(len(file) for file, _ in cases.values())} bytes")


if __name__ == "__main__":
    main()
