"""Two networks that Genera follows by a description: a LeNet written in PyTorch and torchvision's ResNet-18.

Writes golden/networks.safetensors: the shapes of the state dicts, and features and class probabilities of two pictures,
with weights and pictures by the formula of inception.py; and docs/networks/resnet18.json.
"""

import json
import pathlib

import torch
from inception import formula_array, formula_picture
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18

ROOT = pathlib.Path(__file__).parent.parent


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def features(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return torch.relu(self.fc2(torch.relu(self.fc1(x.flatten(1)))))

    def forward(self, x):
        return self.fc3(self.features(x))


def resnet_features(model):
    def features(x):
        x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
        x = model.layer4(model.layer3(model.layer2(model.layer1(x))))
        return model.avgpool(x).flatten(1)

    return features


def block(prefix, stride, widens):
    conv = lambda i, s, **rest: {"kind": "conv", "name": f"{prefix}.conv{i}", "stride": s, "padding": 1, "norm": f"{prefix}.bn{i}"} | rest
    shortcut = [{"kind": "conv", "name": f"{prefix}.downsample.0", "stride": stride, "norm": f"{prefix}.downsample.1"}]
    return {
        "kind": "residual",
        "layers": [conv(1, stride, activation="relu"), conv(2, 1)],
        "shortcut": shortcut if widens else [],
        "activation": "relu",
    }


def resnet_description():
    first = {"kind": "conv", "name": "conv1", "stride": 2, "padding": 3, "norm": "bn1", "activation": "relu"}
    layers = [first, {"kind": "max-pool", "size": 3, "stride": 2, "padding": 1}]
    for stage in range(4):
        stride = 1 if stage == 0 else 2
        layers += [block(f"layer{stage + 1}.0", stride, stride == 2), block(f"layer{stage + 1}.1", 1, False)]
    layers += [{"kind": "global-mean"}, {"kind": "features"}, {"kind": "linear", "name": "fc"}]
    lines = ",\n    ".join(json.dumps(layer) for layer in layers)
    return f"""{{
  "name": "resnet18",
  "shape": [3, 96, 96],
  "mean": [0.485, 0.456, 0.406],
  "std": [0.229, 0.224, 0.225],
  "layers": [
    {lines}
  ]
}}
"""


(ROOT / "docs/networks/resnet18.json").write_text(resnet_description())
resnet, lenet, out = resnet18(weights=None).eval(), LeNet(), {}
for model, features in [(lenet, lenet.features), (resnet, resnet_features(resnet))]:
    name = "lenet" if model is lenet else "resnet18"
    description = json.loads((ROOT / f"docs/networks/{name}.json").read_text())
    state = {k: formula_array(k, v.shape) for k, v in model.state_dict().items() if v.is_floating_point()}
    model.load_state_dict(state, strict=False)
    out |= {f"shape.{name}.{k}": torch.tensor(v.shape, dtype=torch.float32) for k, v in state.items()}
    x = torch.stack([formula_picture(tuple(description["shape"]), seed) for seed in range(2)]).float() / 255
    mean, std = (torch.tensor(description[key])[:, None, None] for key in ["mean", "std"])
    with torch.no_grad():
        h = features((x - mean) / std)
        out |= {f"features.{name}": h, f"probabilities.{name}": model((x - mean) / std).softmax(1)}
save_file(out, ROOT / "parity/golden/networks.safetensors")
