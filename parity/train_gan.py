"""Train a recipe's DCGAN in PyTorch with the same networks, data, budget and game, and save its samples.

    genera recipes dcgan-mnist --json > recipe.json
    python parity/train_gan.py --recipe recipe.json --data FOLDER --seed 0 --out samples.npy
    genera eval RUN --samples samples.npy --json

The recipe's numbers are the only input, so that both programs do the same work: the Frechet distance of both on the same
classifier can then be held against each other. FOLDER has the IDX files of the set, plain or gzipped. Mirrored are the
`dcgan` generator, the `conv` critic, the objectives `non-saturating` and `wasserstein`, and the regularisers `r1` (half) and
`gradient-penalty` (two-sided). Samples are drawn from the average of the generator's weights, where the recipe keeps one.
"""

import argparse
import copy
import gzip
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "bench"))
from networks import Critic, DcganGenerator  # noqa: E402


def images(folder):
    """The training images of an IDX set in [-1, 1], [N, F]."""
    plain = pathlib.Path(folder) / "train-images-idx3-ubyte"
    packed = plain.with_name(plain.name + ".gz")
    data = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    count, height, width = np.frombuffer(data, ">u4", 3, 4)
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(count, height * width)
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1), (1, int(height), int(width))


def optimiser(module, config):
    assert config["kind"] == "adam", f"optimiser {config['kind']} is not mirrored here"
    return torch.optim.Adam(module.parameters(), lr=config["learning_rate"], betas=tuple(config["betas"]))


def slope(critic, x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]


def penalty(rule, critic, real, fake):
    if rule["kind"] == "r1":
        return rule["gamma"] * (1.0 if rule.get("scale") == "whole" else 0.5) * slope(critic, real).square().sum(1).mean()
    assert rule["kind"] == "gradient-penalty", f"{rule['kind']} is not mirrored here"
    between = real + torch.rand(len(real), 1) * (fake - real)
    return rule["weight"] * (slope(critic, between).norm(dim=1) - 1).square().mean()


def critic_loss(kind, real, fake):
    if kind == "non-saturating":
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    assert kind == "wasserstein", f"objective {kind} is not mirrored here"
    return fake.mean() - real.mean()


def generator_loss(kind, fake):
    return F.softplus(-fake).mean() if kind == "non-saturating" else -fake.mean()


def refuse_what_is_not_mirrored(model, train):
    """The same numbers for other games would compare nothing."""
    game, rate = model["game"], train.get("rate", {"kind": "constant"})
    others = {
        "model.conditional": model.get("conditional", False),
        "model.critic.deviation": model["critic"].get("deviation", False),
        "model.generator.noise": model["generator"].get("noise", {"kind": "normal"})["kind"] != "normal",
        "model.game.feature_matching": game.get("feature_matching", 0.0) != 0.0,
        "model.game.objective.smoothing": game["objective"].get("smoothing", 0.0) != 0.0,
        "train.rate": rate["kind"] != "constant" or rate.get("warmup", 0) != 0,
        "train.clip_norm": train.get("clip_norm") is not None,
    }
    for name, differs in others.items():
        assert not differs, f"{name} is not mirrored here"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu", help="PyTorch's name of where to compute")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)

    recipe = json.load(open(options.recipe))
    model, train = recipe["model"], recipe["train"]
    refuse_what_is_not_mirrored(model, train)
    torch.manual_seed(options.seed)
    data, shape = images(options.data)
    torch.set_default_device(options.device)
    data = data.to(options.device)
    latents = model["generator"]["latents"]
    generator = DcganGenerator(shape, latents, model["generator"]["net"]["channels"])
    critic = Critic(shape, model["critic"]["net"]["channels"], 0.0)
    game = model["game"]
    kind, rules, turns = game["objective"]["kind"], game.get("regularise", []), game.get("critic_steps", 1)
    of_critic = optimiser(critic, model.get("critic_optimizer", train["optimizer"]))
    of_generator = optimiser(generator, train["optimizer"])
    ema, average = train.get("ema"), copy.deepcopy(generator)
    rows, begun = train["batch_size"] * train.get("accumulate", 1) // turns, time.time()
    for step in range(train["steps"]):
        for _ in range(turns):
            real = data[torch.randint(len(data), (rows,))]
            with torch.no_grad():
                fake = generator(torch.randn(rows, latents))
            loss = critic_loss(kind, critic(real), critic(fake))
            loss = loss + sum(penalty(rule, critic, real, fake) for rule in rules)
            of_critic.zero_grad()
            loss.backward()
            of_critic.step()
        of_generator.zero_grad()
        lost = generator_loss(kind, critic(generator(torch.randn(rows, latents))))
        lost.backward()
        of_generator.step()
        if ema:
            decay = min(ema["decay"], (1 + step) / (10 + step)) if ema.get("warmup", True) else ema["decay"]
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - decay)
        if (step + 1) % max(1, train["steps"] // 10) == 0:
            rate = (step + 1) / (time.time() - begun)
            print(f"step {step + 1}  critic {loss.item():.4f}  generator {lost.item():.4f}  {rate:.2f} steps/s", flush=True)
    drawn = average if ema else generator
    count = options.n or recipe["measure"]["samples"]
    with torch.no_grad():
        samples = torch.cat([drawn(torch.randn(min(250, count - i), latents)) for i in range(0, count, 250)])
    np.save(options.out, samples.view(count, *shape).cpu().numpy())
    print(f"{count} samples of {math.prod(shape)} numbers in {options.out}")


if __name__ == "__main__":
    main()
