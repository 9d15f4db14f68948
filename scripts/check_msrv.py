"""Checks that no dependency needs a newer Rust than `rust-version` of Cargo.toml says.

What this crate's own code uses of newer Rust's standard library is an error of clippy's `incompatible_msrv`. Both
together stand for a compilation with that version where rustup cannot fetch it. Where it can, `cargo +VERSION check` is better.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def number(version):
    return tuple(int(part) for part in version.split("."))


def main():
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features"]
    run = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    metadata = json.loads(run.stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    own = packages[metadata["resolve"]["root"]]["rust_version"]
    used = [packages[node["id"]] for node in metadata["resolve"]["nodes"]]
    newer = [p for p in used if p["rust_version"] and number(p["rust_version"])[:2] > number(own)[:2]]
    for package in newer:
        print(f"{package['name']} {package['version']} needs Rust {package['rust_version']}")
    if newer:
        sys.exit(
            f"Cargo.toml says {own}: raise it, or take older versions of these (cargo update -p NAME --precise VERSION)"
        )
    silent = sum(package["rust_version"] is None for package in used)
    print(f"{len(used)} packages need no newer Rust than {own}; {silent} of them do not say")


if __name__ == "__main__":
    main()
