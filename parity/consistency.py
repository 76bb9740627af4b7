"""Walks of diffusers' CMStochasticIterativeScheduler -> golden/consistency.json.

The stand-in for a network and the noise are those of schedulers.py. Sigmas and samples are float64, so that what is
compared is the other program's rounding alone; the network's time is a quarter of the logarithm of sigma times 1000.
"""

import json
import pathlib

import torch
from diffusers import CMStochasticIterativeScheduler
from diffusers.schedulers import scheduling_consistency_models

from schedulers import network, noise


def walk(steps, **config):
    draws = iter(range(1000))
    scheduling_consistency_models.randn_tensor = lambda *_, **__: noise(next(draws))
    scheduler = CMStochasticIterativeScheduler(num_train_timesteps=40, clip_denoised=False, **config)
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.double()
    # The stated numbers, which float32 has rounded.
    sigmas[0], sigmas[-1] = scheduler.config.sigma_max, scheduler.config.sigma_min
    scheduler.sigmas = sigmas
    x = noise(500) * float(sigmas[0])
    states = [x]
    for index, time in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(x, time)
        output = network(seen, 250 * float(torch.log(sigmas[index])))
        x = scheduler.step(output, time, x).prev_sample
        states.append(x)
    config = scheduler.config
    return dict(
        sigma_min=config.sigma_min,
        sigma_max=config.sigma_max,
        sigma_data=config.sigma_data,
        sigmas=sigmas.tolist(),
        states=[state.flatten().tolist() for state in states],
    )


walks = [walk(1), walk(2), walk(4), walk(5, sigma_min=0.02, sigma_max=20.0, sigma_data=0.7), walk(40)]
path = pathlib.Path(__file__).parent / "golden" / "consistency.json"
path.write_text(json.dumps(walks) + "\n")
print(path, path.stat().st_size, "bytes")
