#!/usr/bin/env python3
"""Tests that what is published stands alone: no page of the package points to what is not there.

Run, after `cargo package` and `cargo doc --no-deps --features cli,tensorboard`: python3 scripts/test_package.py
"""

import base64
import os
import re
import subprocess
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
DOCUMENTATION = "https://docs.rs/tch-losses/latest/"
# [text](address) and ![text](address).
LINK = re.compile(r"(!?)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
PICTURES = (".png", ".jpg", ".svg")


def package():
    version = re.search(r'^version = "(.*)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)[1]
    return TARGET / "package" / f"tch-losses-{version}"


def anchors(markdown):
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pages():
    """The Markdown files of the package, and those alone that are no part of the documentation."""
    found = [path for path in package().rglob("*.md") if "src" not in path.relative_to(package()).parts]
    return {path: path.read_text() for path in found}


class Package(unittest.TestCase):
    def test_pages_link_to_what_is_there(self):
        self.assertLessEqual({"README.md", "CONTRIBUTING.md"}, {path.name for path in pages()})
        for path, text in pages().items():
            for _, link in LINK.findall(text):
                address, _, anchor = link.partition("#")
                with self.subTest(f"{path.relative_to(package())}: {link}"):
                    if address.startswith(DOCUMENTATION):
                        page = TARGET / "doc" / address.removeprefix(DOCUMENTATION)
                        self.assertTrue(page.is_file(), page)
                        if anchor:
                            self.assertIn(f'id="{anchor}"', page.read_text())
                    elif not address.startswith("https://"):
                        target = path.parent / address if address else path
                        self.assertTrue(target.exists(), "not in the package")
                        if anchor:
                            self.assertIn(anchor, anchors(target.read_text()))

    def test_pictures_are_tracked_and_small(self):
        """crates.io takes them from the repository, each time that somebody looks."""
        links = LINK.findall((REPOSITORY / "README.md").read_text())
        pictures = [link for is_picture, link in links if is_picture]
        self.assertTrue(pictures)
        for picture in pictures:
            with self.subTest(picture):
                self.assertTrue(picture.endswith(PICTURES), "crates.io does not show it")
                command = ["git", "ls-files", "--error-unmatch", picture]
                tracked = subprocess.run(command, cwd=REPOSITORY, capture_output=True)
                self.assertEqual(tracked.returncode, 0, "not tracked by git")
                self.assertLess((REPOSITORY / picture).stat().st_size, 300_000)

    def test_pictures_of_the_documentation_are_whole_small_and_used(self):
        sources = [path.read_text() for path in (REPOSITORY / "src").rglob("*.rs")]
        sources += [path.read_text() for path in (REPOSITORY / "src").rglob("*.md")]
        size = 0
        for path in sorted((REPOSITORY / "src" / "pictures").iterdir()):
            with self.subTest(path.name):
                text = path.read_text()
                size += len(text)
                written = re.fullmatch(r"\[(picture-\w+)\]: data:image/webp;base64,([\w+/=]+)\n", text)
                self.assertTrue(written)
                name, data = written[1], base64.b64decode(written[2], validate=True)
                self.assertEqual((data[:4], data[8:12]), (b"RIFF", b"WEBP"))
                self.assertEqual(int.from_bytes(data[4:8], "little") + 8, len(data))
                self.assertEqual(sum(f"][{name}]" in source for source in sources), 1)
                self.assertEqual(sum(f'pictures/{path.name}")' in source for source in sources), 1)
        self.assertLess(size, 200_000)

    def test_the_documentation_shows_its_pictures(self):
        for page in ["index", "guide/which_loss/index", "visual/index"]:
            with self.subTest(page):
                text = (TARGET / "doc" / "tch_losses" / f"{page}.html").read_text()
                self.assertEqual(text.count('<img src="data:image/webp;base64,'), 1)
                self.assertNotIn("[picture-", text)


if __name__ == "__main__":
    unittest.main()
