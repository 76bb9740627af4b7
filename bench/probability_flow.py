"""Likelihoods of pictures along the probability flow of a diffusion, beside PyTorch: the same weights, rows and tolerances.

    cargo build --release --examples
    python bench/probability_flow.py target/release/examples/probability-flow-speed
    python bench/probability_flow.py target/release/examples/probability-flow-speed RUN IMAGES --rows 1000

RUN is a run of the recipe vp-mnist, IMAGES the held-out pictures of MNIST (t10k-images-idx3-ubyte, packed or not). Without
them the network is untrained and the pictures are noise: a smoother field, which needs fewer evaluations.

The variance-preserving flow, a target of v, one Rademacher probe a row, Dormand and Prince's pair with 1e-5, relative and
absolute. PyTorch's side is torchdiffeq on batches, the probe's product by reverse differentiation, as in the reference code
of score-based SDEs; there a batch takes steps together, here every row takes its own.
"""

import argparse
import gzip
import json
import math
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file
from torchdiffeq import odeint

NET = {
    "sample_size": 28, "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32, 64],
    "down_block_types": ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    "layers_per_block": 1, "norm_num_groups": 8,
}
BETA = (0.1, 20.0)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("example", help="the built example probability-flow-speed")
parser.add_argument("run", nargs="?", type=pathlib.Path, help="a run of vp-mnist")
parser.add_argument("images", nargs="?", type=pathlib.Path, help="the held-out pictures")
parser.add_argument("--rows", type=int, default=64, help="pictures (default: 64)")
parser.add_argument("--batch", type=int, default=250, help="pictures PyTorch integrates together (default: 250)")
parser.add_argument("--rounds", type=int, default=1, help="how often each side works, in turn (default: 1)")
options = parser.parse_args()
if (options.run is None) != (options.images is None):
    parser.error("a run needs its pictures: name RUN and IMAGES, or neither")


def pictures(path):
    raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    pixels = torch.frombuffer(bytearray(raw[16:]), dtype=torch.uint8).view(-1, 784)[: options.rows].float()
    return (pixels + torch.rand(pixels.shape)) / 256 * 2 - 1


torch.manual_seed(0)
net = UNet2DModel(**NET)
if options.run:
    last = sorted((options.run / "checkpoints").iterdir())[-1]
    net.load_state_dict({name.removeprefix("net."): value for name, value in load_file(last / "ema.safetensors").items()})
    x = pictures(options.images)
else:
    x = 2 * torch.rand(options.rows, 784) - 1
net.eval().requires_grad_(False)


def slope(u, x):
    """dx/du at the part u of the chain's time."""
    beta = BETA[0] + u * (BETA[1] - BETA[0])
    integral = BETA[0] * u + 0.5 * u**2 * (BETA[1] - BETA[0])
    alpha, sigma = torch.exp(-0.5 * integral), torch.sqrt(-torch.expm1(-integral))
    v = net(x.view(-1, 1, 28, 28), (1000 * u - 1).expand(len(x))).sample.flatten(1)
    score = -(alpha * v + sigma * x) / sigma  # the noise is alpha v + sigma x
    return -0.5 * beta * (x + score)


def likelihood(x):
    """Mean of log p and its standard error over rows, and the evaluations of the slowest batch."""
    found, evaluations = [], 0
    for rows in x.split(options.batch):
        probe, asked = torch.randint(0, 2, rows.shape).float() * 2 - 1, 0

        def both(u, state):
            nonlocal asked
            asked += 1
            with torch.enable_grad():
                x = state[:, :-1].detach().requires_grad_(True)
                dx = slope(u, x)
                pulled = torch.autograd.grad((dx * probe).sum(), x)[0]
            return torch.cat([dx.detach(), (pulled * probe).sum(1, keepdim=True)], 1)

        start = torch.cat([rows, torch.zeros(len(rows), 1)], 1)
        ends = torch.tensor([1e-3, 1.0])
        end = odeint(both, start, ends, rtol=1e-5, atol=1e-5, method="dopri5")[-1]
        z = end[:, :-1].double()
        found.append(-0.5 * (z.square() + math.log(math.tau)).sum(1) + end[:, -1])
        evaluations = max(evaluations, asked)
    found = torch.cat(found)
    return found.mean().item(), (found.std() / len(found) ** 0.5).item(), evaluations


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "net.json").write_text(json.dumps(NET))
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, folder / "weights.safetensors")
    save_file({"x": x.contiguous()}, folder / "x.safetensors")
    likelihood(x[:1])  # warm
    seconds = {"Genera": [], "PyTorch": []}
    for _ in range(options.rounds):
        own = json.loads(subprocess.run([options.example, folder], check=True, capture_output=True, text=True).stdout)
        seconds["Genera"].append(own["seconds"])
        start = time.perf_counter()
        mean, error, evaluations = likelihood(x)
        seconds["PyTorch"].append(time.perf_counter() - start)
        assert abs(mean - own["log_prob"]) < 4 * math.hypot(error, own["error"]), (mean, error, own)

print(f"{options.rows} pictures, {torch.get_num_threads()} threads")
for side, (nats, se, asked) in {
    "Genera": (own["log_prob"], own["error"], own["evaluations"]),
    "PyTorch": (mean, error, evaluations),
}.items():
    median = statistics.median(seconds[side])
    print(f"{side:8} {median:8.1f} s  {asked:6.0f} evaluations  log p {nats:9.2f} ({se:.2f}) nats")
print(f"PyTorch takes {statistics.median(seconds['PyTorch']) / statistics.median(seconds['Genera']):.2f} times as long")
