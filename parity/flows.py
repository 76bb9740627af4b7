"""Flows of zuko and normflows: their weights under Genera's names, points, and what the references make of them.

Writes golden/flows.safetensors. Keys are CASE/weights/NAME, CASE/x [B, F], CASE/z and CASE/log_det (data to noise) or
CASE/log_prob, and for whole flows CASE/noise and CASE/sample (noise to data). Where the references order parameters
column by column, rows of weights are permuted to parameter by parameter here.
"""

from pathlib import Path

import numpy as np
import torch
import zuko
from normflows.flows import Planar, Radial
from normflows.flows.affine.glow import GlowBlock
from safetensors.numpy import save_file

GOLDEN = Path(__file__).parent / "golden" / "flows.safetensors"
out = {}


def put(case, **arrays):
    for name, array in arrays.items():
        out[f"{case}/{name}"] = np.ascontiguousarray(array.detach().float().numpy())


def shake(module, by=0.3):
    """Moves every parameter, so that nothing stands at its start."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by * torch.randn_like(parameter))


def autoregressive(case, flow, features, context=0):
    """zuko's MAF and NSF. Its layers of a transform are 0, 2, 4, .. of a Sequential."""
    shake(flow, 0.2)
    for at, transform in enumerate(flow.transform.transforms):
        layers = [layer for layer in transform.hyper if hasattr(layer, "mask")]
        for number, layer in enumerate(layers):
            weight, bias = layer.weight, layer.bias
            if number == len(layers) - 1:  # [F, P] -> [P, F]
                order = torch.arange(len(bias)).reshape(features, -1).T.reshape(-1)
                weight, bias = weight[order], bias[order]
            put(f"{case}/weights/{at}.net.layers.{number}", weight=weight, bias=bias)
    x = 1.5 * torch.randn(40, features)
    noise = torch.randn(40, features)
    given = (torch.randn(40, context),) if context else ()
    if context:
        put(case, context=given[0])
    put(case, x=x, log_prob=flow(*given).log_prob(x), noise=noise)
    put(case, sample=flow(*given).transform.inv(noise))


def planar():
    flow = Planar((3,))
    shake(flow, 0.5)
    put("planar/weights", u=flow.u[0], w=flow.w[0], b=flow.b)
    x = torch.randn(40, 3)
    z, log_det = flow.forward(x)
    put("planar", x=x, z=z, log_det=log_det)


def radial():
    flow = Radial((3,))
    shake(flow, 0.3)
    put("radial/weights", centre=flow.z_0[0], log_alpha=flow.alpha.abs().log(), raw_beta=flow.beta)
    x = torch.randn(40, 3)
    z, log_det = flow.forward(x)
    put("radial", x=x, z=z, log_det=log_det)


def glow():
    """normflows' block from data to noise: activation normalisation, 1x1 convolution, coupling."""
    block = GlowBlock(4, 6, init_zeros=False)
    coupling, conv, norm = block.flows
    norm.data_dep_init_done = torch.tensor(1.0)
    shake(block, 0.2)
    case = "glow/weights"
    scale = -norm.s.reshape(-1)
    put(f"{case}/0", log_scale=scale, shift=-norm.t.reshape(-1) * scale.exp(), initialised=torch.ones(1))
    put(f"{case}/1.channels", p=conv.P, lower=conv.L, upper=conv.U, sign_s=conv.sign_S, log_s=conv.log_S)
    first, middle, last = [layer for layer in coupling.flows[1].param_map.net if hasattr(layer, "weight")]
    put(f"{case}/2.net.conv_in", weight=first.weight, bias=first.bias)
    put(f"{case}/2.net.point", weight=middle.weight, bias=middle.bias)
    order = torch.tensor([0, 2, 1, 3])  # shift, scale, shift, scale -> shifts, scales
    put(f"{case}/2.net.conv_out", weight=last.weight[order], bias=last.bias[order])
    put(f"{case}/2.net", log_scale=torch.zeros(4))
    x = torch.randn(10, 4, 4, 6)
    z, log_det = block.inverse(x)
    put("glow", x=x.flatten(1), z=z.flatten(1), log_det=log_det)
    noise = torch.randn(10, 4, 4, 6)
    put("glow", noise=noise.flatten(1), sample=block.forward(noise)[0].flatten(1))


def main():
    torch.manual_seed(0)
    hidden = dict(hidden_features=(16, 16), activation=torch.nn.SiLU)
    autoregressive("maf", zuko.flows.MAF(3, transforms=3, **hidden), 3)
    autoregressive("maf-context", zuko.flows.MAF(3, 2, transforms=2, **hidden), 3, 2)
    autoregressive("nsf", zuko.flows.NSF(3, transforms=2, bins=6, **hidden), 3)
    planar()
    radial()
    glow()
    save_file(out, GOLDEN)
    print(len(out), "arrays,", GOLDEN.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
