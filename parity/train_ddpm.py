"""Train a recipe's diffusion model in PyTorch with the same network, data, budget and sampler, and save its samples.

    genera recipes ddpm-digits --json > recipe.json
    python parity/train_ddpm.py --recipe recipe.json --seed 0 --out samples.npy
    genera eval RUN --samples samples.npy --json

The recipe's numbers are the only input, so that both programs do the same work. The digits are scikit-learn's with the
split that genera states; other data is read from .npy files of bytes.
"""

import argparse
import copy
import json
import math
import time

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel
from sklearn.datasets import load_digits

BETAS = {"linear": "linear", "scaled-linear": "scaled_linear", "cosine": "squaredcos_cap_v2", "sigmoid": "sigmoid"}
PREDICTION = {"noise": "epsilon", "data": "sample", "v": "v_prediction"}


def digits():
    """The 1 500 training digits in [-1, 1] and their classes: in order of class, image j is held out if
    297 j mod 1797 < 297."""
    data = load_digits()
    order = np.argsort(data.target, kind="stable")
    held_out = np.zeros(len(order), bool)
    held_out[order] = 297 * np.arange(len(order)) % 1797 < 297
    images = torch.tensor(data.images[~held_out][:, None] / 8.0 - 1.0, dtype=torch.float32)
    return images, torch.tensor(data.target[~held_out])


class ClippedDPMSolver(DPMSolverMultistepScheduler):
    """DPM-Solver++ of second order whose predictions of clean data stay in [-1, 1], as the recipes ask for."""

    def convert_model_output(self, *arguments, **named):
        return super().convert_model_output(*arguments, **named).clamp(-1, 1)


def sampler_of(sample, levels):
    """The recipe's sampler: a scheduler, and what its steps take besides."""
    if sample["solver"] == "dpm-solver++":
        return ClippedDPMSolver(**levels), {}
    if sample["solver"] == "ddim":
        return DDIMScheduler(**levels, clip_sample=True), {"eta": sample.get("eta", 0.0)}
    raise SystemExit(f"solver {sample['solver']} is not mirrored here")


def rate(train, step):
    schedule = train.get("rate", {"kind": "constant"})
    warmup = schedule.get("warmup", 0)
    if step < warmup:
        return (step + 1) / warmup
    if schedule["kind"] == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, train["steps"] - warmup)))
    if schedule["kind"] == "constant":
        return 1.0
    raise SystemExit(f"rate {schedule['kind']} is not mirrored here")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--images", help=".npy of bytes [N, C, H, W]; without it the digits")
    parser.add_argument("--labels", help=".npy of classes [N]")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()

    recipe = json.load(open(options.recipe))
    model, train, sample = recipe["model"], recipe["train"], recipe["sample"]
    torch.manual_seed(options.seed)
    if options.images is None:
        data, labels = digits()
    else:
        data = torch.tensor(np.load(options.images) / 127.5 - 1, dtype=torch.float32)
        labels = torch.tensor(np.load(options.labels)).long() if options.labels else None
    conditional = model.get("conditional", False)
    classes = int(labels.max()) + 1 if conditional else None

    keys = {key: value for key, value in model["net"].items() if key != "kind" and value is not None}
    channels, size = data.shape[1], tuple(data.shape[2:])
    shape = {"in_channels": channels, "out_channels": channels, "sample_size": size}
    net = UNet2DModel(**keys | shape | {"num_class_embeds": classes})
    average = copy.deepcopy(net)
    levels = {"num_train_timesteps": model["schedule"]["steps"], "beta_schedule": BETAS[model["schedule"]["kind"]]}
    levels |= {"prediction_type": PREDICTION[model["target"]]}
    schedule = DDPMScheduler(**levels)
    optimizer = torch.optim.AdamW(
        net.parameters(),
        lr=train["optimizer"]["learning_rate"],
        weight_decay=train["optimizer"].get("weight_decay", 0.01),
    )
    print(f"{sum(p.numel() for p in net.parameters())} parameters, {len(data)} images, {torch.get_num_threads()} threads")

    start, losses = time.perf_counter(), []
    order = torch.randperm(len(data))
    for step in range(train["steps"]):
        if len(order) < train["batch_size"]:
            order = torch.randperm(len(data))
        rows, order = order[: train["batch_size"]], order[train["batch_size"] :]
        x0, told = data[rows], labels[rows] if conditional else None
        noise, time_index = torch.randn_like(x0), torch.randint(0, levels["num_train_timesteps"], (len(x0),))
        target = {
            "noise": lambda: noise,
            "data": lambda: x0,
            "v": lambda: schedule.get_velocity(x0, noise, time_index),
        }[model["target"]]()
        predicted = net(schedule.add_noise(x0, noise, time_index), time_index, class_labels=told).sample
        loss = torch.nn.functional.mse_loss(predicted, target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), train["clip_norm"])
        for group in optimizer.param_groups:
            group["lr"] = train["optimizer"]["learning_rate"] * rate(train, step)
        optimizer.step()
        decay = train["ema"]["decay"]
        if train["ema"].get("warmup"):
            decay = min(decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), net.parameters()):
                kept.lerp_(new, 1 - decay)
        losses.append(loss.item())
        if (step + 1) % 200 == 0:
            seconds = time.perf_counter() - start
            print(f"step {step + 1}: loss {np.mean(losses[-200:]):.4f}, {(step + 1) / seconds:.2f} steps/s", flush=True)

    sampler, options_of_step = sampler_of(sample, levels)
    sampler.set_timesteps(sample["steps"])
    x = torch.randn((options.n, *data.shape[1:]))
    told = torch.arange(options.n) % classes if conditional else None
    with torch.no_grad():
        for time_index in sampler.timesteps:
            x = sampler.step(average(x, time_index, class_labels=told).sample, time_index, x, **options_of_step).prev_sample
    np.save(options.out, x.reshape(options.n, -1).numpy())
    print(f"trained and sampled in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
