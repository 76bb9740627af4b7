"""Continuous flows with copied weights -> golden/continuous.json.

zuko's CNF (exact divergence) on eight points, in double precision at a tight tolerance: log p, the noise that each
point becomes and the data that noise becomes. torchdiffeq's solvers on Van der Pol's oscillator, also in double
precision: Euler, the midpoint rule and Dormand-Prince ("rk4" is another method there: Kutta's 3/8 rule).
"""

import json
import pathlib

import torch
import zuko
from torchdiffeq import odeint

torch.manual_seed(0)


def cnf(features, freqs, activation, hidden):
    flow = zuko.flows.CNF(
        features, freqs=freqs, hidden_features=hidden, activation=activation, atol=1e-9, rtol=1e-9
    )
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(1.7)  # a field that is worth integrating
    single = {name: value.clone() for name, value in flow.state_dict().items() if ".ode." in name}
    flow = flow.double()
    layers = sorted({int(name.split(".")[-2]) for name in single})
    weights = {}
    for position, layer in enumerate(layers):
        for kind in ["weight", "bias"]:
            values = single[f"transform.ode.{layer}.{kind}"]
            weights[f"layers.{position}.{kind}"] = dict(shape=list(values.shape), values=values.flatten().tolist())
    x = (1.5 * torch.randn(8, features)).float().double()
    with torch.no_grad():
        distribution = flow()
        transform = distribution.transform
        return dict(
            features=features,
            frequencies=freqs,
            hidden=list(hidden),
            activation={torch.nn.Tanh: "tanh", torch.nn.Softplus: "softplus"}[activation],
            weights=weights,
            x=x.flatten().tolist(),
            log_prob=distribution.log_prob(x).tolist(),
            noise=transform(x).flatten().tolist(),
            data=transform.inv(x).flatten().tolist(),
        )


def oscillator(_, y):
    return torch.stack([y[..., 1], 5 * (1 - y[..., 0] ** 2) * y[..., 1] - y[..., 0]], -1)


y = torch.tensor([[1.0, 0.5], [-2.0, 1.0]], dtype=torch.float64)
times = torch.linspace(0, 2, 41, dtype=torch.float64)
solvers = {name: odeint(oscillator, y, times, method=name)[-1].flatten().tolist() for name in ["euler", "midpoint"]}
solvers["dopri5"] = odeint(oscillator, y, times[[0, -1]], method="dopri5", rtol=1e-10, atol=1e-10)[-1].flatten().tolist()

golden = dict(
    cnf=[cnf(2, 3, torch.nn.Tanh, (32, 32)), cnf(3, 1, torch.nn.Softplus, (16, 24, 16))],
    oscillator=dict(start=y.flatten().tolist(), steps=40, **solvers),
)
out = pathlib.Path(__file__).parent / "golden" / "continuous.json"
out.write_text(json.dumps(golden) + "\n")
print(out, out.stat().st_size, "bytes")
