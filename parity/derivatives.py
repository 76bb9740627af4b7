"""Derivatives of networks inside losses, by PyTorch's double backward, in double precision.

Writes golden/derivatives.safetensors. For each network: `NAME.weights.PATH`, `NAME.x` [B, F], what was computed, and
`NAME.gradient.PATH` of the loss with respect to the weights.

    critic, scorer    a convolutional critic and an MLP with tanh: `slope` is the gradient of the output with respect to
                      x, and the loss the gradient penalty mean((|slope| - 1)²) plus the mean output
    field             an MLP with softplus from three numbers to three: `trace` of its Jacobian, `along` = vᵀ J v for
                      `v`, and the loss mean(trace²) + mean(along)
"""

import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.func import jacrev, vmap
from torch.nn import functional as F

GOLDEN = pathlib.Path(__file__).parent / "golden"


class Mlp(nn.Module):
    def __init__(self, widths, activation):
        super().__init__()
        self.layers, self.activation = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:])), activation

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class Critic(nn.Module):
    def __init__(self, shape, channels):
        super().__init__()
        self.shape, sizes = shape, [shape[0], *channels]
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in zip(sizes, sizes[1:]))
        height, width = shape[1:]
        for _ in channels:
            height, width = -(-height // 2), -(-width // 2)
        self.output = nn.Linear(channels[-1] * height * width, 1)

    def forward(self, x):
        h = x.unflatten(1, self.shape)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
        return self.output(h.flatten(1))


def penalised(net, x):
    x.requires_grad_()
    score = net(x)
    slope = torch.autograd.grad(score.sum(), x, create_graph=True)[0]
    return {"slope": slope, "loss": (slope.norm(dim=1) - 1).square().mean() + score.mean()}


def traced(net, x):
    v = torch.randn_like(x)
    jacobian = vmap(jacrev(net))(x)
    trace, along = jacobian.diagonal(dim1=1, dim2=2).sum(1), torch.einsum("bi,bij,bj->b", v, jacobian, v)
    return {"v": v, "trace": trace, "along": along, "loss": trace.square().mean() + along.mean()}


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    cases = {
        "critic": (Critic((2, 9, 8), (8, 12)), torch.randn(3, 2 * 9 * 8), penalised),
        "scorer": (Mlp((5, 16, 16, 1), torch.tanh), torch.randn(7, 5), penalised),
        "field": (Mlp((3, 16, 16, 3), F.softplus), torch.randn(7, 3), traced),
    }
    golden = {}
    for name, (net, x, compute) in cases.items():
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_((2 * parameter).float())  # exact in both precisions
        x = x.float().double()
        results = compute(net, x)
        results["loss"].backward()
        golden |= {f"{name}.weights.{path}": p for path, p in net.named_parameters()}
        golden |= {f"{name}.gradient.{path}": p.grad for path, p in net.named_parameters() if p.grad is not None}
        golden |= {f"{name}.x": x} | {f"{name}.{key}": value for key, value in results.items()}
        print(name, "loss", results["loss"].item())
    save_file({key: value.detach().float().contiguous() for key, value in golden.items()}, GOLDEN / "derivatives.safetensors")


if __name__ == "__main__":
    main()
