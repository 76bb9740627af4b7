"""Tiny networks of diffusers' UNet2DModel, as it saves them, with an input and the output for it.

Writes golden/unet2d/NAME/{config.json, diffusion_pytorch_model.safetensors, case.safetensors}. A case holds `sample`
[B, C, H, W], `timestep` [B], perhaps `labels` [B], `output`, `probe`, and `gradient_norms` of sum(output * probe) by
the trained parameters in the order of their names; the one of `attention` also every gradient, `gradient.NAME`.

For two networks of full size it writes config.json and shapes.json alone: the shape of every weight.
"""

import json
import pathlib

import torch
from diffusers import UNet2DModel
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).parent / "golden" / "unet2d"

SMALL = dict(sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=4)
PLAIN = dict(down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"))

CONFIGS = {
    "plain": SMALL | PLAIN | dict(block_out_channels=(8, 16), add_attention=False),
    "attention": SMALL
    | dict(
        in_channels=3,
        out_channels=3,
        sample_size=(8, 4),
        block_out_channels=(8, 12),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        norm_eps=1e-6,
    ),
    "labels": SMALL
    | PLAIN
    | dict(
        block_out_channels=(8, 8),
        num_class_embeds=10,
        freq_shift=1,
        flip_sin_to_cos=False,
        downsample_padding=0,
        attention_head_dim=None,
        act_fn="gelu",
        time_embedding_dim=24,
    ),
    "fourier": SMALL
    | dict(
        block_out_channels=(8, 12),
        down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        time_embedding_type="fourier",
        resnet_time_scale_shift="scale_shift",
        mid_block_scale_factor=2**0.5,
        attention_head_dim=4,
    ),
    "learned": SMALL
    | dict(
        block_out_channels=(8, 8, 8),
        layers_per_block=2,
        down_block_types=("AttnDownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "AttnUpBlock2D"),
        time_embedding_type="learned",
        num_train_timesteps=20,
        class_embed_type="timestep",
        downsample_type="resnet",
        upsample_type="resnet",
        center_input_sample=True,
        attn_norm_num_groups=2,
        act_fn="relu",
    ),
}

FULL = {
    "default": dict(sample_size=64),
    # As Ho et al. (arXiv:2006.11239) for CIFAR-10.
    "cifar": dict(
        sample_size=32,
        block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    ),
}

TIMES = {"fourier": [0.002, 0.7, 40.0], "learned": [0, 7, 19]}


def main():
    for number, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(number)
        net = UNet2DModel(**config).eval()
        with torch.no_grad():
            for parameter in net.parameters():  # so that scales and shifts are seen
                if parameter.ndim == 1 and parameter.requires_grad:
                    parameter.add_(0.2 * torch.randn_like(parameter))
        net.save_pretrained(GOLDEN / name)

        size = config["sample_size"]
        height, width = size if isinstance(size, tuple) else (size, size)
        sample = torch.randn(3, config["in_channels"], height, width)
        timestep = torch.tensor(TIMES.get(name, [0, 250, 999]))
        case = dict(sample=sample, timestep=timestep.float())
        labels = None
        if name == "labels":
            labels = torch.tensor([3, 0, 9])
        if name == "learned":  # a class that the table of times is indexed by
            labels = torch.tensor([3, 0, 19])
        if labels is not None:
            case["labels"] = labels.float()
        output = net(sample, timestep, class_labels=labels).sample
        case["output"] = output.detach()
        case["probe"] = torch.randn_like(output)
        (output * case["probe"]).sum().backward()
        gradients = {key: value.grad for key, value in sorted(net.named_parameters()) if value.requires_grad}
        case["gradient_norms"] = torch.stack([gradient.norm() for gradient in gradients.values()])
        if name == "attention":
            case |= {f"gradient.{key}": gradient for key, gradient in gradients.items()}
        save_file({key: value.contiguous() for key, value in case.items()}, GOLDEN / name / "case.safetensors")
        print(name, sum(p.numel() for p in net.parameters()), "parameters, |output|", output.abs().mean().item())

    for name, config in FULL.items():
        with torch.device("meta"):
            net = UNet2DModel(**config)
        net.save_config(GOLDEN / name)
        shapes = {key: list(value.shape) for key, value in sorted(net.state_dict().items())}
        lines = [f"{json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items()]
        (GOLDEN / name / "shapes.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
        print(name, len(shapes), "weights")


if __name__ == "__main__":
    main()
