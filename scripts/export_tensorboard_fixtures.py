"""Exports event files as PyTorch's SummaryWriter writes them: tests/fixtures/tensorboard/*.

    python3 scripts/export_tensorboard_fixtures.py   # from any directory; fetches packages once, see peer_env.py

records.json holds records of losses and the time, created.tfevents what SummaryWriter makes of them at that time,
and resumed.tfevents the same with a purge_step.
"""

import json
import tempfile
import time
from pathlib import Path

import peer_env

if __name__ == "__main__":
    peer_env.parser(__doc__).parse_args()

peer_env.ensure(["torch==2.13.0", "numpy==2.4.6", "tensorboard==2.21.0"])

from torch.utils.tensorboard import SummaryWriter  # noqa: E402

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "tensorboard"
WALL_TIME = 1700000000.125
PURGE_STEP = 5

RECORDS = [
    {"name": "G_L1", "step": 0, "value": 0.51, "weight": 100.0},
    {"name": "G_GAN", "step": 0, "value": 0.0, "weight": -1.0},
    {"name": "Größe/日本語 🎨", "step": 1, "value": 1e-9, "weight": 1e9},
    {"name": "", "step": 2**40, "value": 1e300, "weight": 0.1},
    {"name": "x" * 200, "step": 2**63 - 1, "value": float("-inf"), "weight": 1.0},
    {"name": "nan", "step": 300, "value": float("nan"), "weight": 1.0},
]


def export(name, purge_step):
    with tempfile.TemporaryDirectory() as directory:
        writer = SummaryWriter(directory, purge_step=purge_step)
        for record in RECORDS:
            value, weight = record["value"], record["weight"]
            for group, number in [("weighted", value * weight), ("loss", value), ("weight", weight)]:
                writer.add_scalar(f"{group}/{record['name']}", number, record["step"])
        writer.close()
        (file,) = Path(directory).iterdir()
        (FIXTURES / name).write_bytes(file.read_bytes())


def main():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    time.time = lambda: WALL_TIME
    export("created.tfevents", None)
    export("resumed.tfevents", PURGE_STEP)
    # What JSON cannot hold is a string.
    records = [
        {**record, "value": record["value"] if abs(record["value"]) < float("inf") else str(record["value"])}
        for record in RECORDS
    ]
    given = {"wall_time": WALL_TIME, "purge_step": PURGE_STEP, "records": records}
    text = json.dumps(given, indent=1, ensure_ascii=False)
    (FIXTURES / "records.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
