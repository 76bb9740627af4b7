"""The PyTorch side of every task: the network, its inputs and its loss. Names of weights are those of the Rust side."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class UNet(nn.Module):
    """diffusers' UNet2DModel on rows."""

    def __init__(self, **net):
        super().__init__()
        from diffusers import UNet2DModel

        self.shape = (net["in_channels"], net["sample_size"], net["sample_size"])
        self.net = UNet2DModel(**net)

    def inputs(self, batch):
        return denoising_inputs(batch, math.prod(self.shape))

    def forward(self, x, time):
        return self.net(x.view(-1, *self.shape), time).sample.flatten(1)

    def loss(self, x, time, target):
        return F.mse_loss(self(x, time), target)

    def sample(self, x, time, target):
        return ((0.9 * x + 0.1 * self(x, time) - target) ** 2).mean()


class ResNet(nn.Module):
    """Pre-activation residual blocks with group normalisation."""

    def __init__(self, shape, channels, blocks, groups):
        super().__init__()
        self.shape = shape
        self.conv_in = nn.Conv2d(shape[0], channels, 3, padding=1)
        self.blocks = nn.ModuleList(ResBlock(channels, groups) for _ in range(blocks))
        self.norm = nn.GroupNorm(groups, channels)
        self.conv_out = nn.Conv2d(channels, shape[0], 3, padding=1)

    def inputs(self, batch):
        x, target = torch.randn(2, batch, math.prod(self.shape))
        return {"x": x, "target": target}

    def forward(self, x):
        h = self.conv_in(x.view(-1, *self.shape))
        for block in self.blocks:
            h = block(h)
        return self.conv_out(F.silu(self.norm(h))).flatten(1)

    def loss(self, x, target):
        return F.mse_loss(self(x), target)

    sample = loss


class ResBlock(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class ConditionalMlp(nn.Module):
    """Linear layers with SELU; sinusoids of the time are added to the first."""

    def __init__(self, features, width, layers):
        super().__init__()
        self.features, self.width = features, width
        self.projection = nn.Linear(features, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.output = nn.Linear(width, features)

    def inputs(self, batch):
        return denoising_inputs(batch, self.features)

    def forward(self, x, time):
        half = self.width // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half) / half)
        angles = time[:, None] * frequencies
        h = F.selu(self.projection(x) + torch.cat([angles.sin(), angles.cos()], dim=1))
        for layer in self.layers:
            h = F.selu(layer(h))
        return self.output(h)

    def loss(self, x, time, target):
        return F.mse_loss(self(x, time), target)


class Mlp(nn.Module):
    def __init__(self, *widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class RealNvp(nn.Module):
    """Affine couplings; the negative log-likelihood under a standard normal, up to a constant."""

    def __init__(self, features, width, layers):
        super().__init__()
        self.features, half = features, features // 2
        self.couplings = nn.ModuleList(Mlp(half, width, width, 2 * half) for _ in range(layers))

    def inputs(self, batch):
        return {"x": torch.randn(batch, self.features)}

    def loss(self, x):
        a, b = x.chunk(2, dim=1)
        log_det = 0.0
        for coupling in self.couplings:
            s, t = coupling(a).chunk(2, dim=1)
            s = torch.tanh(s)
            a, b = b * torch.exp(s) + t, a
            log_det = log_det + s.sum(dim=1)
        return (0.5 * (a.square().sum(dim=1) + b.square().sum(dim=1)) - log_det).mean()


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees what comes before a pixel in reading order, and the pixel itself if `own`."""

    def __init__(self, inputs, outputs, kernel, own):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        mask = torch.zeros(kernel * kernel)
        mask[: kernel * kernel // 2 + own] = 1
        self.register_buffer("mask", mask.view(kernel, kernel), persistent=False)

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class PixelCnn(nn.Module):
    def __init__(self, shape, channels, blocks):
        super().__init__()
        self.shape = shape
        self.conv_in = MaskedConv2d(shape[0], channels, 7, own=False)
        self.blocks = nn.ModuleList(PixelBlock(channels) for _ in range(blocks))
        self.conv_out = nn.Conv2d(channels, shape[0], 1)

    def inputs(self, batch):
        return {"x": torch.bernoulli(torch.full((batch, math.prod(self.shape)), 0.3))}

    def loss(self, x):
        h = self.conv_in(x.view(-1, *self.shape))
        for block in self.blocks:
            h = block(h)
        logits = self.conv_out(F.relu(h)).flatten(1)
        return (F.softplus(logits) - x * logits).mean()


class PixelBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv_1 = nn.Conv2d(channels, channels // 2, 1)
        self.conv_2 = MaskedConv2d(channels // 2, channels // 2, 3, own=True)
        self.conv_3 = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, h):
        return h + self.conv_3(F.relu(self.conv_2(F.relu(self.conv_1(F.relu(h))))))


class Critic(nn.Module):
    """The critic of a Wasserstein GAN with gradient penalty."""

    def __init__(self, shape, channels, penalty):
        super().__init__()
        self.shape, self.penalty = shape, penalty
        sizes = [shape[0], *channels]
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in zip(sizes, sizes[1:]))
        side = shape[1]
        for _ in channels:
            side = (side + 1) // 2
        self.output = nn.Linear(channels[-1] * side * side, 1)

    def inputs(self, batch):
        real, fake = torch.rand(2, batch, math.prod(self.shape))
        return {"real": real, "fake": fake, "share": torch.rand(batch, 1)}

    def forward(self, x):
        h = x.view(-1, *self.shape)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
        return self.output(h.flatten(1)).squeeze(1)

    def loss(self, real, fake, share):
        between = (share * real + (1 - share) * fake).requires_grad_()
        slope = torch.autograd.grad(self(between).sum(), between, create_graph=True)[0]
        penalty = ((slope.square().sum(dim=1) + 1e-12).sqrt() - 1).square().mean()
        return self(fake).mean() - self(real).mean() + self.penalty * penalty


class Holder(nn.Module):
    """A network under the name that Genera's encoders and decoders give theirs."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


class Vae(nn.Module):
    """A Gaussian encoder, a Bernoulli decoder, and minus the evidence lower bound."""

    def __init__(self, features, latents, hidden):
        super().__init__()
        self.features, self.latents = features, latents
        self.encoder = Holder(Mlp(features, *hidden, 2 * latents))
        self.decoder = Holder(Mlp(latents, *reversed(hidden), features))

    def inputs(self, batch):
        x = torch.bernoulli(torch.full((batch, self.features), 0.2))
        return {"x": x, "eps": torch.randn(batch, self.latents)}

    def loss(self, x, eps):
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        log_std = log_std.clamp(-10, 10)
        logits = self.decoder(mean + log_std.exp() * eps)
        divergence = (0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std).sum(dim=1)
        fit = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)
        return (fit + divergence).mean()


class Down(nn.Module):
    def __init__(self, inputs, channels):
        super().__init__()
        sizes = zip([inputs, *channels], channels)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, 1 if k == 0 else 2, 1) for k, (i, o) in enumerate(sizes))

    def forward(self, x):
        for conv in self.convs:
            x = F.relu(conv(x))
        return x


class Up(nn.Module):
    """Doubles a side that a `Down` has halved, `odd` saying for each step whether it was odd."""

    def __init__(self, channels, outputs, odd):
        super().__init__()
        pairs = zip(channels, channels[1:], odd)
        self.doubling = nn.ModuleList(nn.ConvTranspose2d(i, o, 3, 2, 1, 0 if odd else 1) for i, o, odd in pairs)
        self.output = nn.Conv2d(channels[-1], outputs, 3, 1, 1)

    def forward(self, h):
        for layer in self.doubling:
            h = F.relu(layer(h))
        return self.output(h)


class GridEncoder(nn.Module):
    def __init__(self, inputs, channels, width):
        super().__init__()
        self.down, self.output = Down(inputs, channels), nn.Conv2d(channels[-1], width, 1)

    def forward(self, x):
        return self.output(self.down(x))


class GridDecoder(nn.Module):
    def __init__(self, width, channels, outputs, odd):
        super().__init__()
        self.input, self.up = nn.Conv2d(width, channels[-1], 3, 1, 1), Up(channels[::-1], outputs, odd)

    def forward(self, z):
        return self.up(F.relu(self.input(z)))


class Quantiser(nn.Module):
    """The nearest code of each vector, straight through; the book learns by its gradient."""

    def __init__(self, codes, width, commitment=0.25):
        super().__init__()
        self.commitment = commitment
        self.codebook = nn.Parameter(0.1 * torch.randn(codes, width))
        self.register_buffer("shares", torch.full([codes], 1 / codes))

    def forward(self, z):
        with torch.no_grad():
            scores = torch.addmm(-0.5 * self.codebook.square().sum(dim=1), z, self.codebook.T)
            codes = scores.argmax(dim=1)
        e = self.codebook[codes]
        loss = F.mse_loss(e, z.detach()) + self.commitment * F.mse_loss(z, e.detach())
        return z + (e - z).detach(), loss


class VqVae(nn.Module):
    def __init__(self, shape, channels, codes, width):
        super().__init__()
        self.shape = shape
        sides = [shape[1]]
        for _ in channels[1:]:
            sides.append((sides[-1] + 1) // 2)
        odd = [side % 2 == 1 for side in reversed(sides[:-1])]
        self.encoder = GridEncoder(shape[0], channels, width)
        self.quantiser = Quantiser(codes, width)
        self.decoder = Holder(GridDecoder(width, channels, shape[0], odd))

    def inputs(self, batch):
        return {"x": torch.bernoulli(torch.full((batch, math.prod(self.shape)), 0.2))}

    def loss(self, x):
        z = self.encoder(x.view(-1, *self.shape)).permute(0, 2, 3, 1)
        quantised, loss = self.quantiser(z.reshape(-1, z.shape[-1]))
        logits = self.decoder(quantised.view(z.shape).permute(0, 3, 1, 2))
        return F.binary_cross_entropy_with_logits(logits.flatten(1), x) + loss


class DcganGenerator(nn.Module):
    """A linear map, then transposed convolutions with group normalisation and ReLU before each."""

    def __init__(self, shape, latents, channels):
        super().__init__()
        self.first = (channels[0], shape[1] >> len(channels), shape[2] >> len(channels))
        self.project = nn.Linear(latents, math.prod(self.first))
        groups = lambda width: next(groups for groups in (8, 4, 2, 1) if width % groups == 0)
        self.norms = nn.ModuleList(nn.GroupNorm(groups(width), width) for width in channels)
        sizes = [*channels, shape[0]]
        self.layers = nn.ModuleList(nn.ConvTranspose2d(i, o, 4, 2, 1) for i, o in zip(sizes, sizes[1:]))

    def forward(self, z):
        h = self.project(z).view(-1, *self.first)
        for norm, layer in zip(self.norms, self.layers):
            h = layer(F.relu(norm(h)))
        return torch.tanh(h).flatten(1)


class Dcgan(nn.Module):
    """Both players of a DCGAN in one step: the sum of their losses, each with the other constant."""

    def __init__(self, shape, latents, generator, critic):
        super().__init__()
        self.shape, self.latents = shape, latents
        self.generator = DcganGenerator(shape, latents, generator)
        self.critic = Critic(shape, critic, 0.0)

    def inputs(self, batch):
        return {"real": 2 * torch.rand(batch, math.prod(self.shape)) - 1, "noise": torch.randn(batch, self.latents)}

    def loss(self, real, noise):
        fake = self.generator(noise)
        constant = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
        judged = torch.func.functional_call(self.critic, constant, (fake,))
        critic = F.softplus(-self.critic(real)).mean() + F.softplus(self.critic(fake.detach())).mean()
        return critic + F.softplus(-judged).mean()


class Attention(nn.Module):
    """The attention block of a U-Net."""

    def __init__(self, shape, groups, heads):
        super().__init__()
        self.shape, self.heads, channels = shape, heads, shape[0]
        self.group_norm = nn.GroupNorm(groups, channels)
        self.to_q, self.to_k = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.to_v, self.to_out = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def inputs(self, batch):
        x, target = torch.randn(2, batch, math.prod(self.shape))
        return {"x": x, "target": target}

    def loss(self, x, target):
        x = x.view(-1, *self.shape)
        batch, channels, height, width = x.shape
        h = self.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (f(h).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v))
        h = self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        y = x + h.transpose(1, 2).unflatten(2, (height, width))
        return F.mse_loss(y.flatten(1), target)


class Conv(nn.Module):
    """One convolution. Activations stay in the layout of the variant, as inside a network."""

    def __init__(self, shape, channels, kernel):
        super().__init__()
        self.shape = shape
        self.conv = nn.Conv2d(shape[0], channels, kernel, padding=kernel // 2)

    def inputs(self, batch):
        return {"x": torch.randn(batch, *self.shape)}

    def sample(self, x):
        return self.conv(x)


class Arrays(nn.Module):
    """Parameters without a network, for the optimiser alone."""

    def __init__(self, arrays, shape):
        super().__init__()
        self.arrays = nn.ParameterList(nn.Parameter(torch.randn(*shape)) for _ in range(arrays))

    def inputs(self, batch):
        return {"gradient": torch.randn(self.arrays[0].shape)}


def denoising_inputs(batch, features):
    x, target = torch.randn(2, batch, features)
    return {"x": x, "time": torch.randint(0, 1000, (batch,)).float(), "target": target}


TASKS = {
    "unet": UNet,
    "resnet": ResNet,
    "mlp": ConditionalMlp,
    "realnvp": RealNvp,
    "pixelcnn": PixelCnn,
    "critic": Critic,
    "vae": Vae,
    "vqvae": VqVae,
    "dcgan": Dcgan,
    "attention": Attention,
    "conv": Conv,
    "adamw": Arrays,
}


def make(case):
    torch.manual_seed(0)
    net = TASKS[case["task"]](**case["net"])
    return net, net.inputs(case["batch"])


def prefix(net):
    """What the Rust side puts before every name: the critic alone is a part of something there."""
    return "critic." if isinstance(net, Critic) else ""


def state(net):
    """The weights by the names of the Rust side, whose U-Net is the network itself."""
    before = prefix(net)
    net = net.net if isinstance(net, UNet) else net
    return {before + name: value.contiguous() for name, value in net.state_dict().items()}


def load(net, weights):
    before = prefix(net)
    net = net.net if isinstance(net, UNet) else net
    net.load_state_dict({name.removeprefix(before): value for name, value in weights.items()})
