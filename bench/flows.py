"""Flows of the plane beside zuko: the same weights and rows, in turn.

    cargo build --release -p genera --example flow-speed
    python bench/flows.py target/release/examples/flow-speed [ROWS]

A masked autoregressive flow and a RealNVP of five affine transforms each, every network of two hidden layers of 64. A
likelihood is log p of all rows without gradients; a training step is the mean of -log p and its gradient. The optimiser
is left out.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import zuko
from safetensors.torch import save_file

ROUNDS, STEPS = 5, 50
ROWS = int(sys.argv[2]) if len(sys.argv) > 2 else 256
torch.manual_seed(0)
flows = {
    "maf": zuko.flows.MAF(2, transforms=5, hidden_features=(64, 64)),
    "realnvp": zuko.flows.NICE(2, transforms=5, hidden_features=(64, 64)),
}
x = torch.randn(ROWS, 2)


def weights(flow):
    """Under Genera's names; what zuko orders column by column is put parameter by parameter."""
    found = {}
    for at, transform in enumerate(flow.transform.transforms):
        layers = [layer for layer in transform.hyper if hasattr(layer, "weight")]
        for number, layer in enumerate(layers):
            weight, bias = layer.weight.detach(), layer.bias.detach()
            if number == len(layers) - 1:
                order = torch.arange(len(bias)).reshape(-1, 2).T.reshape(-1)
                weight, bias = weight[order], bias[order]
            found[f"{at}.net.layers.{number}.weight"] = weight.contiguous()
            found[f"{at}.net.layers.{number}.bias"] = bias.contiguous()
    return found


def likelihood(flow):
    with torch.no_grad():
        return flow().log_prob(x).mean().item()


def training(flow):
    flow.zero_grad()
    loss = -flow().log_prob(x).mean()
    loss.backward()
    return -loss.item()


with tempfile.TemporaryDirectory() as folder:
    for name, flow in flows.items():
        save_file(weights(flow), pathlib.Path(folder) / f"{name}.safetensors")
    save_file({"x": x}, pathlib.Path(folder) / "x.safetensors")
    times = {}
    for _ in range(ROUNDS):
        own = json.loads(subprocess.run([sys.argv[1], folder], check=True, capture_output=True, text=True).stdout)
        for name, flow in flows.items():
            for task, run in [("likelihood", likelihood), ("training", training)]:
                times.setdefault((name, task, "genera"), []).append(own[name][task])
                value = run(flow)  # warm
                assert abs(value - own[name]["log_prob"]) < 1e-4, (name, task, value, own[name]["log_prob"])
                start = time.perf_counter()
                for _ in range(STEPS):
                    run(flow)
                times.setdefault((name, task, "zuko"), []).append((time.perf_counter() - start) / STEPS)

print(f"{ROWS} rows, {torch.get_num_threads()} threads")
print(f"{'':8} {'task':10} {'Genera, ms':>24} {'zuko, ms':>24}  times as long as Genera")
for name, task in dict.fromkeys(key[:2] for key in times):
    sides = [times[name, task, side] for side in ("genera", "zuko")]
    of = [f"{statistics.median(s) * 1e3:.2f} ({min(s) * 1e3:.2f}-{max(s) * 1e3:.2f})" for s in sides]
    ratio = statistics.median(sides[1]) / statistics.median(sides[0])
    print(f"{name:8} {task:10} {of[0]:>24} {of[1]:>24}  {ratio:.1f}")
