"""Continuous flows on 2-D data beside zuko and torchdiffeq: the same weights, rows and tolerances, in turn.

    cargo build --release -p genera --example cnf-speed
    python bench/continuous.py target/release/examples/cnf-speed

The field is zuko's default (two hidden layers of 64, three frequencies of the time) with tanh; 256 rows; Dormand and
Prince's pair at zuko's default tolerances, relative 1e-5 and absolute 1e-6; the divergence exact. A likelihood is
log p of all rows without gradients; a training step is the mean of -log p and its gradient. The optimiser is left out.
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
from torchdiffeq import odeint, odeint_adjoint

ROUNDS, ROWS = 5, 256
torch.manual_seed(0)
flow = zuko.flows.CNF(2, freqs=3, hidden_features=(64, 64), activation=torch.nn.Tanh)
with torch.no_grad():
    for parameter in flow.parameters():
        parameter.mul_(2.0)  # about as curved as a trained field
angles = torch.linspace(0, torch.pi, ROWS)
x = torch.stack([angles.cos(), angles.sin()], 1) + 0.1 * torch.randn(ROWS, 2)


class Augmented(torch.nn.Module):
    """dz/dt and the exact divergence, as FFJORD's brute force computes it."""

    def __init__(self, ode):
        super().__init__()
        self.ode = ode
        self.frequencies = torch.arange(1, 4) * torch.pi

    def forward(self, t, state):
        with torch.enable_grad():
            z = state[:, :2].requires_grad_(True)
            angle = (self.frequencies * t).expand(len(z), -1)
            dz = self.ode(torch.cat([angle.cos(), angle.sin(), z], 1))
            trace = sum(torch.autograd.grad(dz[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(2))
        return torch.cat([dz, trace[:, None]], 1)


augmented = Augmented(flow.transform.ode)


def by_torchdiffeq(solve):
    start = torch.cat([x, torch.zeros(ROWS, 1)], 1)
    end = solve(augmented, start, torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6, method="dopri5")[-1]
    return torch.distributions.Normal(0, 1).log_prob(end[:, :2]).sum(1) + end[:, 2]


def likelihood(log_prob):
    with torch.no_grad():
        return log_prob().mean().item()


def training(log_prob):
    flow.zero_grad()
    loss = -log_prob().mean()
    loss.backward()
    return loss.item()


sides = {
    "zuko": lambda: flow().log_prob(x),
    "torchdiffeq": lambda: by_torchdiffeq(odeint),
    "torchdiffeq, adjoint": lambda: by_torchdiffeq(odeint_adjoint),
}

with tempfile.TemporaryDirectory() as folder:
    names = {0: 0, 2: 1, 4: 2}
    weights = {
        f"layers.{names[layer]}.{kind}": getattr(flow.transform.ode[layer], kind).detach().contiguous()
        for layer in names
        for kind in ["weight", "bias"]
    }
    save_file(weights, pathlib.Path(folder) / "weights.safetensors")
    save_file({"x": x.contiguous()}, pathlib.Path(folder) / "x.safetensors")
    times = {}
    for _ in range(ROUNDS):
        own = json.loads(subprocess.run([sys.argv[1], folder], check=True, capture_output=True, text=True).stdout)
        for task in ["likelihood", "training", "training, adjoint"]:
            times.setdefault(("genera", task), []).append(own[task])
        for name, log_prob in sides.items():
            for task, run in [("likelihood", likelihood), ("training", training)]:
                if name == "torchdiffeq, adjoint" and task == "likelihood":
                    continue
                value = run(log_prob)  # warm
                sign = 1 if task == "likelihood" else -1
                assert abs(sign * value - own["log_prob"]) < 1e-3, (name, task, value, own["log_prob"])
                start = time.perf_counter()
                for _ in range(3):
                    run(log_prob)
                times.setdefault((name, task), []).append((time.perf_counter() - start) / 3)

own = {task: statistics.median(seconds) for (name, task), seconds in times.items() if name == "genera"}
print(f"{'':22} {'task':18} {'ms':>8} {'least':>8} {'most':>8}  times as long as Genera")
for (name, task), seconds in times.items():
    median = statistics.median(seconds)
    ratio = median / own[task]
    print(f"{name:22} {task:18} {median * 1e3:8.1f} {min(seconds) * 1e3:8.1f} {max(seconds) * 1e3:8.1f}  {ratio:.1f}")
