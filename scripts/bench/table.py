"""The result as Markdown."""

FLAVOURS = ["ours", "eager", "compiled", "tuned"]


def seconds(value):
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def ratio(value):
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def megabytes(value):
    return f"{value / 1e6:.0f} MB"


def cells(values, form, flavours=FLAVOURS):
    return [form(values[flavour]) if flavour in values else "" for flavour in flavours]


def header(described, bandwidth):
    flags = ", ".join(described["flags"])
    return (
        f"{described.get('gpu', described['cpu'])}, {described['cores']} cores ({flags}), torch {described['torch']}, "
        f"{described['rustc']}, load {described['load']:.1f} at the start, copy {bandwidth / 1e9:.1f} GB/s."
    )


def line(name, row, on_cuda):
    ratios = cells(row["ratio"], ratio)[1:]
    found = [*cells(row["seconds"], seconds), *ratios]
    if on_cuda:
        found += [*cells(row["driver"], megabytes), *cells(row["memory"], megabytes)[1:]]
    else:
        found += cells(row["memory"], megabytes)
    return f"| {name} | {' | '.join(found)} |"


def table(result):
    on_cuda = result["machine"]["device"] == "cuda"
    columns = ["work", *FLAVOURS, *(f"ours / {flavour}" for flavour in FLAVOURS[1:])]
    columns += ["driver: ours" if on_cuda else "memory: ours", *FLAVOURS[1:]]
    if on_cuda:
        columns += ["allocated: eager", *FLAVOURS[2:]]
    lines = [header(result["machine"], result["bandwidth"]), ""]
    if result["rows"]:
        lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    notes = []
    for name, row in result["rows"].items():
        lines.append(line(name, row, on_cuda))
        if floor := row.get("floor"):
            notes.append(f"{name}: {floor:.1f} times as long as copying what it cannot but read and write.")
        notes += [f"{name}: {flavour} left out: {why}" for flavour, why in row["refused"].items()]
        notes += [f"{name}: {what}." for what in row["disagreements"]]
        for flavour, waits in row["waits"].items():
            if waits["share"] > 0.9 or waits.get("synchronizing"):
                why = waits.get("synchronizing") or f"after {waits['share']:.2f} of the queued work"
                notes.append(f"{name}: {flavour} waits for the device: {why}")
    if on_cuda and result["rows"] and not any(row["driver"] for row in result["rows"].values()):
        notes.append("Memory of ours is unknown: nvidia-smi names no processes here.")
    for note in notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"
