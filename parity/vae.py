"""Autoencoders written plainly in PyTorch, with the names of Genera's parameters -> golden/vae.safetensors.

Arrays are named `case/what`: the weights by their names, `x`, `eps`, and the expected numbers. Every likelihood of a
Gaussian-posterior autoencoder, the K-sample bound, and the forward pass of a vector-quantised autoencoder.
"""

import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal, kl_divergence

torch.manual_seed(3)
FEATURES, LATENTS, ROWS, K = 6, 2, 4, 5
golden = {}


class Mlp(nn.Module):
    def __init__(self, *widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class Holder(nn.Module):
    def __init__(self, net, log_std=None):
        super().__init__()
        self.net = net
        if log_std is not None:
            self.log_std = nn.Parameter(torch.full([1], log_std))


def logistic_mixture(x, logits, means, log_scales, levels):
    """By the difference of the distribution functions, in double precision."""
    half = 1 / (levels - 1)
    x, logits, means, scales = x.double()[:, None], logits.double(), means.double(), log_scales.double().exp()
    above = torch.where(x > 0.999, 1.0, torch.sigmoid((x - means + half) / scales))
    below = torch.where(x < -0.999, 0.0, torch.sigmoid((x - means - half) / scales))
    return torch.logsumexp(F.log_softmax(logits, 1) + torch.log(above - below), 1).sum(1).float()


def log_likelihood(kind, decoder, z, x):
    out = decoder.net(z)
    part = lambda i: out[:, i * FEATURES : (i + 1) * FEATURES]
    if kind == "bernoulli":
        return Bernoulli(logits=out).log_prob(x).sum(1)
    if kind == "categorical":
        logits = out.reshape(-1, 3, FEATURES).transpose(1, 2)
        return Categorical(logits=logits).log_prob(x).sum(1)
    if kind == "fixed":
        return Normal(out, 0.7).log_prob(x).sum(1)
    if kind == "shared":
        return Normal(out, decoder.log_std.exp()).log_prob(x).sum(1)
    if kind == "each":
        return Normal(part(0), part(1).exp()).log_prob(x).sum(1)
    if kind == "logistic":
        three = out.reshape(-1, 3, 2, FEATURES)
        return logistic_mixture(x, three[:, 0], three[:, 1], three[:, 2], 17)
    if kind == "gaussian":
        q = Normal(part(0).double(), part(1).double().exp())
        x = x.double()
        above = torch.where(x > 0.999, 1.0, q.cdf(x + 1 / 16))
        below = torch.where(x < -0.999, 0.0, q.cdf(x - 1 / 16))
        return torch.log(above - below).sum(1).float()


for kind, parameters in dict(bernoulli=1, categorical=3, fixed=1, shared=1, each=2, logistic=6, gaussian=2).items():
    encoder = Holder(Mlp(FEATURES, 7, 2 * LATENTS))
    decoder = Holder(Mlp(LATENTS, 7, parameters * FEATURES), 0.3 if kind == "shared" else None)
    vae = nn.ModuleDict(dict(encoder=encoder, decoder=decoder))
    if kind == "bernoulli":
        x = torch.randint(0, 2, [ROWS, FEATURES]).float()
    elif kind == "categorical":
        x = torch.randint(0, 3, [ROWS, FEATURES]).float()
    elif kind in ("logistic", "gaussian"):
        x = torch.randint(0, 17, [ROWS, FEATURES]).float() / 8 - 1
    else:
        x = torch.randn(ROWS, FEATURES)
    eps = torch.randn(ROWS * K, LATENTS)
    out = encoder.net(x)
    q = Independent(Normal(out[:, :LATENTS], out[:, LATENTS:].exp()), 1)
    prior = Independent(Normal(torch.zeros(LATENTS), 1.0), 1)
    mean, std = q.base_dist.loc, q.base_dist.scale
    one = (mean + std * eps[::K])
    elbo = log_likelihood(kind, decoder, one, x) - kl_divergence(q, prior)
    many = Independent(Normal(mean.repeat_interleave(K, 0), std.repeat_interleave(K, 0)), 1)
    z = many.base_dist.loc + many.base_dist.scale * eps
    log_w = log_likelihood(kind, decoder, z, x.repeat_interleave(K, 0)) + prior.log_prob(z) - many.log_prob(z)
    bound = torch.logsumexp(log_w.reshape(ROWS, K), 1) - math.log(K)
    for name, value in dict(vae.state_dict(), x=x, eps=eps, elbo=elbo, bound=bound).items():
        golden[f"{kind}/{name}"] = value.detach().contiguous()


class Down(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(1, 4, 3, 1, 1), nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)])

    def forward(self, x):
        for conv in self.convs:
            x = F.relu(conv(x))
        return x


class Up(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.doubling = nn.ModuleList(
            [nn.ConvTranspose2d(8, 6, 3, 2, 1, 1), nn.ConvTranspose2d(6, 4, 3, 2, 1, 1)]
        )
        self.output = nn.Conv2d(4, outputs, 3, 1, 1)

    def forward(self, h):
        for layer in self.doubling:
            h = F.relu(layer(h))
        return self.output(h)


class GridEncoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.down, self.output = Down(), nn.Conv2d(8, width, 1)

    def forward(self, x):
        return self.output(self.down(x))


class GridDecoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.input, self.up = nn.Conv2d(width, 8, 3, 1, 1), Up(1)

    def forward(self, z):
        return self.up(F.relu(self.input(z)))


class Quantiser(nn.Module):
    def __init__(self, codes, width):
        super().__init__()
        self.codebook = nn.Parameter(0.3 * torch.randn(codes, width))
        self.shares = nn.Parameter(torch.full([codes], 1 / codes))


encoder, quantiser, decoder = GridEncoder(3), Quantiser(5, 3), Holder(GridDecoder(3))
vq = nn.ModuleDict(dict(encoder=encoder, quantiser=quantiser, decoder=decoder))
x = torch.randint(0, 2, [ROWS, 1, 8, 8]).float()
z_e = encoder(x)
flat = z_e.permute(0, 2, 3, 1).reshape(-1, 3)
codes = torch.cdist(flat, quantiser.codebook).argmin(1)
z_q = quantiser.codebook[codes]
loss = F.mse_loss(z_q, flat.detach()) + 0.25 * F.mse_loss(flat, z_q.detach())
through = flat + (z_q - flat).detach()
image = through.reshape(ROWS, 2, 2, 3).permute(0, 3, 1, 2)
log_p = Bernoulli(logits=decoder.net(image)).log_prob(x).sum([1, 2, 3])
total = -log_p.mean() / 64 + loss
total.backward()
expected = dict(
    x=x.reshape(ROWS, -1),
    codes=codes.reshape(ROWS, 4).float(),
    loss=loss[None],
    log_p=log_p,
    total=total[None],
    codebook_gradient=quantiser.codebook.grad,
    encoder_gradient=encoder.down.convs[0].weight.grad,
)
for name, value in dict(vq.state_dict(), **expected).items():
    golden[f"vq/{name}"] = value.detach().contiguous()

out = pathlib.Path(__file__).parent / "golden" / "vae.safetensors"
save_file(golden, out)
print(out, out.stat().st_size, "bytes")
