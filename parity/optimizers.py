"""Twenty steps of PyTorch's optimisers on a small nonlinear regression: golden/optimizers.json.

The loss is mean(tanh(x W + b - y)^2). Each case names Genera's configuration, and holds W (row-major) and b after every
step. Gradients are clipped to `clip_norm` where it is given.
"""

import json
from pathlib import Path

import torch

STEPS = 20
W = [[0.5, -0.3], [0.2, 0.8], [-0.7, 0.1]]
B = [0.1, -0.2]
X = [[1.0, 0.5, -0.5], [-0.3, 0.8, 1.2], [0.7, -1.1, 0.4], [0.2, 0.9, -0.6]]
Y = [[0.3, -0.4], [1.0, 0.2], [-0.6, 0.5], [0.1, 0.1]]

CASES = [
    ({"kind": "adamw"}, torch.optim.AdamW, {}, None),
    ({"kind": "adam"}, torch.optim.Adam, {}, None),
    ({"kind": "sgd"}, torch.optim.SGD, {}, None),
    (
        {"kind": "adamw", "learning_rate": 0.05, "betas": [0.8, 0.95], "epsilon": 1e-3, "weight_decay": 0.2},
        torch.optim.AdamW,
        {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2},
        0.1,
    ),
    (
        {"kind": "adam", "learning_rate": 0.05, "weight_decay": 0.2},
        torch.optim.Adam,
        {"lr": 0.05, "weight_decay": 0.2},
        None,
    ),
    (
        {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.05},
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05},
        0.2,
    ),
    (
        {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        None,
    ),
]


def run(optimizer_class, options, clip_norm):
    weight = torch.tensor(W, requires_grad=True)
    bias = torch.tensor(B, requires_grad=True)
    x, y = torch.tensor(X), torch.tensor(Y)
    optimizer = optimizer_class([weight, bias], foreach=False, **options)
    path = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        (x @ weight + bias - y).tanh().square().mean().backward()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_([weight, bias], clip_norm)
        optimizer.step()
        path.append(weight.detach().flatten().tolist() + bias.tolist())
    return path


cases = [{"optimizer": config, "clip_norm": clip, "path": run(make, options, clip)} for config, make, options, clip in CASES]
target = Path(__file__).parent / "golden" / "optimizers.json"
target.write_text(json.dumps({"w": W, "b": B, "x": X, "y": Y, "cases": cases}) + "\n")
