"""How the U-Net's training step grows with the batch, the resolution and the width: time and memory, as a picture and as
a table. Started by `bench/run growth [--picture FILE.svg] [--rounds N]`.

From the case `unet-mnist-train-64` one number is changed at a time. Both sides run in turn, PyTorch as `eager`. What is
plotted is the median over the rounds against the work, which is proportional to the batch, to the pixels and, but for the
first and the last layer, to the square of the width: a straight line of slope one is a step that grows as its work does.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

import report  # noqa: E402
from runner import HERE, Side, cases  # noqa: E402

BASE = "unet-mnist-train-64"
AXES = {
    "batch": ([4, 8, 16, 32, 64, 128], lambda case, n: case | {"batch": n}),
    "resolution": ([8, 16, 28, 40, 56], lambda case, n: case | {"batch": 16, "net": case["net"] | {"sample_size": n}}),
    "width": (
        [16, 32, 64, 96],
        lambda case, n: case
        | {"batch": 16, "net": case["net"] | {"block_out_channels": [n, 2 * n, 4 * n], "attention_head_dim": n}},
    ),
}
SIDES = {"genera": "Genera", "eager": "PyTorch"}


def main():
    parser = argparse.ArgumentParser(prog="bench/run growth")
    parser.add_argument("--binary", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--picture", type=pathlib.Path, default=HERE / "growth.svg")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = os.environ.get("GENERA_BENCH_THREADS", str(os.cpu_count()))
    environment = os.environ | {
        "GENERA_BENCH_THREADS": threads,
        "RAYON_NUM_THREADS": threads,
        "OMP_NUM_THREADS": threads,
    }
    found = {axis: [measure(change(cases()[BASE], n), options, environment) for n in values]
             for axis, (values, change) in AXES.items()}
    print(table(found))
    plot(found, options.picture)


def measure(case, options, environment):
    """Seconds a step and MiB above the start, of both sides, and the operations of a step."""
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "case.json").write_text(json.dumps(case))
        python = [sys.executable, HERE / "peer.py"]
        prepared = subprocess.run([*python, "prepare", folder], env=environment, check=True, capture_output=True)
        sides = {
            "genera": Side([options.binary, folder], environment),
            "eager": Side([*python, "eager", folder], environment),
        }
        first = {name: side.ask("time 2")["seconds"][1] for name, side in sides.items()}
        counts = {name: max(1, min(50, round(0.3 / seconds))) for name, seconds in first.items()}
        rounds = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, side in sides.items():
                rounds[name].append(statistics.median(side.ask(f"time {counts[name]}")["seconds"]))
        result = {"flops": json.loads(prepared.stdout)["flops"]}
        for name, side in sides.items():
            memory = report.growth(side.ask("memory")) / 2**20
            result[name] = {"seconds": statistics.median(rounds[name]), "memory": memory}
            side.close()
        print(".", end="", file=sys.stderr, flush=True)
        return result


def table(found):
    lines = [
        "| | | GFLOP | Genera, ms | PyTorch, ms | Genera, MiB | PyTorch, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for axis, (values, _) in AXES.items():
        for n, row in zip(values, found[axis]):
            numbers = [row[side][what] for what in ("seconds", "memory") for side in SIDES]
            times, memories = [f"{1e3 * s:.3g}" for s in numbers[:2]], [f"{m:.0f}" for m in numbers[2:]]
            lines.append(f"| {axis} | {n} | {row['flops'] * 1e-9:.3g} | {' | '.join(times + memories)} |")
    return "\n".join(lines)


def plot(found, picture):
    figure, panels = plt.subplots(2, len(AXES), figsize=(11, 6), constrained_layout=True)
    for column, (axis, (values, _)) in enumerate(AXES.items()):
        for row, (what, scale, label) in enumerate(
            [("seconds", 1e3, "milliseconds a step"), ("memory", 1, "MiB at most")]
        ):
            panel = panels[row][column]
            work = [outcome["flops"] * 1e-9 for outcome in found[axis]]
            for side, name in SIDES.items():
                panel.loglog(work, [scale * outcome[side][what] for outcome in found[axis]], "o-", label=name)
            last = scale * found[axis][-1]["genera"][what]
            panel.loglog(work, [last * w / work[-1] for w in work], ":", color="gray", label="as the work")
            panel.set_xlabel(f"GFLOP a step ({axis} {values[0]} to {values[-1]})")
            panel.set_ylabel(label)
            panel.grid(True, which="both", alpha=0.2)
            panel.legend(fontsize="small")
    figure.savefig(picture)


if __name__ == "__main__":
    main()
