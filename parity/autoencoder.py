"""Tiny autoencoders of diffusers, as it saves them, with an input, its latents and the image decoded from them.

Writes golden/autoencoder/NAME/{config.json, diffusion_pytorch_model.safetensors, case.safetensors}. A case holds
`sample` [B, C, H, W]; of an AutoencoderKL `mean` and `log_variance` of the latents, of a VQModel `latents`, `codes`
[B, h * w] and `loss`, the codebook and commitment loss as diffusers adds them; and `decoded`.
"""

import pathlib

import torch
from diffusers import AutoencoderKL, VQModel
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).parent / "golden" / "autoencoder"

SMALL = dict(sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=4)
TWO = dict(
    block_out_channels=(8, 12),
    down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
    up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
)

CONFIGS = {
    "kl": (AutoencoderKL, SMALL | TWO | dict(latent_channels=2)),
    "kl-plain": (
        AutoencoderKL,
        SMALL
        | dict(
            in_channels=3,
            out_channels=3,
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            use_quant_conv=False,
            use_post_quant_conv=False,
            mid_block_add_attention=False,
            act_fn="relu",
        ),
    ),
    "vq": (VQModel, SMALL | TWO | dict(latent_channels=3, num_vq_embeddings=7, vq_embed_dim=4)),
}


def main():
    for number, (name, (model, config)) in enumerate(CONFIGS.items()):
        torch.manual_seed(number)
        net = model(**config).eval()
        with torch.no_grad():
            for parameter in net.parameters():  # so that scales and shifts are seen
                if parameter.ndim == 1:
                    parameter.add_(0.2 * torch.randn_like(parameter))
            if model is VQModel:  # books start narrower than latents are: let all of it be used
                net.quantize.embedding.weight.normal_(0.0, 0.5)
            net.save_pretrained(GOLDEN / name)
            sample = torch.randn(3, config["in_channels"], 8, 8)
            case = dict(sample=sample)
            if model is VQModel:
                latents = net.encode(sample).latents
                _, loss, (_, _, codes) = net.quantize(latents)
                case |= dict(latents=latents, codes=codes.view(3, -1).float(), loss=loss.view(1))
                assert len(codes.unique()) > 2
            else:
                latents = net.encode(sample).latent_dist.mean
                case |= dict(mean=latents, log_variance=net.encode(sample).latent_dist.logvar)
            case["decoded"] = net.decode(latents).sample
            save_file({key: value.contiguous() for key, value in case.items()}, GOLDEN / name / "case.safetensors")


if __name__ == "__main__":
    main()
