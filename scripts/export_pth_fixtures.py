"""Exports .pth files as PyTorch writes them, with their values: tests/fixtures/pth/*.

    python3 scripts/export_pth_fixtures.py          # from any directory; fetches pinned packages once, see peer_env.py

Each NAME.pth comes with NAME.safetensors, the tensors that it holds, by the names under which the reader lists them.
Complex values are stored as pairs of reals, 8-bit floats as bytes: the Rust side's safetensors reader has no others.
What NAME.safetensors lacks cannot be read, and must not keep the rest from being read. `refused/` has files that must not be read. lpips/ holds genuine files of 2018, from PyPI's lpips 0.1.4 (see lpips/LICENSE).
In legacy files PyTorch names storages by their addresses: these differ from run to run, the values do not.
"""

import io
import pickle
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import peer_env

if __name__ == "__main__":
    peer_env.parser(__doc__).parse_args()

peer_env.ensure(["torch==2.13.0", "numpy==2.4.6", "safetensors==0.8.0"])

import safetensors.torch  # noqa: E402
import torch  # noqa: E402
from torch import _weights_only_unpickler  # noqa: E402
from torch import nn  # noqa: E402

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "pth"
SIZE_LIMIT = 300_000
FORMATS = {"zip": True, "legacy": False}
# PyTorch itself takes these for unsafe: it does not know Python 2's integers, nor later protocols' instructions.
UNSAFE = ["python2", "python2_integers"] + [f"protocol{n}_{form}" for n in [3, 4, 5] for form in FORMATS]

KINDS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16]
KINDS += [torch.float32, torch.float64, torch.complex32, torch.complex64, torch.complex128, torch.bool]
KINDS += [torch.float8_e5m2, torch.float8_e4m3fn, torch.float8_e5m2fnuz, torch.float8_e4m3fnuz]


def saved(obj, zipped, protocol=2):
    buffer = io.BytesIO()
    torch.save(obj, buffer, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    return buffer.getvalue()


def plain(tensor):
    """The values as a tensor that safetensors can hold."""
    tensor = tensor.detach().resolve_conj().clone(memory_format=torch.contiguous_format)
    as_real = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}
    if tensor.dtype in as_real:
        return torch.view_as_real(tensor)
    return tensor.view(torch.uint8) if tensor.dtype.itemsize == 1 and tensor.dtype.is_floating_point else tensor


def write(name, data, tensors):
    """One file and what is in it."""
    path = FIXTURES / f"{name}.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    # What is expected is what PyTorch loads, where the names are the same. It cannot load the untyped storages that it
    # writes in the legacy format.
    loaded = {} if name == "kinds_legacy" else torch.load(path, map_location="cpu", weights_only=name not in UNSAFE)
    for key in loaded if isinstance(loaded, dict) else []:
        if key in tensors:
            assert torch.equal(plain(loaded[key]), plain(tensors[key])), f"{key} in {name}"
    expected = {key: plain(tensor) for key, tensor in tensors.items()}
    safetensors.torch.save_file(expected, path.with_suffix(".safetensors"))


def kinds():
    torch.manual_seed(0)
    tensors = {}
    for kind in KINDS:
        values = torch.tensor([[0.0, 1.0, -2.5], [3.0, 0.5, 100.0]], dtype=torch.float64)
        name = str(kind).removeprefix("torch.")
        tensors[name] = values.abs().to(kind) if kind == torch.uint8 else values.to(kind)
    return tensors


def views():
    base = torch.arange(60, dtype=torch.float32)
    matrix = base[:12].view(3, 4)
    return {
        "whole": base,
        "matrix": matrix,
        "transposed": matrix.t(),
        "sliced": base[7:31].view(4, 6)[1:, 2:5],
        "stepped": base[3::7],
        "expanded": base[5:8].view(3, 1).expand(3, 4),
        "scalar_expanded": base[9].expand(2, 3),
        "overlapping": base.as_strided((4, 3, 2), (1, 2, 1), 11),
        "permuted": base[:24].view(2, 3, 4).permute(2, 0, 1),
        "channels_last": base.view(1, 3, 4, 5).to(memory_format=torch.channels_last),
        "scalar": torch.tensor(2.5),
        "scalar_view": base[33],
        "empty": torch.empty(0),
        "empty_dimension": torch.empty(3, 0, 2),
        "empty_view": base[60:],
        "bool_transposed": torch.tensor([[True, False, True], [False, False, True]]).t(),
    }


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.classifier = nn.Linear(2, 3)


def flat(prefix, tensors):
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def checkpoint(net):
    optimizer = torch.optim.Adam(net.parameters())
    net.classifier(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = {
        "epoch": 7,
        "arch": "net",
        "best": 0.75,
        "state_dict": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": [0.5, None, True, 2**70, b"bytes", {1, 2}, torch.device("cpu"), torch.float16, torch.Size([2, 3])],
    }
    expected = dict(net.state_dict())
    for index, values in optimizer.state_dict()["state"].items():
        expected |= flat(f"optimizer.state.{index}.", values)
    return state, expected


def nested():
    ones = torch.ones(2)
    obj = {"net": {"block": OrderedDict(weight=ones * 2)}, "steps": [ones * 3, (ones * 4, 5)]}
    obj |= {12: ones * 6, "größe.重み": ones}
    expected = {"net.block.weight": ones * 2, "steps.0": ones * 3, "steps.1.0": ones * 4}
    expected |= {"12": ones * 6, "größe.重み": ones}
    return obj, expected


def retagged(data):
    """As saved from a CUDA device: PyTorch writes the place where a storage was into each persistent id."""
    tag = b"X\x03\0\0\0cpu"
    assert data.count(tag) == 1
    return data.replace(tag, b"X\x06\0\0\0cuda:0")


def rezipped(data, change, compression=zipfile.ZIP_STORED):
    """The archive with its entries changed."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(result, "w", compression) as target:
        for entry in source.infolist():
            target.writestr(zipfile.ZipInfo(entry.filename), change(entry.filename, source.read(entry)), compression)
    return result.getvalue()


def legacy(obj, storages, little_endian=True):
    """A legacy file around hand-made pickles: of the object, and (key, count, bytes) of each storage."""
    system = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = [0x1950A86A20F9469CFC6C, 1001, system]
    data = b"".join(pickle.dumps(part, protocol=2) for part in head)
    data += obj + pickle.dumps([key for key, _, _ in storages], protocol=2)
    return data + b"".join(struct.pack("<q", count) + content for _, count, content in storages)


def view_pickle(views):
    """The object pickle of a dict of views, as Python 2 and PyTorch 0.1 to 0.3 wrote it: byte strings, an OrderedDict
    made of a list of lists, the last item of the persistent id for the part of the storage."""

    def text(value):
        return b"U" + bytes([len(value)]) + value.encode()

    def number(value):
        return b"\x8a\x02" + struct.pack("<h", value)

    def sizes(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    body = b""
    for name, function, view, offset, shape, stride in views:
        storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("101") + text("cuda:1") + number(12)
        storage += (b"(" + text(view[0]) + number(view[1]) + number(view[2]) + b"t" if view else b"N") + b"tQ"
        more = b"\x89ccollections\nOrderedDict\n)R" if function == "_rebuild_tensor_v2" else b""
        tensor = b"ctorch._utils\n" + function.encode() + b"\n(" + storage
        tensor += number(offset) + sizes(shape) + sizes(stride) + more + b"tR"
        if name.startswith("parameter"):
            tensor = b"ctorch.nn.parameter\nParameter\n(" + tensor + b"\x88tR"
        if name.startswith("rebuilt"):
            tensor = b"ctorch._utils\n_rebuild_parameter\n(" + tensor + b"\x88ccollections\nOrderedDict\n)RtR"
        body += b"](" + text(name) + tensor + b"e"
    return b"\x80\x02ccollections\nOrderedDict\n](" + body + b"e\x85R."


def python2():
    values = torch.arange(12, dtype=torch.float32) / 4
    pickled = view_pickle(
        [
            ("whole", "_rebuild_tensor", None, 0, (3, 4), (4, 1)),
            ("view", "_rebuild_tensor", ("102", 4, 6), 1, (5,), (1,)),
            ("view_transposed", "_rebuild_tensor_v2", ("103", 2, 8), 2, (3, 2), (1, 3)),
            ("parameter", "_rebuild_tensor", None, 3, (2,), (5,)),
            ("rebuilt", "_rebuild_tensor_v2", None, 0, (12,), (1,)),
        ]
    )
    expected = {
        "whole": values.view(3, 4),
        "view": values[5:10],
        "view_transposed": values[4:10].view(2, 3).t(),
        "parameter": values[3::5],
        "rebuilt": values,
    }
    return legacy(pickled, [("101", 12, values.numpy().tobytes())]), expected


def tensor_pickle():
    """The instructions for one tensor, the whole of the storage `101`."""
    pickled = view_pickle([("w", "_rebuild_tensor_v2", None, 0, (12,), (1,))])
    return pickled[pickled.index(b"ctorch._utils") : pickled.rindex(b"ee")]


def python2_integers():
    """Python 2 wrote integers beyond 32 bits in decimal digits: identities of parameters, as keys of an optimizer's
    state. Pickles of protocol 1 have its bools in that form, too."""
    tensor = tensor_pickle()
    pickled = b"\x80\x02}(U\x05epochI139832181927520\nU\x05limitI-9223372036854775808\nU\x04longI" + b"9" * 30 + b"\n"
    pickled += b"U\x03yesI01\nU\x02noI00\nU\x05state}I139832181927520\n}U\x03avg" + tensor + b"ssu."
    values = torch.arange(12, dtype=torch.float32) / 4
    return legacy(pickled, [("101", 12, values.numpy().tobytes())]), {"state.139832181927520.avg": values}


def values():
    """What may stand beside tensors: all that `torch.load(..., weights_only=True)` takes and that is no tensor."""
    kept = [1 + 2j, torch.strided, torch.sparse_csr, torch.Size([]), torch.Size([2]), torch.device("cuda:0")]
    kept += [{1, 2}, bytearray(b"x"), b"bytes", torch.per_channel_affine, Counter("aab"), torch.FloatStorage([1.0])]
    return {"weight": torch.ones(2), "values": kept, "dtypes": KINDS, "complex": {1j: 0, torch.float32: 1, (1, 2): 2}}


def globals_pickle():
    """A state dict beside every name that PyTorch allows a pickle to mention."""
    names = sorted(_weights_only_unpickler._get_allowed_globals())
    mentioned = "".join("c" + " ".join(name.rsplit(".", 1)).replace(" ", "\n") + "\n" for name in names).encode()
    assert len(names) > 140
    pickled = b"\x80\x02}(U\x05names](" + mentioned + b"eU\x01w" + tensor_pickle() + b"u."
    values = torch.arange(12, dtype=torch.float32) / 4
    return legacy(pickled, [("101", 12, values.numpy().tobytes())]), {"w": values}


def unreadable(zipped):
    """Tensors that tch cannot hold, beside one that it can."""
    ones = torch.ones(2)
    tensors = {"count": torch.ones(2, dtype=torch.uint16), "fp4": torch.zeros(2, dtype=torch.uint8)}
    tensors["fp4"] = tensors["fp4"].view(torch.float4_e2m1fn_x2)
    tensors["nested"] = torch.nested.nested_tensor([ones, torch.ones(3)])
    if not zipped:
        tensors.clear()  # PyTorch cannot read back what it writes of these in the legacy format.
    tensors |= {
        "quantized": torch.quantize_per_tensor(ones, 0.1, 0, torch.qint8),
        "channels": torch.quantize_per_channel(torch.ones(2, 3), ones.double(), torch.zeros(2).long(), 0, torch.quint8),
        "coo": torch.eye(2).to_sparse(),
        "csr": torch.eye(2).to_sparse_csr(),
        "meta": torch.ones(2, device="meta"),
        "conjugated": torch.ones(2, dtype=torch.complex64).conj(),
        "negated": torch.ones(2, dtype=torch.complex64).conj().imag,
        "keys": {None: ones, (1, 2): {"in": ones}, 1.5: [ones], "fine": ones * 3},
    }
    tensors["parameter"] = nn.Parameter(torch.eye(2).to_sparse(), requires_grad=False)
    return tensors | {"weight": ones * 2}, {"weight": ones * 2, "keys.fine": ones * 3}


def torch_script():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 1)), buffer)
    return buffer.getvalue()


def refused():
    """Files and what the reader must say of them is in tests/pth.rs."""
    one = {"a": torch.ones(3)}
    files = {
        "big_endian_zip": rezipped(saved(one, True), lambda name, data: b"big" if name.endswith("byteorder") else data),
        "compressed": rezipped(saved({"a": torch.zeros(5000)}, True), lambda _, data: data, zipfile.ZIP_DEFLATED),
        "big_endian_legacy": legacy(b"\x80\x02}.", [], little_endian=False),
        "module": saved(nn.Linear(1, 1), True),
        "torch_script": torch_script(),
        "zip_of_something_else": rezipped(saved(one, True), lambda name, data: data).replace(b"data.pkl", b"data.txt"),
    }
    # The pickles are written by hand: none of these is ever called, here or there.
    for name, call in {
        "os_system": b"cos\nsystem\nX\x04\0\0\0true\x85R",
        "posix_system": b"cposix\nsystem\nX\x04\0\0\0true\x85R",
        "eval": b"cbuiltins\neval\nX\x01\0\0\x001\x85R",
        "getattr": b"\x8c\x08builtins\x8c\x07getattr\x93",
        "torch_load": b"ctorch\nload\nX\x01\0\0\0a\x85R",
    }.items():
        files[f"global_{name}"] = legacy(b"\x80\x04}X\x01\0\0\0a" + call + b"s.", [])
        files[f"global_{name}_zip"] = rezipped(
            saved(one, True), lambda n, d, call=call: b"\x80\x04" + call + b"." if n.endswith("data.pkl") else d
        )
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name in ["storages", "tensors", "pickle"]:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    files["tar"] = tar.getvalue()[:2048]
    for name, data in files.items():
        path = FIXTURES / "refused" / f"{name}.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def main():
    torch.manual_seed(0)
    net = Net()
    for form, zipped in FORMATS.items():
        write(f"kinds_{form}", saved(kinds(), zipped), kinds())
        write(f"views_{form}", saved(views(), zipped), views())
        write(f"module_{form}", saved(net.state_dict(), zipped), net.state_dict())
        parameters = {"plain": nn.Parameter(torch.ones(2, 3))}
        parameters["frozen"] = nn.Parameter(torch.zeros(2), requires_grad=False)
        parameters["attributed"] = nn.Parameter(torch.ones(1))
        parameters["attributed"].tag = "kept"
        parameters["tensor"] = torch.arange(3)
        parameters["tensor"].tag = "kept"
        write(f"parameters_{form}", saved(parameters, zipped), parameters)
        write(f"nested_{form}", saved(nested()[0], zipped), nested()[1])
        write(f"cuda_{form}", retagged_file({"a": torch.arange(5.0)}, zipped), {"a": torch.arange(5.0)})
        write(f"single_{form}", saved(torch.arange(4), zipped), {"tensor": torch.arange(4)})
        for protocol in [3, 4, 5]:
            write(f"protocol{protocol}_{form}", saved(nested()[0], zipped, protocol), nested()[1])
        state, expected = checkpoint(net)
        write(f"checkpoint_{form}", saved(state, zipped), expected)
        write(f"values_{form}", saved(values(), zipped), {"weight": torch.ones(2)})
        state, expected = unreadable(zipped)
        write(f"unreadable_{form}", saved(state, zipped), expected)
    write("python2", *python2())
    write("python2_integers", *python2_integers())
    write("globals", *globals_pickle())
    obtain_lpips()
    for path in (FIXTURES / "lpips").glob("*.pth"):
        # Saved on a CUDA device by Python 2.
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        tensors = {name: plain(tensor) for name, tensor in tensors.items()}
        safetensors.torch.save_file(tensors, path.with_suffix(".safetensors"))
    refused()
    total = sum(path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file())
    print(f"{total} bytes in {FIXTURES}")
    if total > SIZE_LIMIT:
        raise SystemExit(f"more than {SIZE_LIMIT} bytes: use smaller shapes")


def obtain_lpips():
    """Fetches the genuine files; where that fails, the committed copies stay."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "lpips==0.1.4"]
        if subprocess.run(pip).returncode != 0:
            print("lpips cannot be fetched: its committed copies are used")
            return
        (wheel,) = Path(folder).glob("lpips-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name in ["alex", "squeeze", "vgg"]:
                content = archive.read(f"lpips/weights/v0.1/{name}.pth")
                (FIXTURES / "lpips" / f"{name}.pth").write_bytes(content)


def retagged_file(obj, zipped):
    data = saved(obj, zipped)
    if not zipped:
        return retagged(data)
    return rezipped(data, lambda name, content: retagged(content) if name.endswith("data.pkl") else content)


if __name__ == "__main__":
    main()
