"""Genera and PyTorch drawing 64 MNIST-sized pictures, side by side on the same weights.

    python bench/autoregressive_speed.py FOLDER          writes the weights, and times PyTorch
    cargo run --release --example autoregressive-speed -- FOLDER

PyTorch draws by a whole pass for each pixel; a few passes are timed and multiplied by the number of pixels.
"""

import pathlib
import sys
import time

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "parity"))
from autoregressive import GatedPixelCNN, ImageGPT, PixelCNN  # noqa: E402

ROWS, PASSES, PIXELS = 64, 4, 784

# One logit for each pixel: the sizes are the defaults of Genera.
NETS = {
    "pixelcnn": lambda: PixelCNN(1, 2, filters=32, layers=5, kernel=5, outputs=1),
    "gated-pixelcnn": lambda: GatedPixelCNN(1, 2, filters=32, layers=7, kernel=3, outputs=1),
    "imagegpt": lambda: ImageGPT(PIXELS, 2, width=64, layers=4, heads=4, expansion=4, outputs=1),
}


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in NETS.items():
        torch.manual_seed(0)
        net = make()
        arrays = {k: v.contiguous() for k, v in net.state_dict().items()}
        save_file(arrays, folder / f"{name}.safetensors")
        x = (torch.rand(ROWS, 1, 28, 28) < 0.125).float()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

        def step():
            optimizer.zero_grad()
            logits = net(x).squeeze(-1)
            torch.nn.functional.binary_cross_entropy_with_logits(logits, x.flatten(1)).backward()
            optimizer.step()

        step()
        start = time.perf_counter()
        for _ in range(PASSES):
            step()
        training = (time.perf_counter() - start) / PASSES
        with torch.no_grad():
            net(x)
            start = time.perf_counter()
            for _ in range(PASSES):
                torch.bernoulli(torch.sigmoid(net(x)[:, 0]))
            whole = (time.perf_counter() - start) / PASSES
        print(f"{name:16} {ROWS} rows: step {training:6.3f} s, pass {whole:6.3f} s, sample {whole * PIXELS:8.1f} s")


if __name__ == "__main__":
    main(sys.argv[1])
