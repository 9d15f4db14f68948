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


def microseconds(value):
    return f"{value * 1e6:.1f} µs" if abs(value) < 1e-3 else seconds(value)


def header(described, bandwidth):
    flags = ", ".join(described["flags"])
    return (
        f"{described.get('gpu', described['cpu'])}, {described['cores']} cores ({flags}), torch {described['torch']}, "
        f"{described['rustc']}, load {described['load']:.1f} at the start, copy {bandwidth / 1e9:.1f} GB/s."
    )


def of_images(rows, on_cuda):
    """The columns, and the cells of each row."""
    columns = ["work", *FLAVOURS, *(f"ours / {flavour}" for flavour in FLAVOURS[1:])]
    columns += ["driver: ours" if on_cuda else "memory: ours", *FLAVOURS[1:]]
    if on_cuda:
        columns += ["allocated: eager", *FLAVOURS[2:]]
    found = []
    for name, row in rows.items():
        line = [name, *cells(row["seconds"], seconds), *cells(row["ratio"], ratio)[1:]]
        line += cells(row["driver"] if on_cuda else row["memory"], megabytes)
        found.append([*line, *cells(row["memory"], megabytes)[1:]] if on_cuda else line)
    return columns, found


def of_torch_nn(rows):
    """The same for the losses of torch.nn."""
    three = FLAVOURS[:3]
    columns = ["work", "forward and backward: ours", *three[1:], "ours / eager", "ours / compiled"]
    columns += ["forward: ours", *three[1:], "ours - tch"]
    found = []
    for name, row in rows.items():
        line = [name, *cells(row["seconds"], microseconds, three), *cells(row["ratio"], ratio, three)[1:]]
        found.append([*line, *cells(row["forward"], microseconds, three), *cells(row["over"], microseconds, ["ours"])])
    return columns, found


def notes(name, row):
    """What has to be said of a row beside its figures."""
    if floor := row.get("floor"):
        yield (
            f"{name}: {floor:.1f} times as long as copying what it cannot but read and write, "
            f"{row['copies']:.1f} times as long as one copy of `fake`."
        )
    for flavour, why in row["refused"].items():
        yield f"{name}: {flavour} left out: {why}"
    for what in row["disagreements"]:
        yield f"{name}: {what}."
    for flavour, waits in row["waits"].items():
        if waits.get("synchronizing"):
            yield f"{name}: {flavour} waits for the device: {waits['synchronizing']}"
        elif waits["share"] > 0.9:
            yield f"{name}: {flavour} waits for the device: it returns after {waits['share']:.2f} of the queued work."


def table(result):
    on_cuda = result["machine"]["device"] == "cuda"
    lines = [header(result["machine"], result["bandwidth"])]
    of_nn = {name: row for name, row in result["rows"].items() if row["forward"]}
    images = {name: row for name, row in result["rows"].items() if name not in of_nn}
    for columns, rows in (of_images(images, on_cuda), of_torch_nn(of_nn)):
        if rows:
            lines += ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
            lines += [f"| {' | '.join(row)} |" for row in rows]
    for name, row in result["rows"].items():
        for note in notes(name, row):
            lines += ["", note]
    if on_cuda and images and not any(row["driver"] for row in images.values()):
        lines += ["", "What the driver counts is unknown: nvidia-smi names none of the processes."]
    return "\n".join(lines) + "\n"
