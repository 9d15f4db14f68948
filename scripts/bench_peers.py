"""The losses against their original PyTorch formulation, eager, compiled and tuned: time and memory, side by side.

    scripts/with-libtorch python3 scripts/bench_peers.py                  # all, on the CPU: one to two hours
    scripts/with-libtorch python3 scripts/bench_peers.py --quick          # what regressions show in: minutes
    scripts/with-libtorch python3 scripts/bench_peers.py --device cuda    # on CUDA
    scripts/with-libtorch python3 scripts/bench_peers.py --only vgg/f32   # rows whose name contains the text
    scripts/with-libtorch python3 scripts/bench_peers.py --only nn/       # the losses of torch.nn
    scripts/with-libtorch python3 scripts/bench_peers.py --only seg/      # segmentation; cls/, box/, reg/, dist/, seq/
    ... --threads 1,2,4                                                   # each row with so many threads
    ... --beside 2                                                        # while two other processes train
    ... --record, ... --check                                             # record the ratios; say what got slower
    ... --out FOLDER                                                      # peers.md, peers.json (default: target/peers)

A step is forward and backward to `fake`, from a leaf without a gradient. Each of these has a process of its own: this
crate (`examples/bench_peers`, built with --release), PyTorch eager, PyTorch compiled, and, where a network is involved,
PyTorch *tuned*: the target's features under no_grad, channels_last, torch.compile. What computes in bf16 or f16 does so
under autocast in all three. They get the same images and weights, are checked to agree on the value and the gradient's
norm, and take turns, so that the machine's moods meet all alike. A turn is a second of steps (on CUDA a quarter), one
after the other as in training, of which the first wakes the threads and is not counted; or a single step that takes
longer. Times are medians, ratios medians of the ratios within a round.

The losses of torch.nn are measured at a thousand elements, where the overhead of a call counts, and at four million (or
at a usual size): forward and backward, forward alone under no_grad, and how much longer that takes than tch's own
function in the same process, which is what this crate's checks cost. Calls are counted in batches of a millisecond.
So are the losses of segmentation, classification, boxes, regression, distributions and transducers, at the sizes of
training: each against its package, or the formula as its authors write it.

`--beside` starts its own processes, which train a small convolutional network in PyTorch with as many threads as it
takes by itself. `--threads` sets OMP_NUM_THREADS of all that are compared. Both stand in the names of the rows.

`--record` keeps the ratios in scripts/bench/recorded.json, under the processor's name, cores and vector instructions
(on CUDA, the device's name). `--check` compares with them: a ratio got slower if its median grew by more than 5% and
the middle halves of the rounds, then and now, do not overlap.

Memory is the peak of resident memory over what the process had with images and network loaded, before its first step,
each work in fresh processes. On CUDA it is what the driver counts for the process, over the same: what PyTorch's
allocator holds, and the kernels that were loaded. For PyTorch, the peak that is really allocated stands beside it. On
CUDA it is also measured whether a step waits for the device: a step is taken behind half a second of other work, and
must return long before that is done; PyTorch's own check (set_sync_debug_mode) is asked, too. There, f32 is strict, and
tf32 allows TF32 in convolutions and in matrix products.

The PyTorch half installs itself, see peer_env.py. On a machine without network or Rust, `--python-here` takes the
Python that runs the script, and `--rust-binary` the example built elsewhere for that machine's libtorch; who lacks a
package, or cannot be compiled, is left out and named below the table. torch.compile needs a C++ compiler.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import peer_env
import peers
from bench import neighbours, processes, recorded, table

FLAVOURS = ["eager", "compiled", "tuned"]


def counts(text):
    """The numbers of `1,2,4`."""
    if not all(count.isdecimal() and int(count) > 0 for count in text.split(",")):
        raise argparse.ArgumentTypeError(f"expected numbers from 1 on, such as 1,2,4, not {text!r}")
    return [int(count) for count in text.split(",")]


def parse():
    parser = peer_env.parser(__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="few rows, less time for each")
    parser.add_argument("--only", metavar="TEXT", action="append", help="rows whose name contains it")
    parser.add_argument("--seconds", type=float, help="how long to take steps for each row (default: 30; quick: 5)")
    parser.add_argument("--threads", metavar="LIST", type=counts, help="with so many threads each, such as 1,2,4")
    parser.add_argument("--beside", metavar="N", type=int, help="beside so many other processes that train")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out, and so `tuned`")
    parser.add_argument("--no-cudnn-benchmark", action="store_true", help="cuDNN chooses its algorithms untried")
    parser.add_argument("--python-here", action="store_true", help="this Python's packages, whatever their versions")
    parser.add_argument("--rust-binary", metavar="FILE", type=Path, help="the example bench_peers, built before")
    default = processes.ROOT / "target" / "peers"
    parser.add_argument("--check", action="store_true", help="say what got slower than recorded; then exit with 1")
    parser.add_argument("--record", action="store_true", help="record the ratios for this kind of processor")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=default, help="default: target/peers")
    parser.add_argument("--serve", choices=[*FLAVOURS, "neighbour"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.beside is not None and options.beside < 1:
        parser.error("--beside: expected at least 1")
    if options.seconds is not None and not options.seconds > 0:
        parser.error("--seconds: expected a positive number")
    if options.rust_binary and not options.rust_binary.is_file():
        parser.error(f"--rust-binary: {options.rust_binary} is no file")
    return options


if __name__ == "__main__":
    OPTIONS = parse()
    if not OPTIONS.python_here:
        PINNED = ["torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6", "safetensors==0.8.0"]
        ON_NUMBERS, ON_NETWORKS = peers.REQUIREMENTS_ON_NUMBERS, peers.REQUIREMENTS_ON_NETWORKS
        peer_env.ensure([*PINNED, *peers.REQUIREMENTS, *ON_NUMBERS, *ON_NETWORKS])


def serving(options, what):
    """The command of a process of PyTorch."""
    here = ["--python-here"] if options.python_here else []
    return [sys.executable, __file__, *here, "--device", options.device, "--serve", what]


def commands(options):
    """How those that are compared are started."""
    flavours = FLAVOURS[:1] if options.no_compile else FLAVOURS
    ours = options.rust_binary.absolute() if options.rust_binary else processes.build(options.device)
    return {"ours": [ours], **{flavour: serving(options, flavour) for flavour in flavours}}


def chosen(options, rows):
    """The rows that were asked for."""
    found = [row for row in rows.rows(options.device) if not options.quick or row.name.startswith(rows.QUICK)]
    found = [row for row in found if not options.only or any(text in row.name for text in options.only)]
    return found or sys.exit("bench_peers: no row has such a name")


class Run:
    """All rows, one after the other."""

    def __init__(self, options):
        from bench import machine, rows

        self.options, self.selected = options, chosen(options, rows)
        self.described = machine.describe(options.device)
        self.records = recorded.read()
        if options.check and (why := recorded.unknown(self.described, self.records)):
            sys.exit(f"bench_peers: {why}")
        self.commands = commands(options)
        self.result = {"machine": self.described, "bandwidth": machine.bandwidth(options.device), "rows": {}}

    def all(self):
        self.options.out.mkdir(parents=True, exist_ok=True)
        beside = neighbours.Neighbours(serving(self.options, "neighbour"), self.options.beside or 0)
        with beside, tempfile.TemporaryDirectory() as folder:
            for row in self.selected:
                try:
                    setup = row.setup(folder, self.options.device)
                except ImportError as error:
                    print(f"bench_peers: {row.name} left out: {error}", flush=True)
                    continue
                for threads in self.options.threads or [None]:
                    self.measure(row, setup, threads)
                    beside.check()
        return self.result

    def measure(self, row, setup, threads):
        """One row, and what it adds to the files."""
        options, on_cuda = self.options, self.options.device == "cuda"
        name, environment = row.name, row.environment(options.device)
        if options.beside:
            name += f", beside {options.beside}"
        if threads:
            name += f", {threads} thread{'s' if threads > 1 else ''}"
            environment = {**environment, "OMP_NUM_THREADS": str(threads)}
        here = {flavour: command for flavour, command in self.commands.items() if flavour in row.flavours}
        setup = {**setup, "turn": 0.25 if on_cuda else 1.0, "cudnn_benchmark": not options.no_cudnn_benchmark}
        seconds = options.seconds or (5 if options.quick else 30)
        measured = processes.measure(here, setup, environment, row.tolerance, seconds)
        if row.moved and "ours" in measured["seconds"] and not options.beside:
            copying = row.moved / self.result["bandwidth"]
            # Of what is moved, a third is `fake`; its copy reads and writes it.
            measured["floor"] = measured["seconds"]["ours"] / copying
            measured["copies"] = measured["seconds"]["ours"] / (copying * 2 / 3)
        self.result["rows"][name] = measured
        alone = table.table({**self.result, "rows": {name: measured}}).splitlines()
        print("\n".join(line for line in alone[4:] if line), flush=True)
        (options.out / "peers.json").write_text(json.dumps(self.result, indent=1) + "\n")
        (options.out / "peers.md").write_text(table.table(self.result))


def main():
    if OPTIONS.serve == "neighbour":
        return neighbours.train(OPTIONS.device)
    if OPTIONS.serve:
        from bench import serve

        return serve.serve(OPTIONS.serve)
    import torch

    if OPTIONS.device == "cuda" and not torch.cuda.is_available():
        sys.exit("bench_peers: PyTorch finds no CUDA device")
    run = Run(OPTIONS)
    result = run.all()
    print("\n" + table.table(result))
    failed = any(row["disagreements"] or "ours" in row["refused"] for row in result["rows"].values())
    if OPTIONS.check:
        lines, slower = recorded.compare(result, run.records)
        print("\n".join(lines))
        failed |= slower
    if OPTIONS.record:
        recorded.record(result)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
