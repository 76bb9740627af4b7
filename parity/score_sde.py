"""Single steps of the predictors and correctors of score-based models, and walks of EDM's sampler -> golden/score_sde.json.

Both are research code without a package, so their published rules are written out here in float64, from the papers
(arXiv:2011.13456, equations 30 to 34 and algorithms 2 to 5; arXiv:2206.00364, algorithm 2) in the conventions of the
authors' programs: which beta belongs to which step, which noise is left away, which way a walk ends. The last part walks
diffusers' FlowMatchEulerDiscreteScheduler. The stand-in for a network and the noise are those of schedulers.py.
"""

import json
import math
import pathlib

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from schedulers import ROWS, WIDTH, noise

N = 1000
BETAS = np.linspace(0.1 / N, 20 / N, N)
SIGMA_MIN, SIGMA_MAX = 0.01, 50.0
SIGMAS = np.exp(np.linspace(math.log(SIGMA_MIN), math.log(SIGMA_MAX), N))


def flat(x):
    return np.asarray(x, dtype=np.float64).reshape(ROWS, WIDTH)


def draw(k):
    return flat(noise(k))


def network(x, time):
    return 0.9 * np.tanh(x) + 0.05 * x + 0.1 * time / 1000


def steps():
    x, z = draw(0) * 1.3, draw(1)
    out = []

    def add(kind, sde, k, to, result):
        out.append({"kind": kind, "sde": sde, "k": k, "result": flat(result).ravel().tolist(), "to": to})

    # Euler and Maruyama in continuous time: drift f - g^2 s, a step of -dt.
    for k in [5, 300, 999]:
        u = (k + 1) / N
        beta, integral = 0.1 + 19.9 * u, 0.1 * u + 9.95 * u * u
        for sde in ["vp", "subvp"]:
            sigma = math.sqrt(1 - math.exp(-integral)) if sde == "vp" else 1 - math.exp(-integral)
            g2 = beta if sde == "vp" else beta * (1 - math.exp(-2 * integral))
            s = -network(x, k) / sigma
            drift = -0.5 * beta * x - g2 * s
            add("euler-maruyama", sde, k, k - 1, x - drift / N + math.sqrt(g2 / N) * z)
        sigma = SIGMAS[k]
        g2 = sigma**2 * 2 * math.log(SIGMA_MAX / SIGMA_MIN)
        s = -network(x, k) / sigma
        add("euler-maruyama", "ve", k, k - 1, x + g2 * s / (N - 1) + math.sqrt(g2 / (N - 1)) * z)

    alphas_bar = np.cumprod(1 - BETAS)
    for k in [5, 300, 999]:
        beta, s = BETAS[k], -network(x, k) / math.sqrt(1 - alphas_bar[k])
        add("reverse-diffusion", "ddpm", k, k - 1, x - (math.sqrt(1 - beta) * x - x - beta * s) + math.sqrt(beta) * z)
        add("ancestral", "ddpm", k, k - 1, (x + beta * s) / math.sqrt(1 - beta) + math.sqrt(beta) * z)
        sigma, below = SIGMAS[k], SIGMAS[k - 1]
        s = -network(x, k) / sigma
        g2 = sigma**2 - below**2
        add("reverse-diffusion", "ve", k, k - 1, x + g2 * s + math.sqrt(g2) * z)
        add("ancestral", "ve", k, k - 1, x + g2 * s + math.sqrt(below**2 * g2 / sigma**2) * z)
        # Correctors; norms row by row, as for batches of one.
        for sde, level, kept in [("ddpm", math.sqrt(1 - alphas_bar[k]), 1 - BETAS[k]), ("ve", sigma, 1.0)]:
            s = -network(x, k) / level
            norm = lambda v: np.linalg.norm(v, axis=1, keepdims=True)
            size = (0.16 * norm(z) / norm(s)) ** 2 * 2 * kept
            add("signal-to-noise", sde, k, k - 1, x + size * s + np.sqrt(2 * size) * z)
            size = (0.16 * level) ** 2 * 2 * kept
            add("relative", sde, k, k - 1, x + size * s + math.sqrt(2 * size) * z)
    return {"x": x.ravel().tolist(), "z": z.ravel().tolist(), "steps": out}


def denoiser(x, sigma):
    """E[x0 | x] of a stand-in."""
    return (0.5 * np.tanh(x) + 0.25 * x) / (1 + sigma)


def edm(n, sigma_min, sigma_max, rho, churn, low, high, scale):
    """Algorithm 2."""
    i = np.arange(n)
    t = (sigma_max ** (1 / rho) + i / (n - 1) * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    t = np.append(t, 0.0)
    x, used = draw(0) * t[0], 1
    states = [x]
    for here, there in zip(t[:-1], t[1:]):
        gamma = min(churn / n, math.sqrt(2) - 1) if low <= here <= high else 0.0
        raised = here * (1 + gamma)
        if gamma > 0:
            x = x + math.sqrt(raised**2 - here**2) * scale * draw(used)
            used += 1
        slope = (x - denoiser(x, raised)) / raised
        ahead = x + (there - raised) * slope
        if there > 0:
            x = x + (there - raised) * 0.5 * (slope + (ahead - denoiser(ahead, there)) / there)
        else:
            x = ahead
        states.append(x)
    return {
        "n": n, "sigma_min": sigma_min, "sigma_max": sigma_max, "rho": rho,
        "churn": {"amount": churn, "low": low, "high": high, "scale": scale},
        "states": [state.ravel().tolist() for state in states],
    }  # fmt: skip


def flow(n):
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000)
    scheduler.set_timesteps(n)
    x = torch.tensor(draw(0))
    times, states = [], [x]
    for t in scheduler.timesteps:
        velocity = torch.tensor(network(x.numpy(), float(t)))
        x = scheduler.step(velocity, t, x, return_dict=False)[0].double()
        times.append(float(t))
        states.append(x)
    return {"n": n, "times": times, "states": [state.numpy().ravel().tolist() for state in states]}


golden = {
    **steps(),
    "edm": [
        edm(8, 0.002, 80.0, 7.0, 0.0, 0.0, 1e9, 1.0),
        edm(12, 0.002, 80.0, 7.0, 5.0, 0.05, 50.0, 1.003),
        edm(6, 0.02, 20.0, 5.0, 40.0, 0.0, 10.0, 1.007),
    ],
    "flow": [flow(1000), flow(10)],
}
# A long walk is told by every hundredth state.
for walk in golden["flow"]:
    if walk["n"] > 100:
        walk["states"] = walk["states"][::100]
path = pathlib.Path(__file__).parent / "golden" / "score_sde.json"
path.write_text(json.dumps(golden) + "\n")
print(path, path.stat().st_size, "bytes")
