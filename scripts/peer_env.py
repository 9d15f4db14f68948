"""A Python environment with pinned packages, for the scripts that compare against PyTorch.

    import peer_env
    if __name__ == "__main__":
        OPTIONS = peer_env.parser(__doc__).parse_args()  # --help and mistakes install nothing
    peer_env.ensure(["torch==2.13.0", "numpy==2.4.6"])
    import torch  # from here on, exactly that version

`ensure` returns at once where the running Python has the pinned versions. Otherwise it makes (once) a virtual
environment under `${TCH_LOSSES_CACHE:-${XDG_CACHE_HOME:-~/.cache}/tch-losses}/peers/`, named after the first
requirement, and runs the script again in it. pip's own settings (PIP_INDEX_URL and so on) apply. POSIX only.
"""

import argparse
import fcntl
import importlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

_REEXECUTED = "TCH_LOSSES_PEER_ENV"
# Packages that are not imported by their own name.
_IMPORT_NAMES = {"pillow": "PIL"}
# Packages of which only files or parts are used: what else they need may be missing (scipy, for the trainer of lpips).
# And packages that take seconds to import, for the few rows that need them.
_NOT_IMPORTED = {"lpips", "monai", "timm", "segmentation-models-pytorch"}
REPOSITORY = Path(__file__).resolve().parent.parent


def parser(documentation):
    """A parser of a script's options, whose help is the script's documentation. Parse them before `ensure`."""
    return argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def cache_dir():
    """Where everything that the scripts download or build is kept."""
    if own := os.environ.get("TCH_LOSSES_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "tch-losses"


def _missing(requirements):
    """The requirements that this Python cannot import at the pinned version, each with the reason."""
    missing = []
    for requirement in requirements:
        name, version = requirement.split("==")
        try:
            # "2.13.0+cpu" and "2.13.0+cu130" are builds of the same release.
            found = importlib.metadata.version(name).split("+")[0]
            if found == version and name in _NOT_IMPORTED:
                continue
            if found == version:
                importlib.import_module(_IMPORT_NAMES.get(name, name.replace("-", "_")))
            else:
                missing.append(f"{requirement} (found {found})")
        except (ImportError, OSError) as error:  # OSError: a shared library that does not load
            missing.append(f"{requirement} ({error})")
    return missing


def _install(env, python, requirements):
    """Makes `env` hold `requirements`; a finished environment is only looked at."""
    # A virtual environment cannot be built elsewhere and renamed (its scripts carry its path), so a stamp that is
    # written last tells a finished one from an interrupted one.
    stamp = env / "complete.txt"
    env.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{env}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = stamp.read_text().split() if stamp.exists() else []
        if set(requirements) <= set(installed) and python.exists():
            return
        # What other scripts asked for stays pinned. A requirement replaces an older pin of the same package.
        pins = {line.split("==")[0]: line for line in [*installed, *requirements]}
        wanted = sorted(pins.values())
        print(f"peer_env: installing {' '.join(wanted)}\npeer_env: into {env} (once)", flush=True)
        stamp.unlink(missing_ok=True)
        if not installed or not python.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", env], check=True)
        subprocess.run([python, "-m", "pip", "install", "--disable-pip-version-check", *wanted], check=True)
        partial = stamp.with_suffix(".partial")
        partial.write_text("\n".join(wanted) + "\n")
        partial.rename(stamp)


def ensure(requirements):
    """Returns in a Python that has every `name==version` of `requirements`; restarts the script for it if need be.

    Call it before importing any of them. The names are pip's.
    """
    missing = _missing(requirements)
    if not missing:
        return
    name, version = requirements[0].split("==")
    env = cache_dir() / "peers" / f"{name}-{version}"
    if os.environ.get(_REEXECUTED) == str(env):
        sys.exit(f"peer_env: {env} lacks {', '.join(missing)}; delete it and run this again")
    print(f"peer_env: {sys.executable} lacks {', '.join(missing)}", flush=True)
    python = env / "bin" / "python"
    try:
        _install(env, python, requirements)
    except subprocess.CalledProcessError as error:
        sys.exit(f"peer_env: failed: {' '.join(map(str, error.cmd))}")
    print(f"peer_env: continuing with {python}", flush=True)
    os.environ[_REEXECUTED] = str(env)
    os.execv(python, [str(python), *sys.orig_argv[1:]])
