"""A tiny DDPM pipeline as diffusers saves it, and what two deterministic samplers make of given noise.

Writes golden/pipeline/{model_index.json, unet/, scheduler/, noise.npy, ddim10.npy, ddpm10_mean.npy}: images of
[4, 1, 8, 8] before the final map to [0, 1]. `ddim10` is DDIM with eta = 0 in ten steps; `ddpm10_mean` is ancestral
DDPM in ten steps with every fresh noise replaced by zeros.
"""

import pathlib

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.schedulers import scheduling_ddpm

GOLDEN = pathlib.Path(__file__).parent / "golden" / "pipeline"


@torch.no_grad()
def chain(unet, scheduler, x):
    scheduler.set_timesteps(10)
    for t in scheduler.timesteps:
        x = scheduler.step(unet(x, t).sample, t, x).prev_sample
    return x


def main():
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    ).eval()
    scheduler = DDPMScheduler()
    DDPMPipeline(unet, scheduler).save_pretrained(GOLDEN)

    noise = torch.randn(4, 1, 8, 8)
    scheduling_ddpm.randn_tensor = lambda shape, **_: torch.zeros(shape)
    np.save(GOLDEN / "noise.npy", noise.numpy())
    np.save(GOLDEN / "ddim10.npy", chain(unet, DDIMScheduler.from_config(scheduler.config), noise).numpy())
    np.save(GOLDEN / "ddpm10_mean.npy", chain(unet, scheduler, noise).numpy())


if __name__ == "__main__":
    main()
