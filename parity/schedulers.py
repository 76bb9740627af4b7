"""Noise schedules, timesteps and step-by-step trajectories of diffusers' schedulers -> golden/schedulers.json.

The schedules are computed here in float64 from the formulas that diffusers evaluates in float32, and checked against
its float32 numbers. Trajectories start from those float64 numbers too: in float32 the smallest sigma is wrong in its
fourth digit, which Heun's last slope shows. They use one fixed stand-in for a network and the noise of Genera's own generator
(`Rng::new(7)`), written out below, so that both programs walk the same way. Samples are float64, so that what is
compared is the other program's rounding alone.

Euler and Heun of diffusers walk in x / alpha as a function of sigma / alpha and show the network
x / alpha / sqrt((sigma / alpha)^2 + 1), which is x. Their states are written multiplied by alpha.
"""

import json
import math
import pathlib

import diffusers
import numpy as np
import torch
from diffusers.schedulers import scheduling_ddpm

ROWS, WIDTH, SEED = 3, 8, 7
IMAGES = (ROWS, 2, 2, 2)
M64 = 2**64 - 1


# The generator of Genera: Philox4x32-10, keyed by seed, counting blocks, draws and rows; Box and Muller.
def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & M64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & M64
    return z ^ (z >> 31)


def philox(counter, key):
    for turn in range(10):
        if turn:
            key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(b >> 32) ^ counter[1] ^ key[0], b & 0xFFFFFFFF, (a >> 32) ^ counter[3] ^ key[1], a & 0xFFFFFFFF]
    return counter


def noise(draw):
    """The normal numbers of draw number `draw`, as images."""
    key = mix(SEED ^ 0x67656E6572610001)
    out = np.zeros((ROWS, WIDTH))
    for row in range(ROWS):
        for block in range(WIDTH // 4):
            words = philox([block, draw, row, 0], [key & 0xFFFFFFFF, key >> 32])
            for pair in range(2):
                u = (words[2 * pair] + 0.5) / 2**32
                angle = words[2 * pair + 1] * 2 * math.pi / 2**32
                radius = math.sqrt(-2 * math.log(u))
                out[row, 4 * block + 2 * pair] = radius * math.cos(angle)
                out[row, 4 * block + 2 * pair + 1] = radius * math.sin(angle)
    return torch.tensor(out).reshape(IMAGES)


def network(x, time):
    """A stand-in for a network."""
    return 0.9 * torch.tanh(x) + 0.05 * x + 0.1 * float(time) / 1000


def variance(x):
    return torch.tanh(0.5 * x)


def alphas_cumprod(config):
    """The formulas of diffusers, in float64."""
    start, end, steps = config["beta_start"], config["beta_end"], config["num_train_timesteps"]
    match config["beta_schedule"]:
        case "linear":
            betas = np.linspace(start, end, steps)
        case "scaled_linear":
            betas = np.linspace(start**0.5, end**0.5, steps) ** 2
        case "sigmoid":
            betas = 1 / (1 + np.exp(-np.linspace(-6, 6, steps))) * (end - start) + start
        case "squaredcos_cap_v2":
            bar = lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
            betas = np.array([min(1 - bar((i + 1) / steps) / bar(i / steps), 0.999) for i in range(steps)])
    return np.cumprod(1 - betas)


def config_of(**changes):
    config = dict(num_train_timesteps=1000, beta_start=1e-4, beta_end=2e-2, beta_schedule="linear")
    return config | dict(prediction_type="epsilon", timestep_spacing="leading", steps_offset=0) | changes


def schedules():
    for changes in [
        dict(),
        dict(beta_schedule="scaled_linear", beta_start=8.5e-4, beta_end=1.2e-2),
        dict(beta_schedule="squaredcos_cap_v2"),
        dict(beta_schedule="sigmoid"),
        dict(num_train_timesteps=50, beta_end=0.1),
    ]:
        config = config_of(**changes)
        exact = alphas_cumprod(config)
        single = diffusers.DDPMScheduler(**config).alphas_cumprod.numpy()
        assert np.abs(exact - single).max() < 1e-6, config
        yield dict(config=config, alphas_cumprod=exact.tolist())


def walk(kind, config, steps, eta, exact):
    """One trajectory: the timesteps that the network sees, and the state before and after every step."""
    draws = iter(range(1000))
    scheduling_ddpm.randn_tensor = lambda *_, **__: noise(next(draws))
    scheduler = getattr(diffusers, kind)(**config)
    if exact:
        scheduler.alphas_cumprod = torch.tensor(alphas_cumprod(config))
        if not config.get("set_alpha_to_one", True):
            scheduler.final_alpha_cumprod = scheduler.alphas_cumprod[0]
    scheduler.set_timesteps(steps)
    sigma_space = kind in ("EulerDiscreteScheduler", "HeunDiscreteScheduler")
    sigmas = scheduler.sigmas.double() if sigma_space else None
    alpha = lambda index: 1 / math.sqrt(float(sigmas[index]) ** 2 + 1) if sigma_space else 1.0
    x = noise(500) * float(scheduler.init_noise_sigma)
    # The state is that before the step, in the coordinates where alpha^2 + sigma^2 = 1.
    states = [x * alpha(0)]
    for index, time in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(x, time)
        output = network(seen, time)
        if config.get("variance_type") == "learned_range":
            output = torch.cat([output, variance(seen)], 1)
        extra = dict(eta=eta, variance_noise=noise(next(draws)) if eta > 0 else None) if "DDIM" in kind else {}
        x = scheduler.step(output, time, x, **extra).prev_sample
        # Heun takes two calls a step; the second brings the state to the next level.
        if kind != "HeunDiscreteScheduler" or index % 2 == 1 or index == len(scheduler.timesteps) - 1:
            states.append(x * alpha(index + 1))
    times = scheduler.timesteps.double().tolist()
    if kind == "HeunDiscreteScheduler":
        times = times[:1] + times[1::2]
    return dict(
        kind=kind, config=config, steps=steps, eta=eta, timesteps=times, states=[s.flatten().tolist() for s in states]
    )


def cases():
    predictions = ["epsilon", "v_prediction", "sample"]
    clips = [
        dict(clip_sample=False),
        dict(clip_sample=True, clip_sample_range=1.0),
        dict(clip_sample=False, thresholding=True, dynamic_thresholding_ratio=0.7, sample_max_value=3.0),
    ]
    for prediction in predictions:
        for clip in clips:
            for variance_type in ["fixed_small", "fixed_small_log", "fixed_large", "learned_range"]:
                if prediction == "epsilon" or variance_type == "fixed_small":
                    yield "DDPMScheduler", dict(prediction_type=prediction, variance_type=variance_type, **clip), 10, 0
            for eta in [0, 0.5, 1]:
                yield "DDIMScheduler", dict(prediction_type=prediction, **clip), 10, eta
    for spacing in ["linspace", "trailing"]:
        yield "DDPMScheduler", dict(timestep_spacing=spacing, clip_sample=True, variance_type="fixed_small"), 7, 0
    yield "DDPMScheduler", dict(num_train_timesteps=20, beta_end=0.3, variance_type="fixed_large"), 20, 0
    # DDIM of diffusers steps to t - T // n wherever the next timestep lies: only where both agree is there parity.
    yield "DDIMScheduler", dict(timestep_spacing="trailing", clip_sample=False), 10, 0.5
    yield "DDIMScheduler", dict(timestep_spacing="leading", clip_sample=False), 12, 0.5
    yield "DDIMScheduler", dict(timestep_spacing="linspace", num_train_timesteps=20, beta_end=0.3), 20, 1
    yield "DDIMScheduler", dict(set_alpha_to_one=False, steps_offset=1, clip_sample=False), 10, 0
    for spacing in ["leading", "linspace", "trailing"]:
        for prediction in predictions:
            settings = dict(timestep_spacing=spacing, prediction_type=prediction)
            yield "EulerDiscreteScheduler", settings, 12, 0
            yield "HeunDiscreteScheduler", settings, 12, 0
            yield "DPMSolverMultistepScheduler", settings, 12, 0
        yield "DPMSolverMultistepScheduler", dict(timestep_spacing=spacing, beta_schedule="squaredcos_cap_v2"), 20, 0
    yield "HeunDiscreteScheduler", dict(clip_sample=True, clip_sample_range=0.8), 10, 0
    yield "DPMSolverMultistepScheduler", clips[2] | dict(prediction_type="sample"), 10, 0


def main():
    torch.set_default_dtype(torch.float64)
    walks, worst = [], 0
    for kind, changes, steps, eta in cases():
        config = config_of(**changes)
        known = {k: v for k, v in config.items() if not (k == "clip_sample" and kind.startswith(("Euler", "DPM")))}
        walks.append(walk(kind, known, steps, eta, exact=True))
        single = walk(kind, known, steps, eta, exact=False)
        difference = np.array(walks[-1]["states"]) - np.array(single["states"])
        worst = max(worst, (np.abs(difference) / np.maximum(1, np.abs(single["states"]))).max())
        assert walks[-1]["timesteps"] == single["timesteps"]
    assert worst < 1e-3
    out = pathlib.Path(__file__).parent / "golden" / "schedulers.json"
    golden = dict(diffusers=diffusers.__version__, schedules=list(schedules()), walks=walks)
    # Nine digits are more than single precision holds; the schedules keep all of theirs.
    for item in golden["walks"]:
        item["states"] = [[float(f"{v:.9g}") for v in state] for state in item["states"]]
    lines = lambda items: "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]"
    body = f'{{"diffusers": "{golden["diffusers"]}",\n"schedules": {lines(golden["schedules"])},\n"walks": {lines(walks)}}}'
    out.write_text(body + "\n")
    print(out, len(walks), "walks,", out.stat().st_size, "bytes; moved by float32 betas at most", worst)


if __name__ == "__main__":
    main()
