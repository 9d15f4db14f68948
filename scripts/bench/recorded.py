"""Ratios that were recorded for kinds of processors, and what has become slower since."""

import json
from pathlib import Path

FILE = Path(__file__).with_name("recorded.json")
# A ratio may grow by so much.
ROOM = 0.05


def kind(described):
    """A description of the processor that is the same on each machine of its kind."""
    if described["device"] == "cuda":
        return described["gpu"]
    return f"{described['cpu']}, {described['cores']} cores, {' '.join(described['flags']) or 'no known instructions'}"


def read():
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def record(result):
    """Writes the ratios down. Rows that were not measured keep theirs."""
    records = read()
    of_kind = records.setdefault(kind(result["machine"]), {"rows": {}})
    of_kind["torch"] = result["machine"]["torch"]
    for name, row in result["rows"].items():
        if row["quartiles"] and not row["disagreements"]:
            of_kind["rows"][name] = {
                flavour: [round(ratio, 4) for ratio in quartiles] for flavour, quartiles in row["quartiles"].items()
            }
    FILE.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")


def unknown(described, records):
    """Why a machine cannot be compared, or `None`."""
    if kind(described) in records:
        return None
    known = "; ".join(sorted(records)) or "none"
    return f"no ratios are recorded for this processor ({kind(described)}); --record writes them. Known: {known}"


def slower(result, records):
    """A line for each ratio that has grown: the median by more than `ROOM`, and the rounds' middle halves apart."""
    of_kind, found = records[kind(result["machine"])], []
    for name, row in result["rows"].items():
        if "ours" in row["refused"]:
            found.append(f"{name}: ours failed: {row['refused']['ours']}")
        for flavour, (low, middle, _) in row["quartiles"].items():
            _, before, high = of_kind["rows"].get(name, {}).get(flavour, [0, float("inf"), float("inf")])
            if middle > before * (1 + ROOM) and low > high:
                found.append(
                    f"{name}: ours / {flavour} was {before:.3f} (up to {high:.3f} in three of four rounds), "
                    f"is {middle:.3f} (from {low:.3f})"
                )
    return found


def compare(result, records):
    """What `--check` says, and whether something got slower."""
    of_kind = records[kind(result["machine"])]
    lines = slower(result, records)
    failed = bool(lines)
    lines = [f"slower: {line}" for line in lines] or ["Nothing got slower."]
    new = [name for name in result["rows"] if name not in of_kind["rows"]]
    if new:
        lines.append(f"Not recorded, so not compared: {', '.join(new)}")
    if of_kind["torch"] != result["machine"]["torch"]:
        lines.append(f"The record was made with torch {of_kind['torch']}, this with {result['machine']['torch']}.")
    return lines, failed
