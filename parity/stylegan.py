"""A growing critic and a style-based generator in PyTorch, in double precision.

Writes golden/stylegan.safetensors. Images have two channels; the stages have 6, 4 and 5.

    critic.weights.PATH, generator.weights.PATH     the weights
    critic.STAGE.ALPHA.x                            rows of that side, [B, F]; .score, [B, 1]
    critic.STAGE.ALPHA.r1                           the mean squared gradient at `x`, by double backward
    critic.STAGE.ALPHA.r1.gradient.PATH             its gradient with respect to the weights
    generator.z                                     [B, latents]; generator.styles, [B, W], what the mapping makes of it
    generator.STAGE.ALPHA.noise, .image             noise of pixels, block after block, [B, N]; the rows, [B, F]
    generator.STAGE.ALPHA.gradient.PATH             the gradient of the sum of image * weight, .weight [B, F]
"""

import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

GOLDEN = pathlib.Path(__file__).parent / "golden"
COLOURS, CHANNELS, LATENTS, MAPPING, STYLE = 2, (6, 4, 5), 3, 7, 5


def leaky(x):
    return F.leaky_relu(x, 0.2)


class CriticBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, h):
        return leaky(F.avg_pool2d(self.conv2(leaky(self.conv1(h))), 2))


class GrowingCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.from_rgb = nn.ModuleList(nn.Conv2d(COLOURS, width, 1) for width in CHANNELS)
        self.blocks = nn.ModuleList(CriticBlock(i, o) for i, o in zip(CHANNELS[1:], CHANNELS))
        self.conv = nn.Conv2d(CHANNELS[0], CHANNELS[0], 3, padding=1)
        self.last = nn.Conv2d(CHANNELS[0], CHANNELS[0], 4)
        self.output = nn.Linear(CHANNELS[0], 1)

    def forward(self, x, stage, alpha):
        side = 4 << stage
        x = x.view(-1, COLOURS, side, side)
        h = self.from_rgb[stage](x)
        if stage > 0:
            h = self.blocks[stage - 1](h)
            if alpha < 1:
                h = alpha * h + (1 - alpha) * self.from_rgb[stage - 1](F.avg_pool2d(x, 2))
        for block in reversed(self.blocks[: max(stage - 1, 0)]):
            h = block(h)
        return self.output(leaky(self.last(leaky(self.conv(h)))).flatten(1))


class StyleBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.noise = nn.Parameter(0.3 * torch.randn(outputs))
        self.style = nn.Linear(STYLE, 2 * outputs)

    def forward(self, h, w, noise):
        h = F.instance_norm(leaky(self.conv(h) + self.noise.view(1, -1, 1, 1) * noise), eps=1e-5)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        return (1 + scale) * h + shift


class Stage(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.block1, self.block2 = StyleBlock(inputs, outputs), StyleBlock(outputs, outputs)
        self.to_rgb = nn.Conv2d(outputs, COLOURS, 1)


class Mapping(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(LATENTS, MAPPING), nn.Linear(MAPPING, STYLE)])

    def forward(self, z):
        return self.layers[1](F.relu(self.layers[0](z)))


class StyleGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.mapping = Mapping()
        self.constant = nn.Parameter(torch.randn(CHANNELS[0], 4, 4))
        self.stages = nn.ModuleList(Stage(i, o) for i, o in zip((CHANNELS[0], *CHANNELS), CHANNELS))

    def forward(self, z, noise, stage, alpha):
        w, first, before = self.mapping(z), 0, None
        h = self.constant.expand(len(z), -1, -1, -1)
        for i, layers in enumerate(self.stages[: stage + 1]):
            if i > 0:
                h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            side = 4 << i
            for block in (layers.block1, layers.block2):
                h = block(h, w, noise[:, first : first + side * side].view(-1, 1, side, side))
                first += side * side
            if i == stage - 1 and alpha < 1:
                before = F.interpolate(torch.tanh(layers.to_rgb(h)), scale_factor=2, mode="nearest")
        image = torch.tanh(self.stages[stage].to_rgb(h))
        if before is not None:
            image = (1 - alpha) * before + alpha * image
        return image.flatten(1)


def gradients(module):
    found = {path: p.grad.clone() for path, p in module.named_parameters() if p.grad is not None}
    module.zero_grad(set_to_none=True)
    return found


def single(module, factor):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((factor * parameter).float())


def draw(*shape):
    return torch.randn(*shape).float().double()


def renamed(path):
    """Here the 4 x 4 convolution of a 4 x 4 image is a linear map."""
    return path.replace("last.", "dense.")


def flat(path, value):
    return value.flatten(1) if path == "last.weight" else value


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    golden, rows = {}, 3
    critic = GrowingCritic()
    single(critic, 2.6)
    golden |= {f"critic.weights.{renamed(path)}": flat(path, p) for path, p in critic.named_parameters()}
    for stage, alpha in [(0, 1.0), (1, 1.0), (2, 0.3)]:
        x = draw(rows, COLOURS * (4 << stage) ** 2)
        at = x.clone().requires_grad_()
        score = critic(at, stage, alpha)
        slope = torch.autograd.grad(score.sum(), at, create_graph=True)[0]
        r1 = slope.square().sum(1).mean()
        r1.backward()
        name = f"critic.{stage}.{alpha}"
        golden |= {f"{name}.x": x, f"{name}.score": score, f"{name}.r1": r1}
        golden |= {f"{name}.r1.gradient.{renamed(path)}": flat(path, g) for path, g in gradients(critic).items()}
        print(name, r1.item())

    generator = StyleGenerator()
    single(generator, 1.3)
    z = draw(rows, LATENTS)
    golden |= {f"generator.weights.{path}": p for path, p in generator.named_parameters()}
    golden |= {"generator.z": z, "generator.styles": generator.mapping(z)}
    for stage, alpha in [(0, 1.0), (1, 1.0), (2, 0.3)]:
        noise = draw(rows, sum(2 * (4 << i) ** 2 for i in range(stage + 1)))
        image = generator(z, noise, stage, alpha)
        weight = draw(*image.shape)
        (image * weight).sum().backward()
        name = f"generator.{stage}.{alpha}"
        golden |= {f"{name}.noise": noise, f"{name}.image": image, f"{name}.weight": weight}
        golden |= {f"{name}.gradient.{path}": g for path, g in gradients(generator).items()}
        print(name, image.abs().mean().item())
    save_file({key: value.detach().float().contiguous() for key, value in golden.items()}, GOLDEN / "stylegan.safetensors")


if __name__ == "__main__":
    main()
