"""Every term of the variational bound in NumPy, from the formulas of DDPM and improved DDPM -> golden/bound.json.

The chain is written with betas, posterior coefficients and clipped log-variances, as in those papers; Genera writes it
with levels. The data lie on 17 levels of [-1, 1].
"""

import json
import pathlib

import numpy as np
from scipy.stats import norm

T, K = 20, 17
rng = np.random.default_rng(3)
x = (rng.integers(0, K, (4, 6)) / (K - 1) * 2 - 1).astype(np.float32).astype(np.float64)
eps = rng.standard_normal((T, 4, 6)).astype(np.float32).astype(np.float64)

betas = np.linspace(1e-4, 2e-2, T) * 1000 / T * 0.5
bar = np.cumprod(1 - betas)
bar_before = np.append(1, bar[:-1])
small = betas * (1 - bar_before) / (1 - bar)
log_small = np.log(np.append(small[1], small[1:]))  # clipped: the variance of the step into clean data is zero
coefficient_x0 = betas * np.sqrt(bar_before) / (1 - bar)
coefficient_xt = (1 - bar_before) * np.sqrt(1 - betas) / (1 - bar)


def predict(x_t):
    """A stand-in for a network: clean data, and the place of the variance between the small one and the large."""
    return 0.8 * np.tanh(1.5 * x_t), 1 / (1 + np.exp(-x_t))


def log_variance(kind, t, fraction):
    if kind == "fixed-small":
        return np.full_like(fraction, log_small[t])
    if kind == "fixed-large":
        return np.full_like(fraction, np.log(np.append(small[1], betas[1:]))[t])
    return fraction * np.log(betas[t]) + (1 - fraction) * log_small[t]


def term(kind, t, continuous):
    x_t = np.sqrt(bar[t]) * x + np.sqrt(1 - bar[t]) * eps[t]
    x0, fraction = predict(x_t)
    mean = coefficient_x0[t] * x0 + coefficient_xt[t] * x_t
    log_v = log_variance(kind, t, fraction)
    if t > 0:
        true = coefficient_x0[t] * x + coefficient_xt[t] * x_t
        kl = 0.5 * (-1 + log_v - log_small[t] + np.exp(log_small[t] - log_v) + (true - mean) ** 2 * np.exp(-log_v))
        return kl.sum(1)
    deviation = np.exp(0.5 * log_v)
    if continuous:
        return -norm.logpdf(x, mean, deviation).sum(1)
    high = np.where(x > 0.999, np.inf, (x + 1 / (K - 1) - mean) / deviation)
    low = np.where(x < -0.999, -np.inf, (x - 1 / (K - 1) - mean) / deviation)
    flip = high + low > 0  # the smaller tails of a symmetric law
    high, low = np.where(flip, -low, high), np.where(flip, -high, low)
    above, below = norm.logcdf(high), norm.logcdf(low)
    return -(above + np.log1p(-np.exp(below - above))).sum(1)


prior = 0.5 * (-1 - np.log(1 - bar[-1]) + (1 - bar[-1]) + bar[-1] * x**2).sum(1)
golden = dict(
    betas=betas.tolist(),
    x=x.tolist(),
    eps=eps.reshape(T, -1).tolist(),
    prior=prior.tolist(),
    terms={kind: [term(kind, t, False).tolist() for t in range(T)] for kind in ["fixed-small", "fixed-large", "learned"]},
    density={kind: term(kind, 0, True).tolist() for kind in ["fixed-small", "fixed-large", "learned"]},
)
out = pathlib.Path(__file__).parent / "golden" / "bound.json"
out.write_text(json.dumps(golden) + "\n")
print(out, out.stat().st_size, "bytes")
