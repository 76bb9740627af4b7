"""Inception-v3 of the Fréchet inception distance: torch-fidelity's network and clean-fid's ways of resizing.

inception.py                          writes golden/inception.safetensors: weights and pictures follow from a formula
                                      that both sides compute, so that no weights have to be stored
inception.py full WORK --genera BIN   2000 pictures, 200 of them of mixed sizes, and a randomly initialised state in the
                                      folder WORK; prints how far `BIN metrics` is from torch-fidelity, and fails if
                                      that is too far. Takes half an hour on two cores.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import torch
import torch_fidelity
from cleanfid.resize import make_resizer
from PIL import Image
from safetensors.torch import save_file
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

GOLDEN = pathlib.Path(__file__).parent / "golden" / "inception.safetensors"
LAYERS = ["2048", "logits_unbiased"]


def mixed(count, seed):
    """Hashes of 0 .. count, uniform 32-bit integers (the last steps of MurmurHash 3)."""
    h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def fnv(name):
    h = 2166136261
    for byte in name.encode():
        h = (h ^ byte) * 16777619 % 2**32
    return h


def formula_array(name, shape):
    count = int(np.prod(shape))
    u = 2.0 * (mixed(count, fnv(name)).astype(np.float64) / 2**32 - 0.5)
    if len(shape) > 1:
        values = u * np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith(("bn.weight", "running_var")):
        values = 1 + 0.1 * u
    else:
        values = 0.05 * u
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def formula_picture(shape, seed):
    """[C, H, W]: ramps with some noise."""
    c, y, x = np.indices(shape)
    noise = mixed(int(np.prod(shape)), seed).reshape(shape) >> np.uint32(26)
    return torch.from_numpy(((3 * x + 5 * y + 40 * c + noise) % 256).astype(np.uint8))


def network(path):
    return FeatureExtractorInceptionV3("inception", LAYERS, feature_extractor_weights_path=str(path))


def blank_state():
    """Names and shapes of the state, without downloading one."""
    FeatureExtractorInceptionV3.load_state_dict, kept = lambda self, state: None, FeatureExtractorInceptionV3.load_state_dict
    load, torch.load = torch.load, lambda *_, **__: None
    try:
        return network("none")
    finally:
        FeatureExtractorInceptionV3.load_state_dict, torch.load = kept, load


RESIZES = {
    "legacy-tensorflow": lambda x, h, w: interpolate_bilinear_2d_like_tensorflow1x(
        x[None].float(), size=(h, w), align_corners=False
    )[0]
    .permute(1, 2, 0)
    .numpy(),
    "legacy-pytorch": lambda x, h, w: torch.nn.functional.interpolate(
        x[None].float(), size=(h, w), mode="bilinear", align_corners=False
    )[0]
    .permute(1, 2, 0)
    .numpy(),
    "clean": lambda x, h, w: make_resizer("PIL", False, "bicubic", (w, h))(x.permute(1, 2, 0).numpy()),
}


def golden():
    model, out = blank_state(), {}
    state = {k: formula_array(k, v.shape) for k, v in model.state_dict().items() if v.is_floating_point()}
    model.load_state_dict(state, strict=False)
    for index, shape in enumerate([(3, 32, 32), (3, 211, 340), (1, 9, 5)]):
        picture = formula_picture(shape, index)
        with torch.no_grad():
            features, logits = model(picture.expand(3, -1, -1)[None])
        out[f"features.{index}"], out[f"logits.{index}"] = features[0], logits[0]
    sizes = [(1, 1, 6, 4), (23, 17, 31, 40), (61, 90, 13, 22), (10, 64, 10, 7), (19, 19, 19, 19)]
    for name, resize in RESIZES.items():
        for index, (h, w, to_h, to_w) in enumerate(sizes):
            y = resize(formula_picture((3, h, w), 100 + index), to_h, to_w)
            out[f"resize.{name}.{h}x{w}.{to_h}x{to_w}"] = torch.from_numpy(np.ascontiguousarray(y, np.float32))
        # Of the network's own size every 61st number is enough.
        for index, (h, w) in enumerate([(32, 32), (480, 333)]):
            y = resize(formula_picture((3, h, w), 200 + index), 299, 299)
            out[f"resize.{name}.{h}x{w}.299x299"] = torch.from_numpy(y.ravel()[::61].copy())
    shapes = {name: list(array.shape) for name, array in state.items()}
    save_file(out, GOLDEN, metadata={"shapes": json.dumps(shapes)})
    print(GOLDEN.stat().st_size)


def draw(rng, height, width, noise):
    y, x = np.mgrid[0:1:height * 1j, 0:1:width * 1j]
    picture = np.zeros((height, width, 3))
    for _ in range(6):
        fy, fx = rng.normal(0, 4, 2)
        picture += np.cos(2 * np.pi * (fy * y + fx * x) + rng.uniform(0, 7))[..., None] * rng.normal(0, 1, 3)
    picture = 128 + 40 * picture + noise * rng.normal(0, 1, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def pictures(folder, count, noise, seed):
    """Of 48x48 pixels; every tenth of another size, of which one in four is grey."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    odd = [(1, 1), (299, 299), (3, 500), (640, 480)]
    for index in range(count):
        size = (48, 48)
        if index % 10 == 9:
            size = odd[index // 10] if index // 10 < len(odd) else tuple(rng.integers(2, 350, 2))
        image = Image.fromarray(draw(rng, *size, noise))
        image = image.convert("L") if index % 40 == 39 else image
        image.save(folder / f"{index:05}.png")


def random_state(path, folder):
    """PyTorch's initialisation, with the statistics of the normalisation taken from some pictures."""
    torch.manual_seed(0)
    model = blank_state()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0.0, 0.3)
            module.momentum = None
            module.train()
    some = [file for file in sorted(folder.iterdir()) if Image.open(file).size == (48, 48)][:32]
    batch = torch.stack([torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1) for file in some])
    with torch.no_grad():
        model(batch)
    torch.save(model.state_dict(), path)


def features_of(model, folder):
    rows = [[], []]
    with torch.no_grad():
        for file in sorted(folder.iterdir()):
            picture = torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)[None]
            for row, found in zip(rows, model(picture)):
                row.append(found)
    return [torch.cat(row) for row in rows]


def reference(work, names):
    """Features and metrics of torch-fidelity, kept in WORK."""
    path = work / "reference.npz"
    if not path.exists():
        model, out = network(work / "state.pth"), {}
        for name in names:
            start = time.time()
            out[name], out[f"{name}.logits"] = (x.numpy() for x in features_of(model, work / name))
            print(f"torch-fidelity: {name} in {time.time() - start:.0f} s", flush=True)
        np.savez(path, **out)
    return {key: torch.from_numpy(value) for key, value in np.load(path).items()}


def metrics_of(real, fake, logits):
    """torch-fidelity's own functions on features in double precision; the generated set is its first input."""
    real, fake, subset = real.double(), fake.double(), min(len(real), len(fake))
    fid = metric_fid.fid_statistics_to_metric(
        metric_fid.fid_features_to_statistics(fake), metric_fid.fid_features_to_statistics(real), False
    )
    kid = metric_kid.kid_features_to_metric(fake, real, kid_subsets=1, kid_subset_size=subset, verbose=False)
    prc = metric_prc.prc_features_to_metric(fake, real, verbose=False)
    isc = metric_isc.isc_features_to_metric(logits, shuffle=False)
    return fid | kid | prc | isc


def full(work, genera):
    work.mkdir(parents=True, exist_ok=True)
    names = {"real": 10.0, "fake": 30.0}
    for seed, (name, noise) in enumerate(names.items()):
        if not (work / name).exists():
            pictures(work / name, 1000, noise, seed)
    if not (work / "state.pth").exists():
        random_state(work / "state.pth", work / "real")
    theirs = reference(work, names)
    expected = metrics_of(theirs["real"], theirs["fake"], theirs["fake.logits"])
    command = [genera, "metrics", work / "real", work / "fake", "--features", "inception", "--weights", work / "state.pth"]
    command += ["--kid-subsets", "1", "--kid-subset-size", "1000"]
    start = time.time()
    ran = subprocess.run([*map(str, command), "--json", "--save-features", str(work / "ours")], stdout=subprocess.PIPE, check=True)
    print(f"genera: {time.time() - start:.0f} s")
    ours = {m["measure"]: m["value"] for m in json.loads(ran.stdout)["measures"]}
    worst = 0.0
    for name in names:
        mine = torch.from_numpy(np.load(work / "ours" / f"{name}.npy"))
        error = ((mine - theirs[name]).norm(dim=1) / theirs[name].norm(dim=1)).max().item()
        print(f"features of {name}: {error:.2e} relative, the worst row")
        worst = max(worst, error / 1e-3)
    pairs = {
        "frechet": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "precision": "precision",
        "recall": "recall",
        "f-score": "f_score",
        "inception-score": "inception_score_mean",
    }
    for mine, key in pairs.items():
        error = abs(ours[mine] - expected[key]) / abs(expected[key])
        print(f"{mine:16} {ours[mine]:.8g} against {expected[key]:.8g}: {error:.1e} relative")
        worst = max(worst, error / 1e-4)
    same = metrics_of(*(torch.from_numpy(np.load(work / "ours" / f"{name}.npy")) for name in ["real", "fake", "fake.logits"]))
    for mine, key in pairs.items():
        error = abs(ours[mine] - same[key]) / abs(same[key])
        print(f"{mine:16} of equal features: {error:.1e} relative")
        worst = max(worst, error / 1e-6)
    sys.exit(worst > 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["golden", "full"], nargs="?", default="golden")
    parser.add_argument("work", type=pathlib.Path, nargs="?")
    parser.add_argument("--genera", default="target/release/genera")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, torch-fidelity {torch_fidelity.__version__}", flush=True)
    golden() if args.what == "golden" else full(args.work, args.genera)
