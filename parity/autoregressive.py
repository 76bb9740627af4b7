"""Autoregressive networks in plain PyTorch, written for the purpose, and the residual MADE of nflows.

Writes golden/autoregressive/NAME.safetensors: the weights under `weights.`, rows `x` [B, T] of whole numbers (of real
ones for MADE) and `outputs` [B, T, P]. Rows of pictures are in the order C, H, W.
"""

import pathlib

import torch
import torch.nn.functional as F
from nflows.transforms.made import MADE
from safetensors.torch import save_file
from torch import nn

GOLDEN = pathlib.Path(__file__).parent / "golden" / "autoregressive"


def scaled(x, levels):
    return x / ((levels - 1) / 2) - 1


class MaskedConv2d(nn.Conv2d):
    """A convolution whose kernel is zero on pixels not drawn yet; features fall into a group for each channel."""

    def __init__(self, kind, channels, inputs, outputs, kernel, halves=1):
        kh, kw = kernel
        super().__init__(inputs, outputs, kernel, padding=(kh // 2, kw // 2))
        mask = torch.zeros_like(self.weight)
        mask[:, :, : kh // 2] = 1
        period = outputs // halves
        for o in range(outputs):
            for i in range(inputs):
                to, frm = o % period * channels // period, i * channels // inputs
                if kind == "beside":
                    mask[o, i, kh // 2] = 1
                elif kind in "AB":
                    mask[o, i, kh // 2, : kw // 2] = 1
                    mask[o, i, kh // 2, kw // 2] = frm < to or (kind == "B" and frm == to)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the features of one pixel and one group."""

    def forward(self, x):
        b, f, h, w = x.shape
        g = self.normalized_shape[0]
        x = x.reshape(b, f // g, g, h, w).permute(0, 1, 3, 4, 2)
        return super().forward(x).permute(0, 1, 4, 2, 3).reshape(b, f, h, w)


class Layer(nn.Module):
    def __init__(self, channels, inputs, outputs, kernel):
        super().__init__()
        self.norm = ChannelNorm(inputs // channels)
        self.conv = MaskedConv2d("B", channels, inputs, outputs, (kernel, kernel))

    def forward(self, h):
        return self.conv(F.relu(self.norm(h)))


class PixelCNN(nn.Module):
    def __init__(self, channels, levels, filters, layers, kernel, outputs=None):
        super().__init__()
        self.channels, self.levels = channels, levels
        self.conv_in = MaskedConv2d("A", channels, channels, filters, (kernel, kernel))
        self.layers = nn.ModuleList(Layer(channels, filters, filters, kernel) for _ in range(layers))
        self.last = Layer(channels, filters, channels * (outputs or levels), 1)

    def forward(self, x):
        h = self.conv_in(scaled(x, self.levels))
        for layer in self.layers:
            h = h + layer(h)
        return by_element(self.last(h), self.channels)


def by_element(y, channels):
    b, f, h, w = y.shape
    return y.reshape(b, channels, f // channels, h, w).permute(0, 1, 3, 4, 2).reshape(b, channels * h * w, -1)


def gate(a):
    a, b = a.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


class GatedLayer(nn.Module):
    def __init__(self, first, channels, inputs, filters, kernel):
        super().__init__()
        self.first = first
        square = (kernel, kernel)
        self.vertical = MaskedConv2d("above" if first else "beside", channels, inputs, 2 * filters, square)
        left = "A" if first else "B"
        self.horizontal = MaskedConv2d(left, channels, inputs, 2 * filters, (1, kernel), halves=2)
        self.link = nn.Conv2d(2 * filters, 2 * filters, 1)
        self.mix = MaskedConv2d("B", channels, filters, filters, (1, 1))

    def forward(self, v, h):
        a = self.vertical(v)
        out = self.mix(gate(self.horizontal(h) + self.link(a)))
        return gate(a), out if self.first else out + h


class GatedPixelCNN(nn.Module):
    def __init__(self, channels, levels, filters, layers, kernel, outputs=None):
        super().__init__()
        self.channels, self.levels = channels, levels
        width = [channels] + [filters] * (layers - 1)
        self.layers = nn.ModuleList(GatedLayer(i == 0, channels, n, filters, kernel) for i, n in enumerate(width))
        self.conv_1 = MaskedConv2d("B", channels, filters, filters, (1, 1))
        self.conv_2 = MaskedConv2d("B", channels, filters, channels * (outputs or levels), (1, 1))

    def forward(self, x):
        v = h = scaled(x, self.levels)
        for layer in self.layers:
            v, h = layer(v, h)
        return by_element(self.conv_2(F.relu(self.conv_1(F.relu(h)))), self.channels)


class Block(nn.Module):
    def __init__(self, width, heads, expansion):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(width, 3 * width), "c_proj": nn.Linear(width, width)})
        inner = expansion * width
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, inner), "c_proj": nn.Linear(inner, width)})

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.attn["c_attn"](self.ln_1(x)).split(c, dim=2)
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c)
        x = x + self.attn["c_proj"](y)
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))


class ImageGPT(nn.Module):
    def __init__(self, length, levels, width, layers, heads, expansion, outputs=None):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(levels, width), nn.Embedding(length, width)
        self.start = nn.Parameter(torch.randn(width))
        self.h = nn.ModuleList(Block(width, heads, expansion) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, outputs or levels, bias=False)

    def forward(self, x):
        tokens = self.wte(x.long().flatten(1)[:, :-1])
        h = torch.cat([self.start.expand(len(x), 1, -1), tokens], dim=1) + self.wpe.weight
        for block in self.h:
            h = block(h)
        return self.lm_head(self.ln_f(h))


class Recurrent(nn.Module):
    def __init__(self, levels, width):
        super().__init__()
        self.rnn = nn.GRU(levels, width, batch_first=True)
        self.head = nn.Linear(width, levels)
        self.levels = levels

    def forward(self, x):
        seen = F.one_hot(x.long().flatten(1), self.levels).float()
        return self.head(self.rnn(F.pad(seen, (0, 0, 1, -1)))[0])


class ResidualMade(MADE):
    def forward(self, x):
        return super().forward(x).reshape(len(x), x.shape[1], -1)


NETS = {
    "pixelcnn": (lambda: PixelCNN(1, 2, filters=8, layers=3, kernel=5), (1, 9, 8), 2),
    "pixelcnn-rgb": (lambda: PixelCNN(3, 4, filters=12, layers=2, kernel=3), (3, 6, 5), 4),
    "gated-pixelcnn": (lambda: GatedPixelCNN(1, 2, filters=8, layers=3, kernel=3), (1, 9, 8), 2),
    "gated-pixelcnn-rgb": (lambda: GatedPixelCNN(3, 4, filters=6, layers=3, kernel=3), (3, 6, 5), 4),
    "imagegpt": (lambda: ImageGPT(42, 5, width=16, layers=2, heads=2, expansion=2), (1, 6, 7), 5),
    "recurrent": (lambda: Recurrent(4, width=10), (1, 1, 20), 4),
    "made": (lambda: ResidualMade(7, 20, num_blocks=2, output_multiplier=2), (7,), None),
}


def main():
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, (make, shape, levels) in NETS.items():
        torch.manual_seed(0)
        net = make()
        with torch.no_grad():
            for parameter in net.parameters():  # biases and norms away from where they start, which hides mistakes
                parameter.add_(0.1 * torch.randn_like(parameter))
            x = torch.randn(3, *shape) if levels is None else torch.randint(levels, (3, *shape)).float()
            outputs = net(x)
        arrays = {f"weights.{name}": value for name, value in net.state_dict().items()}
        arrays = {key: value for key, value in arrays.items() if not key.endswith((".mask", ".degrees"))}
        arrays |= {"x": x.flatten(1), "outputs": outputs}
        save_file({key: value.contiguous() for key, value in arrays.items()}, GOLDEN / f"{name}.safetensors")


if __name__ == "__main__":
    main()
