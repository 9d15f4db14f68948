"""The processes that take turns, and the rounds of their turns."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class Refused(Exception):
    """A process cannot do the work; the message says why."""


class Peer:
    def __init__(self, command, environment):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )

    def ask(self, request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise Refused(f"ended early, with exit code {self.process.wait()}")
        answer = json.loads(answer)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            # It reads the end of its input when a step is done.
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def build(device):
    """The Rust half, built."""
    features = ["--features", "cuda"] if device == "cuda" else []
    command = ["cargo", "build", "--release", "--example", "bench_peers", *features, "--message-format", "json"]
    try:
        built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"bench_peers: the Rust half was not built ({error}); --rust-binary takes one that was built before")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "bench_peers":
            return message["executable"]
    sys.exit("bench_peers: cargo built no runner")


def by_driver(pid):
    """The bytes on the device that the driver counts for a process; `None` where it does not say."""
    command = ["nvidia-smi", "--query-compute-apps=pid,used_gpu_memory", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    for line in found.splitlines():
        this, _, mebibytes = line.partition(",")
        if this.strip() == str(pid) and mebibytes.strip().isdigit():
            return int(mebibytes) << 20
    return None


class Row:
    """The processes of one row, ready."""

    def __init__(self, commands, setup, environment):
        self.peers = {flavour: Peer(command, environment) for flavour, command in commands.items()}
        self.on_cuda = setup["device"] == "cuda"
        self.setup = setup
        self.refused, self.first, self.memory, self.driver, self.waits = {}, {}, {}, {}, {}

    def each(self, act):
        """Does something for each process, and goes on without those that refuse."""
        for flavour, peer in list(self.peers.items()):
            try:
                act(flavour, peer)
            except Refused as refused:
                self.refused[flavour] = str(refused)
                self.peers.pop(flavour).close()

    def start(self, flavour, peer):
        peer.ask({"setup": self.setup})
        base = by_driver(peer.process.pid) if self.on_cuda else None
        self.first[flavour] = peer.ask("first")
        peer.ask("steps")
        if not self.on_cuda or flavour != "ours":
            self.memory[flavour] = peer.ask("memory")["bytes"]
        if self.on_cuda:
            peak = by_driver(peer.process.pid)
            if base is not None and peak is not None:
                self.driver[flavour] = peak - base

    def wait(self, flavour, peer):
        self.waits[flavour] = peer.ask("waits")

    def rounds(self, seconds):
        """Turns of all, one after the other, for about `seconds`."""
        rounds, start = [], time.perf_counter()
        while len(rounds) < 3 or (time.perf_counter() - start < seconds and len(rounds) < 200):
            taken = {}

            def turn(flavour, peer):
                # OpenMP's threads spin for a while after their work: the others' are to sleep when this one's are
                # timed.
                time.sleep(0.02)
                taken[flavour] = peer.ask("steps")

            self.each(turn)
            rounds.append(taken)
        return [{flavour: taken[flavour] for flavour in self.peers} for taken in rounds]

    def disagreements(self, tolerance):
        """Where what was computed is not what eager PyTorch computes."""
        found = []
        for flavour, answer in self.first.items():
            for what, expected in self.first.get("eager", {}).items():
                if not abs(answer[what] - expected) <= tolerance[what] * abs(expected):
                    found.append(f"the {what} of {flavour} is {answer[what]:.6g}, eager's is {expected:.6g}")
        return found


def measure(commands, setup, environment, tolerance, seconds):
    """The medians of one row, and the ratios of ours to the others."""
    row = Row(commands, setup, environment)
    try:
        row.each(row.start)
        rounds = row.rounds(seconds)
        if row.on_cuda:
            row.each(row.wait)
    finally:
        for peer in row.peers.values():
            peer.close()
    present = [flavour for flavour in commands if rounds and flavour in rounds[0]]
    others = [flavour for flavour in present if flavour != "ours" and "ours" in present]

    def medians(what):
        """Of what a call took, by flavour."""
        found = {flavour: [r[flavour].get(what) for r in rounds] for flavour in present}
        return {flavour: statistics.median(all) for flavour, all in found.items() if None not in all}

    ratios = {flavour: [r["ours"]["seconds"] / r[flavour]["seconds"] for r in rounds] for flavour in others}
    return {
        "rounds": len(rounds),
        "seconds": medians("seconds"),
        # Of torch.nn's losses: without gradients, and how much longer than tch's own function.
        "forward": medians("forward"),
        "over": medians("over"),
        "ratio": {flavour: statistics.median(all) for flavour, all in ratios.items()},
        # Of three rounds, all of their range.
        "quartiles": {flavour: statistics.quantiles(all, n=4) for flavour, all in ratios.items()},
        "memory": row.memory,
        "driver": row.driver,
        "waits": row.waits,
        "value": {flavour: answer["value"] for flavour, answer in row.first.items()},
        "refused": row.refused,
        "disagreements": row.disagreements(tolerance),
    }
