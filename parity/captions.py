"""What reads captions: PyTorch's TransformerEncoder, diffusers' UNet2DConditionModel, and the loss of CLIP.

Writes golden/captions.safetensors: `text.NAME`, `unet.NAME` (weights), `tokens` [B, L] (0 is padding), `states` (what the
encoder makes of them), `sample`, `timestep`, `output` (of the U-Net told those states), `probe`, `gradient.text.NAME` and
`gradient.unet.NAME` of sum(output * probe) through both, and `pictures`, `captions`, `logit_scale`, `loss`, and the
gradients of the loss by these three.
"""

import pathlib

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn

WIDTH, LENGTH, SYMBOLS = 12, 9, 7


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(SYMBOLS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 3, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.layers, self.norm = encoder.layers, encoder.norm

    def forward(self, tokens):
        h, padding = self.token_embedding(tokens) + self.position_embedding.weight[: tokens.shape[1]], tokens == 0
        for layer in self.layers:
            h = layer(h, src_key_padding_mask=padding)
        return self.norm(h)


def main():
    torch.manual_seed(0)
    text = Text()
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        norm_num_groups=4,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,  # which is the number of heads here, and their width too
    )
    for parameter in [*text.parameters(), *unet.parameters()]:  # so that scales and shifts are seen
        if parameter.ndim == 1:
            parameter.data.add_(0.2 * torch.randn_like(parameter))

    tokens = torch.tensor([[3, 5, 2, 6, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0], [2, 2, 4, 3, 6, 5, 4, 3, 1]])
    sample, timestep = torch.randn(3, 1, 8, 8), torch.tensor([0, 250, 999])
    states = text(tokens)
    output = unet(sample, timestep, states, encoder_attention_mask=tokens != 0).sample
    probe = torch.randn_like(output)
    (output * probe).sum().backward()
    case = dict(tokens=tokens, states=states, sample=sample, timestep=timestep, output=output, probe=probe)
    for name, net in [("text", text), ("unet", unet)]:
        case |= {f"{name}.{key}": value for key, value in net.state_dict().items()}
        case |= {f"gradient.{name}.{key}": value.grad for key, value in net.named_parameters()}

    pictures, captions = (nn.functional.normalize(torch.randn(5, 6), dim=1).requires_grad_() for _ in range(2))
    scale = torch.tensor([1.7], requires_grad=True)
    logits, own = scale.exp() * pictures @ captions.T, torch.arange(5)
    loss = (nn.functional.cross_entropy(logits, own) + nn.functional.cross_entropy(logits.T, own)) / 2
    loss.backward()
    case |= dict(pictures=pictures, captions=captions, logit_scale=scale, loss=loss[None])
    case |= {"gradient.pictures": pictures.grad, "gradient.captions": captions.grad, "gradient.logit_scale": scale.grad}
    case = {key: value.detach().float().contiguous() for key, value in case.items()}
    save_file(case, pathlib.Path(__file__).parent / "golden" / "captions.safetensors")
    print(len(case), "arrays, |output|", output.abs().mean().item(), "loss", loss.item())


if __name__ == "__main__":
    main()
