"""Golden values of genera-metrics from NumPy, SciPy and scikit-learn: golden/metrics.json.

Inputs are stored beside the values, rounded to single precision so that both sides read the same numbers.
"""

import json
import pathlib

import numpy as np
from scipy import linalg, optimize, spatial, stats
from sklearn.metrics import pairwise
from sklearn.neighbors import NearestNeighbors

rng = np.random.default_rng(20)


def normal(n, d, mix=None, shift=0.0):
    x = rng.standard_normal((n, d))
    x = x @ mix if mix is not None else x
    return np.round(x + shift, 4).astype(np.float32).astype(np.float64)


def table(x):
    return {"n": len(x), "d": x.shape[1], "values": x.ravel().tolist()}


def frechet(x, y):
    """The formula as commonly implemented: the square root of the product, its real part."""
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(s1 @ s2)
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(s1 + s2 - 2 * np.real(root)))


def frechet_singular(x, y):
    """For fewer rows than columns, where sqrtm fails: the singular values of the product of the centred rows."""
    a, b = (x - x.mean(0)) / np.sqrt(len(x) - 1), (y - y.mean(0)) / np.sqrt(len(y) - 1)
    coupled = linalg.svdvals(a @ b.T).sum()
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.sum(a**2) + np.sum(b**2) - 2 * coupled)


def mmd2(kernel, x, y):
    n, m = len(x), len(y)
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    cross = 2 * xy.mean()
    unbiased = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1)) - cross
    return {"biased": float(xx.mean() + yy.mean() - cross), "unbiased": float(unbiased)}


def manifold(real, fake, k):
    def radii(x):
        return NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(x).kneighbors(x)[0][:, k]

    r, f, d = radii(real), radii(fake), spatial.distance.cdist(real, fake)
    return {
        "k": k,
        "precision": float((d <= r[:, None]).any(0).mean()),
        "recall": float((d <= f[None, :]).any(1).mean()),
        "density": float((d <= r[:, None]).sum(0).mean() / k),
        "coverage": float((d.min(1) <= r).mean()),
    }


def inception_score(p, splits):
    parts = np.array_split(p, splits)
    scores = [np.exp(np.mean([stats.entropy(row, part.mean(0)) for row in part])) for part in parts]
    return {"splits": splits, "mean": float(np.mean(scores)), "std": float(np.std(scores))}


def exact_transport(x, y, p):
    """Unequal sizes by linear programming."""
    n, m = len(x), len(y)
    cost = spatial.distance.cdist(x, y) ** p
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    marginals = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    found = optimize.linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=marginals, method="highs")
    return float(found.fun ** (1 / p))


mix = rng.standard_normal((6, 6))
x, y = normal(80, 6, mix), normal(60, 6, mix + 0.5 * np.eye(6), 0.3)
graded = np.diag(10.0 ** (-np.arange(6) / 2))
gx, gy = normal(50, 6, graded), normal(50, 6, 2 * graded, 0.01)
few_x, few_y = normal(5, 12), normal(4, 12, shift=1.0)
wide_x, wide_y = normal(40, 40, shift=3.0), normal(50, 40, shift=3.1)
logits = 2 * rng.standard_normal((30, 5))
p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
p = p.astype(np.float32).astype(np.float64)
p = p / p.sum(1, keepdims=True)
held, made = np.sort(rng.random(7)).round(4), np.sort(rng.random(9)).round(4)

golden = {
    "frechet": [
        {"x": table(x), "y": table(y), "value": frechet(x, y)},
        {"x": table(gx), "y": table(gy), "value": frechet(gx, gy)},
        {"x": table(few_x), "y": table(few_y), "value": frechet_singular(few_x, few_y)},
    ],
    "mmd": [
        {
            "x": table(a),
            "y": table(b),
            "bandwidth": s,
            "gaussian": mmd2(lambda u, v: pairwise.rbf_kernel(u, v, gamma=1 / (2 * s * s)), a, b),
            "cubic": mmd2(lambda u, v: pairwise.polynomial_kernel(u, v, degree=3), a, b),
        }
        for a, b, s in [(x, y, 2.0), (wide_x, wide_y, 6.0)]
    ],
    "manifold": [
        {"x": table(a), "y": table(b), **manifold(a, b, k)} for a, b, k in [(x, y, 3), (wide_x, wide_y, 5)]
    ],
    "inception_score": [{"p": table(p), **inception_score(p, splits)} for splits in (1, 3)],
    "wasserstein_1d": {
        "x": held.tolist(),
        "y": made.tolist(),
        "value": float(stats.wasserstein_distance(held, made)),
    },
    "wasserstein": [{"x": table(x), "y": table(y), "p": power, "value": exact_transport(x, y, power)} for power in (1, 2)],
    "closer": {
        "held_out": held.tolist(),
        "generated": made.tolist(),
        "value": float(stats.mannwhitneyu(held, made).statistic / (len(held) * len(made))),
    },
}

out = pathlib.Path(__file__).parent / "golden" / "metrics.json"
out.parent.mkdir(exist_ok=True)
out.write_text(json.dumps(golden) + "\n")
