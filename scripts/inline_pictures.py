"""Makes `src/pictures/*.md`: the pictures of the documentation, as text that becomes a part of its pages.

docs.rs shows no files beside the pages. The pictures are those of `docs`, smaller, as WebP in data URIs. Run it after one
of them has changed. `test_package.py` checks what is there.
"""

import base64
import io

import peer_env

# Name, as in `![What it shows][picture-NAME]`: file, width in pixels, quality.
PICTURES = {
    "sobel": ("docs/sobel.jpg", 760, 70),
    "sensitivity": ("docs/atlas/sensitivity.jpg", 860, 60),
    "curves": ("docs/curves.png", 760, 65),
}
FOLDER = peer_env.REPOSITORY / "src" / "pictures"


def main():
    from PIL import Image

    for name, (file, width, quality) in PICTURES.items():
        with Image.open(peer_env.REPOSITORY / file) as picture:
            height = round(picture.height * width / picture.width)
            small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        data = io.BytesIO()
        small.save(data, "WEBP", quality=quality, method=6)
        address = base64.b64encode(data.getvalue()).decode()
        (FOLDER / f"{name}.md").write_text(f"[picture-{name}]: data:image/webp;base64,{address}\n")
        print(f"{name}: {width} x {height}, {data.tell()} bytes")


if __name__ == "__main__":
    peer_env.parser(__doc__).parse_args()
    peer_env.ensure(["pillow==13.0.0"])
    main()
