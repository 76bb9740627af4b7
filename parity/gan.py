"""Critics and generators of adversarial games in PyTorch, in double precision.

Writes golden/gan.safetensors. For each critic `NAME` (`conv`, `residual`, `mlp`, and `told`: an MLP with tanh that is told
classes by projection and sees the minibatch standard deviation):

    NAME.weights.PATH            the weights
    NAME.real, NAME.fake         rows, [B, F]; NAME.share, [B, 1]; NAME.labels, [B], where there are classes
    NAME.score                   the scores of `real`, [B, 1]
    NAME.KIND                    a penalty, by double backward: `two`, `one` (gradient penalties at
                                 real + share (fake - real)), `r1` (mean squared gradient at `real`)
    NAME.KIND.gradient.PATH      its gradient with respect to the weights

`spectral.*`: an MLP under torch.nn.utils.spectral_norm: `weights.PATH`, the vectors `before.PATH_u` and `after.PATH_u` (and
_v) around one forward in training mode, the `score` of `x`, `gradient.PATH` of the sum of scores with respect to the
weights before the division, and `largest.PATH`, the largest singular value by torch.linalg.svdvals.

Writes golden/generators.safetensors. For the generators `dcgan` and `residual` of 2 x 12 x 8 pixels:

    NAME.weights.PATH            the weights
    NAME.z                       latents, [B, L]; NAME.x, what they become, [B, F]
    NAME.gradient.PATH           the gradient of the sum of the squares of x - 1 with respect to the weights
"""

import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

GOLDEN = pathlib.Path(__file__).parent / "golden"


class Mlp(nn.Module):
    def __init__(self, widths, activation):
        super().__init__()
        self.layers, self.activation = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:])), activation

    def features(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return x

    def last(self, h):
        return self.layers[-1](h)


class Conv(nn.Module):
    def __init__(self, shape, channels):
        super().__init__()
        self.shape, sizes = shape, [shape[0], *channels]
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in zip(sizes, sizes[1:]))
        height, width = shape[1:]
        for _ in channels:
            height, width = -(-height // 2), -(-width // 2)
        self.output = nn.Linear(channels[-1] * height * width, 1)

    def features(self, x):
        h = x.unflatten(1, self.shape)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
        return h.flatten(1)

    def last(self, h):
        return self.output(h)


class Block(nn.Module):
    def __init__(self, inputs, channels, first, halves):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, channels, 1) if halves or inputs != channels else None
        self.first, self.halves = first, halves

    def forward(self, x):
        halved = (lambda h: F.avg_pool2d(h, 2)) if self.halves else (lambda h: h)
        inner = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        # The paper's order: the first block halves before its 1x1 convolution, the others after.
        if self.shortcut is None:
            short = x
        elif self.first:
            short = self.shortcut(halved(x))
        else:
            short = halved(self.shortcut(x))
        return halved(inner) + short


class Residual(nn.Module):
    def __init__(self, shape, channels, halvings, blocks):
        super().__init__()
        self.shape = shape
        self.blocks = nn.ModuleList(
            Block(shape[0] if i == 0 else channels, channels, i == 0, i < halvings) for i in range(halvings + blocks)
        )
        self.output = nn.Linear(channels, 1)

    def features(self, x):
        h = x.unflatten(1, self.shape)
        for block in self.blocks:
            h = block(h)
        return F.relu(h).sum((2, 3))

    def last(self, h):
        return self.output(h)


class Critic(nn.Module):
    def __init__(self, net, width=None, classes=None):
        super().__init__()
        self.net = net
        self.label = nn.Embedding(classes, width) if classes else None
        self.deviation = nn.Parameter(torch.randn(1)) if classes else None

    def forward(self, x, labels=None):
        h = self.net.features(x)
        score = self.net.last(h)
        if self.label is not None:
            score = score + (self.label(labels) * h).sum(1, keepdim=True)
            spread = (h.var(0, unbiased=False) + 1e-8).sqrt().mean()
            score = score + self.deviation * spread
        return score


def normalised(width):
    return nn.GroupNorm(next(groups for groups in (8, 4, 2, 1) if width % groups == 0), width)


class Dcgan(nn.Module):
    def __init__(self, latents, channels, shape):
        super().__init__()
        self.first = (channels[0], shape[1] >> len(channels), shape[2] >> len(channels))
        self.project = nn.Linear(latents, self.first[0] * self.first[1] * self.first[2])
        self.norms = nn.ModuleList(map(normalised, channels))
        self.layers = nn.ModuleList(nn.ConvTranspose2d(i, o, 4, 2, 1) for i, o in zip(channels, [*channels[1:], shape[0]]))

    def forward(self, z):
        h = self.project(z).unflatten(1, self.first)
        for norm, layer in zip(self.norms, self.layers):
            h = layer(F.relu(norm(h)))
        return torch.tanh(h).flatten(1)


class Up(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm1, self.norm2 = normalised(channels), normalised(channels)
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        doubled = lambda h: F.interpolate(h, scale_factor=2)
        inner = self.conv1(doubled(F.relu(self.norm1(x))))
        return self.shortcut(doubled(x)) + self.conv2(F.relu(self.norm2(inner)))


class Doubled(nn.Module):
    def __init__(self, latents, channels, doublings, shape):
        super().__init__()
        self.first = (channels, shape[1] >> doublings, shape[2] >> doublings)
        self.project = nn.Linear(latents, self.first[0] * self.first[1] * self.first[2])
        self.blocks = nn.ModuleList(Up(channels) for _ in range(doublings))
        self.norm = normalised(channels)
        self.output = nn.Conv2d(channels, shape[0], 3, padding=1)

    def forward(self, z):
        h = self.project(z).unflatten(1, self.first)
        for block in self.blocks:
            h = block(h)
        return torch.tanh(self.output(F.relu(self.norm(h)))).flatten(1)


def generators():
    shape, golden = (2, 12, 8), {}
    for name, net in {"dcgan": Dcgan(5, (12, 16), shape), "residual": Doubled(5, 16, 2, shape)}.items():
        exact_in_both(net, 1.5)
        z = torch.randn(3, 5).float().double()
        x = net(z)
        (x - 1).square().sum().backward()
        golden |= {f"{name}.weights.{path}": p for path, p in net.named_parameters()}
        golden |= {f"{name}.gradient.{path}": p.grad for path, p in net.named_parameters()}
        golden |= {f"{name}.z": z, f"{name}.x": x}
    save_file({key: value.detach().float().contiguous() for key, value in golden.items()}, GOLDEN / "generators.safetensors")


def slope(critic, x, labels):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(critic(x, labels).sum(), x, create_graph=True)[0]


def penalties(critic, real, fake, share, labels):
    between = slope(critic, real + share * (fake - real), labels).norm(dim=1)
    return {
        "two": (between - 1).square().mean(),
        "one": (between - 1).clamp(min=0).square().mean(),
        "r1": slope(critic, real, labels).square().sum(1).mean(),
    }


def exact_in_both(module, factor):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((factor * parameter).float())


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    leaky = lambda x: F.leaky_relu(x, 0.2)
    cases = {
        "conv": (Critic(Conv((2, 9, 8), (8, 12))), 2 * 9 * 8, 4, 2.7),
        "residual": (Critic(Residual((2, 9, 8), 8, 2, 1)), 2 * 9 * 8, 4, 2.0),
        "mlp": (Critic(Mlp((5, 16, 16, 1), leaky)), 5, 6, 3.2),
        "told": (Critic(Mlp((5, 16, 12, 1), torch.tanh), 12, 3), 5, 6, 1.5),
    }
    golden = {}
    for name, (critic, features, rows, factor) in cases.items():
        exact_in_both(critic, factor)
        real, fake, share = (t.float().double() for t in (torch.randn(rows, features), 0.5 + torch.randn(rows, features), torch.rand(rows, 1)))
        labels = torch.arange(rows) % 3 if critic.label is not None else None
        golden |= {f"{name}.weights.{path}": p for path, p in critic.named_parameters()}
        golden |= {f"{name}.real": real, f"{name}.fake": fake, f"{name}.share": share, f"{name}.score": critic(real, labels)}
        if labels is not None:
            golden[f"{name}.labels"] = labels
        for kind, value in penalties(critic, real, fake, share, labels).items():
            critic.zero_grad(set_to_none=True)
            value.backward(retain_graph=True)
            golden[f"{name}.{kind}"] = value
            gradients = {path: p.grad for path, p in critic.named_parameters() if p.grad is not None}
            golden |= {f"{name}.{kind}.gradient.{path}": g for path, g in gradients.items()}
            print(name, kind, value.item())

    net = Mlp((4, 10, 7, 1), leaky)
    exact_in_both(net, 3.0)
    x = torch.randn(5, 4).float().double()
    paths = [f"layers.{i}.weight" for i in range(3)]
    weights = {path: p.detach().clone() for path, p in net.named_parameters()}
    for layer in net.layers:
        nn.utils.spectral_norm(layer)
    vectors = lambda when: {f"spectral.{when}.{path}_{v}": getattr(net.layers[i], f"weight_{v}").clone()
                            for i, path in enumerate(paths) for v in "uv"}
    with torch.no_grad():
        for layer in net.layers:
            layer.weight_u.copy_(layer.weight_u.float())
            layer.weight_v.copy_(layer.weight_v.float())
    golden |= vectors("before")
    score = net.last(net.features(x))
    score.sum().backward()
    golden |= vectors("after")
    golden |= {f"spectral.weights.{path}": w for path, w in weights.items()} | {"spectral.x": x, "spectral.score": score}
    for i, path in enumerate(paths):
        golden[f"spectral.gradient.{path}"] = net.layers[i].weight_orig.grad
        golden[f"spectral.gradient.layers.{i}.bias"] = net.layers[i].bias.grad
        golden[f"spectral.largest.{path}"] = torch.linalg.svdvals(weights[path])[0]
    save_file({key: value.detach().float().contiguous() for key, value in golden.items()}, GOLDEN / "gan.safetensors")
    generators()


if __name__ == "__main__":
    main()
