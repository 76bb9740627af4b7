"""Speed beside the references, in one run: metrics_speed.py WORK --genera BIN

The Fréchet distance of 2048-d moments against SciPy's matrix square root, and precision and recall of 10 000 against
10 000 rows of 2048 features against torch-fidelity, with the memory that each took at most. All with as many threads
as the machine has.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import time

import numpy as np
import torch
from scipy import linalg
from torch_fidelity import metric_prc

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("what", choices=["frechet", "manifold"])
parser.add_argument("work", type=pathlib.Path)
parser.add_argument("--genera", default="target/release/genera")
parser.add_argument("--rows", type=int, default=10_000)
args = parser.parse_args()
args.work.mkdir(parents=True, exist_ok=True)
rng, d = np.random.default_rng(0), 2048


def rows(n, shift):
    """Features with a spectrum that falls as that of a network's do, never negative."""
    spectrum = (1 + np.arange(d)) ** -0.5
    return np.maximum(rng.standard_normal((n, d), dtype=np.float32) * spectrum + shift, 0).astype(np.float32)


def genera(*arguments):
    command = [args.genera, "metrics", *map(str, arguments), "--json", "--quiet"]
    return {m["measure"]: m for m in json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["measures"]}


if args.what == "frechet":
    for name, shift in [("a", 0.1), ("b", 0.12)]:
        x = rows(10_000, shift)
        np.savez(args.work / f"{name}.npz", mu=x.mean(0, dtype=np.float64), sigma=np.cov(x, rowvar=False))
    ours = genera(args.work / "a.npz", args.work / "b.npz")["frechet"]
    a, b = (np.load(args.work / f"{name}.npz") for name in "ab")
    s1, s2, difference = a["sigma"], b["sigma"], a["mu"] - b["mu"]
    start = time.time()
    theirs = difference @ difference + np.trace(s1 + s2 - 2 * np.real(linalg.sqrtm(s1 @ s2)))
    taken = time.time() - start
    print(f"Fréchet: {ours['value']:.9g} in {ours['seconds']:.2f} s; SciPy {theirs:.9g} in {taken:.2f} s: {taken / ours['seconds']:.1f} times faster")
else:
    for name, shift in [("real", 0.1), ("fake", 0.12)]:
        np.save(args.work / f"{name}.npy", rows(args.rows, shift))
    ours = genera(args.work / "real.npy", args.work / "fake.npy", "--kid-subsets", 1, "--kid-subset-size", 100)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    real, fake = (torch.from_numpy(np.load(args.work / f"{name}.npy")) for name in ["real", "fake"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.time()
    theirs = metric_prc.prc_features_to_metric(fake, real, verbose=False)
    taken = time.time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pair = [ours["precision"]["value"], ours["recall"]["value"]]
    print(f"Genera: precision and recall {pair} in {ours['precision']['seconds']:.2f} s, {memory:.0f} MB at most, of the whole program")
    print(f"torch-fidelity: {[theirs['precision'], theirs['recall']]} in {taken:.2f} s, {after - before:.0f} MB above its inputs")
