"""Runs every case on both sides in turn and prints what came out. Started by `bench/run`.

Each side of a case is a process of its own that lives through all rounds: one round asks each for about as many
steps as fit SECONDS, one after the other. What is compared is the median over the rounds of each round's median.
"""

import argparse
import fnmatch
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import report

HERE = pathlib.Path(__file__).parent
VARIANTS = ["eager", "channels-last", "compile"]
# Tasks of which a variant is the same as eager, or cannot be: nothing but convolutions knows a layout of memory, and
# torch.compile refuses to differentiate a gradient.
CONVOLUTIONAL = {"unet", "resnet", "pixelcnn", "critic", "dcgan", "conv"}
LOSS, LATER, NORM = 2e-4, 5e-3, 2e-3  # tolerances: the first loss, those after further steps, norms of gradients


class Side:
    """A process that answers one line with one line."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if command[-2] == "compile" else None,
            text=True,
            env=environment,
        )

    def ask(self, line):
        try:
            print(line, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{' '.join(self.process.args)} ended while asked to {line}")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(prog="bench/run")
    parser.add_argument("--binary", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--cases", default="*", help="which: names with wildcards, separated by commas")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="which of PyTorch's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.7, help="about so long a turn takes")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here; cases of an older file stay")
    parser.add_argument("--markdown", type=pathlib.Path, help="also write the table here")
    parser.add_argument("--smoke", action="store_true", help="one short round of every case: agreement, not speed")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.seconds = 1, 0.0
        options.variants = "eager"

    threads = int(os.environ.get("GENERA_BENCH_THREADS", os.cpu_count()))
    environment = os.environ | {
        "GENERA_BENCH_THREADS": str(threads),
        "RAYON_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "MIMALLOC_PURGE_DELAY": "-1",  # as `genera` itself sets it, see its allocator.rs
    }
    older = {}
    if options.json and options.json.exists():
        older = json.loads(options.json.read_text())["cases"]
    peak = json.loads(subprocess.run([options.binary, "peak"], env=environment, check=True, capture_output=True).stdout)
    results = {"machine": machine(threads), "peak": peak, "cases": older}
    variants = options.variants.split(",")
    every = cases()
    wanted = [name for name in every if any(fnmatch.fnmatch(name, part) for part in options.cases.split(","))]
    failed = []
    for name in wanted:
        begin = time.monotonic()
        outcome = run(name, every[name], variants, options, environment)
        results["cases"][name] = outcome
        failed += [f"{name}: {line}" for line in outcome["disagreements"]]
        print(f"{name}: {report.line(outcome)} [{time.monotonic() - begin:.0f} s]", file=sys.stderr, flush=True)
        results["cases"] = {name: results["cases"][name] for name in every if name in results["cases"]}
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")
    text = report.markdown(results)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    for line in failed:
        print(f"DISAGREEMENT {line}", file=sys.stderr)
    return 1 if failed else 0


def cases():
    """The cases of cases.json with `like` resolved."""
    every = json.loads((HERE / "cases.json").read_text())
    for name, case in every.items():
        if "like" in case:
            every[name] = every[case["like"]] | {key: value for key, value in case.items() if key != "like"}
    return every


def run(name, case, variants, options, environment):
    if case["task"] not in CONVOLUTIONAL | {"adamw"}:
        variants = [variant for variant in variants if variant != "channels-last"]
    if case["mode"] == "step":
        variants = [variant for variant in variants if variant != "compile"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "case.json").write_text(json.dumps(case))
        python = [sys.executable, HERE / "peer.py"]
        prepared = subprocess.run([*python, "prepare", folder], env=environment, check=True, capture_output=True)
        outcome = json.loads(prepared.stdout) | {"disagreements": [], "sides": {}}

        sides, checks = {}, {}
        for side in ["genera", *variants]:
            command = [options.binary, folder] if side == "genera" else [*python, side, folder]
            sides[side] = Side(command, environment)
            try:
                checks[side] = sides[side].ask("check 3")
            except RuntimeError as error:
                if side != "compile":
                    raise
                outcome["sides"][side] = {"failed": last_line(sides.pop(side), error)}
        reference = checks["eager" if "eager" in checks else variants[0]]
        for side, check in checks.items():
            outcome["disagreements"] += [f"{side}: {line}" for line in disagreements(check, reference)]
        outcome["losses"] = {side: check["losses"] for side, check in checks.items()}

        counts = {}
        for side, process in sides.items():
            step = statistics.median(process.ask("time 1")["seconds"] + process.ask("time 2")["seconds"][1:])
            counts[side] = max(1, min(2000, math.ceil(options.seconds / step)))
        rounds = {side: [] for side in sides}
        meter = Meter(sides)
        for _ in range(options.rounds):
            for side, process in sides.items():
                rounds[side].append(statistics.median(process.ask(f"time {counts[side]}")["seconds"]))
        outcome["others"] = meter.others()
        for side, process in sides.items():
            outcome["sides"][side] = {"seconds": rounds[side], **process.ask("memory")}
            process.close()
    return outcome


class Meter:
    """How much of the processors' time went to processes that are no part of the measurement."""

    def __init__(self, sides):
        self.sides, self.start = sides, time.monotonic()
        self.busy, self.ours = self.read()

    def read(self):
        user, nice, system = (int(word) for word in open("/proc/stat").readline().split()[1:4])
        fields = [open(f"/proc/{side.process.pid}/stat").read().rsplit(")")[1].split() for side in self.sides.values()]
        return user + nice + system, sum(int(field[11]) + int(field[12]) for field in fields)

    def others(self):
        busy, ours = self.read()
        elapsed = (time.monotonic() - self.start) * os.sysconf("SC_CLK_TCK") * os.cpu_count()
        return max(0.0, (busy - self.busy - ours + self.ours) / elapsed)


def disagreements(check, reference):
    pairs = [("loss", check["losses"], reference["losses"], LATER), ("norm", check["norms"], reference["norms"], None)]
    for what, got, expected, later in pairs:
        for step, (a, b) in enumerate(zip(got, expected)):
            if later is None and step > 0:
                break
            most = (LOSS if later else NORM) if step == 0 else later
            if not abs(a - b) <= most * max(abs(b), 1e-3):
                yield f"{what} of step {step} is {a}, PyTorch's {b}"


def last_line(side, error):
    """Why a process ended, in one line."""
    lines = [line for line in side.process.stderr.read().splitlines() if line.strip()]
    known = [line for line in lines if "Error" in line]
    return (known or lines or [str(error)])[-1][:200]


def machine(threads):
    model = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    flags = next((line.split() for line in open("/proc/cpuinfo") if line.startswith("flags")), [])
    vectors = [flag for flag in ("avx2", "fma", "avx512f") if flag in flags]
    import torch

    return {"processor": model, "vectors": vectors, "threads": threads, "torch": torch.__version__}


if __name__ == "__main__":
    sys.exit(main())
