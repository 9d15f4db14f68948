"""Reads event files with TensorBoard's own reader, and compares them with a loss log of the same run.

    python3 scripts/check_tensorboard.py DIRECTORY LOSS_LOG   # fetches pinned packages once, see peer_env.py

Prints what was found as JSON. Exits with 1 where a tag, a step or a value differs.
"""

import json
import sys

import peer_env


def parse():
    parser = peer_env.parser(__doc__)
    parser.add_argument("directory", metavar="DIRECTORY", help="where the event files are")
    parser.add_argument("log", metavar="LOSS_LOG", help="loss_log.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    OPTIONS = parse()

peer_env.ensure(["tensorboard==2.21.0", "numpy==2.4.6"])

import numpy as np  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator  # noqa: E402

FIELDS = {"loss": "value", "weight": "weight", "weighted": "weighted"}


def logged(path):
    """The scalars of a loss log: {tag: [(step, value), ..]}."""
    scalars = {}
    with open(path, encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            for name, point in line.get("losses", {}).items():
                for group, field in FIELDS.items():
                    scalars.setdefault(f"{group}/{name}", []).append((line["step"], float(point[field])))
    return scalars


def main():
    events = EventAccumulator(OPTIONS.directory, size_guidance={SCALARS: 0}).Reload()
    expected = logged(OPTIONS.log)
    scalars = {tag: events.Scalars(tag) for tag in events.Tags()[SCALARS]}
    found = {tag: [(event.step, event.value) for event in scalars[tag]] for tag in scalars}
    print(json.dumps({"version": events.file_version, "scalars": {tag: len(found[tag]) for tag in found}}))
    if found.keys() != expected.keys():
        sys.exit(f"the tags differ: {sorted(found.keys() ^ expected.keys())}")
    for tag in expected:
        steps, values = (np.array(column) for column in zip(*expected[tag]))
        found_steps, found_values = (np.array(column) for column in zip(*found[tag]))
        if not np.array_equal(steps, found_steps):
            sys.exit(f"{tag}: the steps are {found_steps}, expected {steps}")
        if not np.array_equal(values.astype(np.float32), found_values.astype(np.float32), equal_nan=True):
            sys.exit(f"{tag}: the values are {found_values}, expected {values}")


if __name__ == "__main__":
    main()
