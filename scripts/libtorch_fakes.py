"""What test_with_libtorch.py runs in the place of cargo, of pip and of a file system."""

# A project is a folder with a Cargo.toml; it is locked to the torch-sys in its folder of that name, if any.
CARGO = """#!/bin/sh
case "$1 $*" in
locate-project*)
    folder=$PWD
    while [ ! -e "$folder/Cargo.toml" ]; do
        [ "$folder" != / ] || { echo "error: could not find Cargo.toml" >&2; exit 101; }
        folder=$(dirname "$folder")
    done
    echo "$folder/Cargo.toml" ;;
*--locked*)
    echo "error: the lock file needs to be updated" >&2; exit 101 ;;
metadata*)
    [ "$FAKE_CARGO" != offline ] || { echo "error: could not resolve host" >&2; exit 101; }
    for manifest; do :; done # the last argument
    torch_sys=$(dirname "$manifest")/torch-sys
    [ -e "$torch_sys" ] || { echo '{"packages": []}'; exit; }
    echo '{"packages": [{"name": "torch-sys", "version": "0.1.0", "manifest_path": "'"$torch_sys"'/Cargo.toml"}]}' ;;
esac
"""

# What a file system without locks does.
NO_LOCKS = """
import errno, fcntl
def flock(file, operation):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""

PIP = '''
import os, sys, time, zipfile
from pathlib import Path

arguments, mode = sys.argv[1:], os.environ.get("FAKE_PIP", "good")
if arguments == ["--version"]:
    sys.exit(mode == "missing")
print("pip speaks on stdout")
with open(os.environ["FAKE_PIP_LOG"], "a") as log:
    log.write(" ".join(arguments) + "\\n")
if mode == "fail":
    sys.exit("no matching distribution")
if os.environ.get("PIP_REQUIRE_VIRTUALENV", "0") != "0":
    sys.exit("Could not find an activated virtualenv (required).")
if os.environ.get("PIP_USER", "0") != "0" and "--target" in arguments:
    sys.exit("Can not combine '--user' and '--target'")
if arguments[0] == "download":
    folder = Path(arguments[arguments.index("--dest") + 1])
    if mode == "hang":
        (folder / "torch.whl.part").write_text("half")
        time.sleep(600)  # until it is killed: not so briefly that it could go on before
    (torch,) = (argument for argument in arguments if argument.startswith("torch=="))
    with zipfile.ZipFile(folder / "torch-any.whl", "w") as wheel:
        for name in ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libtorch_cuda.so", "libtorch.so"]:
            if not (mode == "incomplete" and name == "libc10.so"):
                wheel.writestr("torch/lib/" + name, name)
        wheel.writestr("torch/include/torch/torch.h", "// header")
        wheel.writestr("torch/nn/__init__.py", "")
        wheel.writestr("torch-1.2.3.dist-info/METADATA", "Requires-Dist: cuda-toolkit[cublas,cudart]==13.0.3; x")
else:
    folder = Path(arguments[arguments.index("--target") + 1])
    if any(argument.startswith("torch==") for argument in arguments):
        (folder / "torch/lib").mkdir(parents=True)
        (folder / "torch/lib/libtorch_cuda.so").write_text("cuda")
    else:
        (folder / "nvidia/cu13/lib").mkdir(parents=True)
        (folder / "nvidia/cu13/lib/libcudart.so.13").write_text("cudart")
'''
