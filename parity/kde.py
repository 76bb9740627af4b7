"""Kernel density estimates -> golden/kde.json.

SciPy's gaussian_kde gives the Gaussian kernel with Scott's and Silverman's rules in one dimension (in several it turns
the kernel with the covariance, which a product of kernels along the axes does not). The other kernels, and two
dimensions, are written out from the definitions of statsmodels' univariate kernels.
"""

import json
import pathlib

import numpy as np
from scipy.stats import gaussian_kde

rng = np.random.default_rng(7)
x = np.concatenate([rng.normal(-1, 0.5, 25), rng.normal(1.5, 1, 15)]).astype(np.float32).astype(float)
at = np.linspace(-3, 4, 29).astype(np.float32).astype(float)
scipy = {}
for rule in ["scott", "silverman"]:
    kde = gaussian_kde(x, bw_method=rule)
    scipy[rule] = dict(bandwidth=float(np.sqrt(kde.covariance[0, 0])), log_density=kde.logpdf(at).tolist())

inside = lambda u, radius=1: np.abs(u) <= radius
kernels = dict(
    gau=lambda u: np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi),
    epa=lambda u: 0.75 * (1 - u**2) * inside(u),
    uni=lambda u: 0.5 * inside(u),
    tri=lambda u: (1 - np.abs(u)) * inside(u),
    biw=lambda u: 15 / 16 * (1 - u**2) ** 2 * inside(u),
    triw=lambda u: 35 / 32 * (1 - u**2) ** 3 * inside(u),
    cos=lambda u: np.pi / 4 * np.cos(np.pi / 2 * u) * inside(u),
    cos2=lambda u: (1 + np.cos(2 * np.pi * u)) * inside(u, 0.5),
)
h = 0.7
line = {name: (kernel((at[:, None] - x) / h).mean(1) / h).tolist() for name, kernel in kernels.items()}

plane = np.stack([x[:20], rng.normal(0, 2, 20).astype(np.float32).astype(float)], 1)
points = np.stack([at[:8], rng.normal(0, 2, 8).astype(np.float32).astype(float)], 1)
widths = plane.std(0, ddof=1) * 20 ** (-1 / 6)
product = kernels["gau"]((points[:, None] - plane) / widths).prod(2).mean(1) / widths.prod()

golden = dict(
    x=x.tolist(), at=at.tolist(), scipy=scipy, bandwidth=h, line=line,
    plane=plane.ravel().tolist(), points=points.ravel().tolist(), widths=widths.tolist(), product=product.tolist(),
)
out = pathlib.Path(__file__).parent / "golden" / "kde.json"
out.write_text(json.dumps(golden) + "\n")
print(out, out.stat().st_size, "bytes")
