"""The image losses against their original PyTorch formulation, eager and compiled: time and memory, side by side.

    scripts/with-libtorch python3 scripts/bench_peers.py                  # all, on the CPU: half an hour
    scripts/with-libtorch python3 scripts/bench_peers.py --quick          # what regressions show in: minutes
    scripts/with-libtorch python3 scripts/bench_peers.py --device cuda    # on CUDA
    scripts/with-libtorch python3 scripts/bench_peers.py --only vgg/f32   # rows whose name contains the text
    ... --out FOLDER                                                      # peers.md, peers.json (default: target/peers)

A step is forward and backward to `fake`, from a leaf without a gradient. Three processes, this crate's
(`examples/bench_peers.rs`, built with --release), PyTorch eager and PyTorch compiled, get the same images and
weights, are checked to agree on the value and the gradient's norm, and take turns, so that the machine's moods meet
all alike. A turn is a second of steps, one after the other as in training, of which the first wakes the threads and is
not counted; or a single step that takes longer. Times are medians, ratios medians of the ratios within
a round. Memory is the peak of resident memory over what the process had with images and network loaded, before its
first step, each work in fresh processes (on CUDA: not measured). The PyTorch half installs itself, see peer_env.py;
torch.compile needs a C++ compiler; a peer that it does not compile leaves its cells empty. The peers of the losses
without a network are in peers.py. A step of a discriminator with a penalty (peer_discriminator.py) goes to its
parameters, and includes the optimizer's.
"""

import argparse
import ctypes
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peer_env
import peers

ROOT = Path(__file__).resolve().parent.parent


def parse():
    parser = peer_env.parser(__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="few rows, less time for each")
    parser.add_argument("--only", metavar="TEXT", action="append", help="rows whose name contains it")
    parser.add_argument("--seconds", type=float, help="how long to take steps for each row (default: 30; quick: 5)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    default = ROOT / "target" / "peers"
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=default, help="default: target/peers")
    parser.add_argument("--serve", choices=["eager", "compiled"], help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    OPTIONS = parse()

PINNED = ["torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6", "safetensors==0.8.0"]
peer_env.ensure([*PINNED, *peers.REQUIREMENTS, *peers.REQUIREMENTS_ON_NETWORKS])

import safetensors.torch  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import peer_discriminator  # noqa: E402

EDGES = [(1, 256), (8, 256), (16, 512)]
NETWORK = [(1, 256), (4, 256), (16, 256)]
# Name, work, what a network computes in, batch and side, PyTorch's work: by its median, the ratio is taken.
ROWS = [
    *[(f"sobel/f32/{n}x3x{s}x{s}", "sobel", "f32", n, s) for n, s in EDGES],
    *[(f"laplacian/f32/{n}x3x{s}x{s}", "laplacian", "f32", n, s) for n, s in EDGES],
    *[(f"vgg/f32/{n}x3x{s}x{s}", "vgg", "f32", n, s) for n, s in NETWORK],
    *[(f"vgg/bf16/{n}x3x{s}x{s}", "vgg", "bf16", n, s) for n, s in NETWORK],
    *[(f"vgg cached/f32/{n}x3x{s}x{s}", "vgg_cached", "f32", n, s) for n, s in NETWORK],
    *[(f"objective/f32/{n}x3x{s}x{s}", "objective", "f32", n, s) for n, s in [(1, 256), (16, 256)]],
    *[(f"objective/bf16/{n}x3x{s}x{s}", "objective", "bf16", n, s) for n, s in [(1, 256), (16, 256)]],
    *[(f"{loss}/f32/4x3x256x256", loss, "f32", 4, 256) for loss in peers.LOSSES],
    *[(f"{loss}/f32/4x3x256x256", loss, "f32", 4, 256) for loss in peers.ON_NETWORKS],
    *[(f"{loss}/bf16/4x3x256x256", loss, "bf16", 4, 256) for loss in peers.ON_NETWORKS],
    *[(f"{loss}/f32/16x3x256x256", loss, "f32", 16, 256) for loss in peers.ON_NETWORKS],
    *[(f"{loss}/f32/256x128", loss, "f32", 256, 128) for loss in peers.EMBEDDINGS],
    # A list of all triplets would not fit.
    *[(f"{loss}/f32/2048x256", loss, "f32", 2048, 256) for loss in peers.EMBEDDINGS if "Triplet" not in loss],
    *[(f"{work}/f32/4x3x128x128", work, "f32", 4, 128) for work in peer_discriminator.STEPS],
    # For the memory: what is compiled takes too long to be so.
    *[(f"{loss}/f32/16x3x512x512", loss, "f32", 16, 512) for loss in peers.LOSSES],
]
QUICK = ("sobel/f32/8x", "laplacian/f32/8x", "vgg/f32/1x", "vgg/bf16/1x", "vgg cached/f32/1x", "SsimLoss/f32/4x")


# The originals, in the plainest form.


class Sobel(nn.Module):
    def __init__(self):
        super().__init__()
        x = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).view(1, 1, 3, 3)
        self.register_buffer("x", x)
        self.register_buffer("y", x.transpose(2, 3).contiguous())

    def edges(self, images):
        grey = images.mean(dim=1, keepdim=True)
        gx = F.conv2d(grey, self.x, padding=1)
        gy = F.conv2d(grey, self.y, padding=1)
        return torch.sqrt(gx**2 + gy**2 + 1e-6)

    def forward(self, fake, real):
        return F.l1_loss(self.edges(fake), self.edges(real))


class Laplacian(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("kernel", torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3))

    def edges(self, images):
        return F.conv2d(images.mean(dim=1, keepdim=True), self.kernel, padding=1)

    def forward(self, fake, real):
        return F.l1_loss(self.edges(fake), self.edges(real))


def features_of(name, weights):
    """The frozen convolutional part of one of torchvision's networks."""
    with torch.device("meta"):
        network = getattr(torchvision.models, name)(weights=None).features
    network.load_state_dict(
        {name.removeprefix("features."): tensor for name, tensor in weights.items()}, assign=True
    )
    return network.eval().requires_grad_(False)


class Perceptual(nn.Module):
    def __init__(self, weights):
        super().__init__()
        network = features_of("vgg19", weights)
        self.slices = nn.ModuleList([network[:4], network[4:9], network[9:16]])

    def forward(self, fake, real):
        # The network's ReLUs work in place.
        fake, real = fake.clone(), real.clone()
        loss = 0
        for layers in self.slices:
            fake, real = layers(fake), layers(real)
            loss = loss + F.l1_loss(fake, real)
            fake, real = fake.clone(), real.clone()
        return loss


class Objective(nn.Module):
    def __init__(self, weights, logits):
        super().__init__()
        self.sobel, self.laplacian, self.perceptual = Sobel(), Laplacian(), Perceptual(weights)
        self.register_buffer("logits", logits)

    def forward(self, fake, real):
        logits = self.logits + fake.mean()
        return (
            F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            + F.l1_loss(fake, real) * 100
            + F.mse_loss(fake, real)
            + self.sobel(fake, real) * 10
            + self.laplacian(fake, real) * 10
            + self.perceptual(fake, real) * 10
        )


# One process of PyTorch, with the protocol of examples/bench_peers.rs.


def status(name):
    (line,) = re.findall(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    return int(line) * 1024


def serve(flavour):
    def of_images():
        leaf = fake.detach().requires_grad_()
        loss = module(leaf, real)
        loss.backward()
        return loss.detach(), leaf.grad

    def synchronize():
        if device == "cuda":
            torch.cuda.synchronize()

    torch.backends.cudnn.benchmark = True
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, dict):
            setup = request["setup"]
            device = setup["device"]
            images = safetensors.torch.load_file(setup["images"], device=device)
            fake, real = images["fake"], images["real"]
            weights = safetensors.torch.load_file(setup["weights"], device=device) if setup["needs_weights"] else {}
            makers = {
                "sobel": Sobel,
                "laplacian": Laplacian,
                "vgg": lambda: Perceptual(weights),
                # PyTorch's original has no cache: the ratio tells what ours is worth.
                "vgg_cached": lambda: Perceptual(weights),
                "objective": lambda: Objective(weights, images["logits"]),
            }
            if setup["work"] in peers.ON_NETWORKS:
                network, _, original = peers.ON_NETWORKS[setup["work"]]
                makers[setup["work"]] = lambda: original(features_of(network, weights))
            if setup["work"] in peer_discriminator.STEPS:
                module, step = None, peer_discriminator.Step(setup["work"], weights, images)
            else:
                maker = makers.get(setup["work"])
                originals = peers.LOSSES | {name: original for name, (_, original) in peers.EMBEDDINGS.items()}
                module, step = maker().to(device) if maker else originals[setup["work"]], of_images
            if flavour == "compiled":
                module = torch.compile(module)
                # Compiles, which must not count as memory of the step; nor must what it left free hide that.
                try:
                    step()
                except Exception as error:
                    print(json.dumps({"refused": f"{type(error).__name__}: {error}"[:200]}), flush=True)
                    return
                ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
            base = status("VmRSS")
            loss, gradient = step()
            answer = {"value": loss.item(), "norm": gradient.norm().item()}
        elif request == "steps":
            start, taken = time.perf_counter(), []
            while time.perf_counter() - start < 1:
                synchronize()
                begin = time.perf_counter()
                step()
                synchronize()
                taken.append(time.perf_counter() - begin)
            answer = {"seconds": statistics.median_high(taken[1:] or taken)}
        else:
            answer = {"bytes": max(0, status("VmHWM") - base)}
        print(json.dumps(answer), flush=True)


class Peer:
    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"bench_peers: a process ended early: {' '.join(map(str, self.process.args))}")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def runner(device):
    """The Rust half, built."""
    features = ["--features", "cuda"] if device == "cuda" else []
    command = ["cargo", "build", "--release", "--example", "bench_peers", *features, "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "bench_peers":
            return message["executable"]
    sys.exit("bench_peers: cargo built no runner")


def machine(device):
    """What the figures were measured on."""
    cpu, flags = platform.processor(), ""
    if Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text()
        (cpu, *_) = re.findall(r"^model name\s*: (.*)$", text, re.M) or [cpu]
        (flags, *_) = re.findall(r"^flags\s*: (.*)$", text, re.M) or [""]
    known = ["avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16"]
    described = {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in known if flag in flags.split()],
        "os": platform.platform(),
        "torch": torch.__version__,
        "rustc": subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip(),
        "load": os.getloadavg()[0],
    }
    if device == "cuda":
        described["gpu"] = torch.cuda.get_device_name()
    return described


def bandwidth(device):
    """Bytes per second, read and written, of a copy of 256 MB."""
    source = torch.ones(64 << 20, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(7):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


def measure(commands, setup, seconds):
    """The medians of one row, and the ratios of ours to the others."""
    processes = {flavour: Peer(command) for flavour, command in commands.items()}
    first = {flavour: peer.ask({"setup": setup}) for flavour, peer in processes.items()}
    for flavour in [flavour for flavour, answer in first.items() if "refused" in answer]:
        print(f"bench_peers: {setup['work']}: {flavour}: {first.pop(flavour)['refused']}", flush=True)
        processes.pop(flavour).close()
    # What they computed is the same, or the times mean nothing.
    tolerance = {what: 1e-4 if setup["compute"] == "f32" else 5e-2 for what in ("value", "norm")}
    if setup["work"] in peers.LOSSES or setup["work"] in peers.EMBEDDINGS:
        # In f32, some originals are up to 5e-4 off their f64, their gradients half a percent.
        tolerance = {"value": 1e-3, "norm": 1e-2}
    for flavour, answer in first.items():
        for what, expected in first["eager"].items():
            if abs(answer[what] - expected) > tolerance[what] * abs(expected):
                sys.exit(f"bench_peers: {setup['work']}: the {what} of {flavour} is {answer[what]}, not {expected}")
    memory = {}
    for flavour, peer in processes.items():
        peer.ask("steps")
        memory[flavour] = peer.ask("memory")["bytes"]
    rounds, start = [], time.perf_counter()
    while len(rounds) < 3 or (time.perf_counter() - start < seconds and len(rounds) < 200):
        taken = {}
        for flavour, peer in processes.items():
            # OpenMP's threads spin for a while after their work: the others' are to sleep when this one's are timed.
            time.sleep(0.02)
            taken[flavour] = peer.ask("steps")["seconds"]
        rounds.append(taken)
    for peer in processes.values():
        peer.close()
    others = [flavour for flavour in processes if flavour != "ours"]
    return {
        "rounds": len(rounds),
        "seconds": {flavour: statistics.median(r[flavour] for r in rounds) for flavour in processes},
        "ratio": {flavour: statistics.median(r["ours"] / r[flavour] for r in rounds) for flavour in others},
        "memory": memory,
        "value": {flavour: answer["value"] for flavour, answer in first.items()},
    }


def table(result):
    """The result as Markdown."""
    described = result["machine"]
    flags = ", ".join(described["flags"])
    lines = [
        f"{described.get('gpu', described['cpu'])}, {described['cores']} cores ({flags}), torch {described['torch']}, "
        f"{described['rustc']}, load {described['load']:.1f} at the start, "
        f"copy {result['bandwidth'] / 1e9:.1f} GB/s.",
        "",
        "| work | ours | eager | compiled | ours / eager | ours / compiled | memory: ours | eager | compiled |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["rows"].items():

        def cell(values, form):
            return [form(values[flavour]) if flavour in values else "" for flavour in ("ours", "eager", "compiled")]

        seconds = cell(row["seconds"], lambda s: f"{s * 1e3:.1f} ms" if s < 1 else f"{s:.2f} s")
        ratio = cell(row["ratio"], lambda r: f"{r:.2f}" if r >= 0.1 else f"{r:.3f}")[1:]
        memory = cell(row["memory"], lambda b: f"{b / 1e6:.0f} MB") if described["device"] == "cpu" else [""] * 3
        lines.append(f"| {name} | {' | '.join([*seconds, *ratio, *memory])} |")
    for name, floor in result["floors"].items():
        lines += ["", f"{name}: {floor['times']:.1f} times as long as copying what it cannot but read and write "
                  f"({floor['bytes'] / 1e6:.0f} MB)."]
    return "\n".join(lines) + "\n"


def random_weights(network, folder):
    """A file of weights as torchvision makes them, for a network; made once."""
    path = Path(folder) / f"{network}.safetensors"
    if not path.exists() and network == "discriminator":
        safetensors.torch.save_file(peer_discriminator.random_weights(), path)
    elif not path.exists():
        torch.manual_seed(0)
        features = getattr(torchvision.models, network)(weights=None).features
        named = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
        safetensors.torch.save_file(named, path)
    return path


def main():
    if OPTIONS.serve:
        return serve(OPTIONS.serve)
    if OPTIONS.device == "cuda" and not torch.cuda.is_available():
        sys.exit("bench_peers: PyTorch finds no CUDA device")
    seconds = OPTIONS.seconds or (5 if OPTIONS.quick else 30)
    rows = [row for row in ROWS if not OPTIONS.quick or row[0].startswith(QUICK)]
    rows = [row for row in rows if not OPTIONS.only or any(text in row[0] for text in OPTIONS.only)]
    serving = [sys.executable, __file__, "--serve"]
    commands = {"ours": [runner(OPTIONS.device)], "eager": [*serving, "eager"], "compiled": [*serving, "compiled"]}
    if OPTIONS.no_compile:
        del commands["compiled"]
    described = {"device": OPTIONS.device, **machine(OPTIONS.device)}
    result = {"machine": described, "bandwidth": bandwidth(OPTIONS.device), "rows": {}, "floors": {}}
    OPTIONS.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, work, compute, batch, side in rows:
            images = Path(folder) / "images.safetensors"
            default = "discriminator" if work in peer_discriminator.STEPS else "vgg19"
            network, objective, _ = peers.ON_NETWORKS.get(work, (default, {"loss": work}, None))
            weights = random_weights(network, folder)
            if work in peers.ON_NETWORKS:
                options = {**objective["options"], "weights": str(weights), "kind": compute}
                objective = {**objective, "options": options}
            shape = (batch, 3, side, side)
            fake, real = torch.rand(shape) * 2 - 1, torch.rand(shape) * 2 - 1
            if work in peers.LOSSES or work in peers.ON_NETWORKS:
                # As a network's outputs: from 0 to 1, and like the target.
                real = real / 2 + 0.5
                fake = (real + fake / 10).clamp(0, 1)
            if work in peers.EMBEDDINGS:
                fake = F.normalize(torch.randn(batch, side))
                # Eight of each class; or a second set that is somewhat like the first.
                real = torch.arange(batch) // 8
                if not peers.EMBEDDINGS[work][0]:
                    real = F.normalize(fake + F.normalize(torch.randn(batch, side)))
            safetensors.torch.save_file(
                {
                    "fake": fake,
                    "real": real,
                    "logits": torch.randn(batch, 1, 30, 30),
                    "share": torch.rand(batch, 1, 1, 1),
                },
                images,
            )
            setup = {
                "work": work,
                "compute": compute,
                "images": str(images),
                "weights": str(weights),
                "needs_weights": work not in [*peers.LOSSES, *peers.EMBEDDINGS, "sobel", "laplacian"],
                "objective": json.dumps({"losses": {"loss": objective}}),
                "device": OPTIONS.device,
            }
            large = batch == 16 and (work in peers.LOSSES or work in peers.ON_NETWORKS)
            # torch.compile has no second derivatives.
            left_out = ["compiled"] if large or work in peer_discriminator.STEPS else []
            here = {flavour: command for flavour, command in commands.items() if flavour not in left_out}
            row = result["rows"][name] = measure(here, setup, seconds)
            if work in ("sobel", "laplacian"):
                # Both images are read, the gradient is written.
                moved = 3 * 4 * batch * 3 * side * side
                times = row["seconds"]["ours"] / (moved / result["bandwidth"])
                result["floors"][name] = {"bytes": moved, "times": times}
            print(table({**result, "rows": {name: row}, "floors": {}}).splitlines()[-1], flush=True)
            (OPTIONS.out / "peers.json").write_text(json.dumps(result, indent=1) + "\n")
            (OPTIONS.out / "peers.md").write_text(table(result))
    print("\n" + table(result))


if __name__ == "__main__":
    main()
