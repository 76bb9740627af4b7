"""One case on PyTorch's side: a process that is asked for checks and times over its standard input.

    peer.py prepare FOLDER        writes weights, inputs and the number of operations of the case in FOLDER/case.json
    peer.py VARIANT FOLDER        answers each line of input with one line of JSON; VARIANT: eager, channels-last, compile
        check N     N steps from the beginning: losses and, in training, norms of the gradient
        time N      N further steps: seconds of each
        memory      peak of the process since the weights were loaded, and what it held before, in bytes
"""

import json
import os
import pathlib
import sys
import time

import torch
from safetensors.torch import load_file, save_file

import networks

OPTIMIZER = dict(lr=1e-3, weight_decay=0.01)
CLIP_NORM = 1.0
DECAY = 0.999


class Training:
    """Loss, gradient, clipping, AdamW and the moving average of the weights: the step that diffusion models take."""

    def __init__(self, net, inputs, loss):
        self.net, self.inputs, self.loss = net, inputs, loss
        self.parameters = list(net.parameters())
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer = torch.optim.AdamW(self.parameters, fused=True, **OPTIMIZER)

    def step(self):
        self.optimizer.zero_grad()
        loss = self.loss(**self.inputs)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1 - DECAY)
        return loss.item(), norm.item()


class Inference:
    def __init__(self, net, inputs, sample):
        self.sample, self.inputs = sample, inputs

    @torch.no_grad()
    def step(self):
        return self.sample(**self.inputs)

    def value(self, result):
        return result.double().square().mean().sqrt().item() if result.ndim else result.item(), 0.0


class Step:
    """The optimiser alone."""

    def __init__(self, net, inputs, kind):
        self.parameters = list(net.parameters())
        for parameter in self.parameters:
            parameter.grad = inputs["gradient"].clone()
        self.optimizer = torch.optim.AdamW(self.parameters, **OPTIMIZER, **{kind: True})

    def step(self):
        self.optimizer.step()

    def value(self, _):
        return sum(p.detach().double().square().sum().item() for p in self.parameters) ** 0.5, 0.0


def work(variant, folder):
    case = json.loads((folder / "case.json").read_text())
    net, _ = networks.make(case)
    networks.load(net, load_file(folder / "weights.safetensors"))
    inputs = load_file(folder / "inputs.safetensors")
    if case["mode"] == "step":
        # Its variants are those of the optimiser.
        return Step(net, inputs, {"eager": "fused", "channels-last": "foreach"}[variant])
    if variant == "channels-last":
        net = net.to(memory_format=torch.channels_last)
        inputs = {k: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v for k, v in inputs.items()}
    function = net.loss if case["mode"] == "train" else net.sample
    if variant == "compile":
        function = torch.compile(function, dynamic=False)
    return (Training if case["mode"] == "train" else Inference)(net, inputs, function)


def prepare(folder):
    from torch.utils.flop_counter import FlopCounterMode

    case = json.loads((folder / "case.json").read_text())
    net, inputs = networks.make(case)
    save_file(networks.state(net), folder / "weights.safetensors")
    save_file({name: value.contiguous() for name, value in inputs.items()}, folder / "inputs.safetensors")
    counter = FlopCounterMode(display=False)
    try:
        with counter:
            work("eager", folder).step()
        flops = counter.get_total_flops()
    except RuntimeError:  # it cannot count through a gradient of a gradient
        flops = 0
    return {"flops": flops, "parameters": sum(p.numel() for p in net.parameters())}


def load_libraries():
    """Everything that is imported at the first step, so that memory counts arrays and not libraries."""
    import diffusers  # noqa: F401

    net = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 1))
    Training(net, {"x": torch.randn(1, 8, 3, 3)}, lambda x: net(x).sum()).step()


def memory(kind):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def main():
    variant, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    torch.set_num_threads(int(os.environ["GENERA_BENCH_THREADS"]))
    if variant == "prepare":
        return print(json.dumps(prepare(folder)), flush=True)
    load_libraries()
    before = memory("VmRSS")
    job = work(variant, folder)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here, without that of loading
    for line in sys.stdin:
        command, *count = line.split()
        if command == "memory":
            answer = {"peak": memory("VmHWM"), "before": before}
        elif command == "check":
            results = [job.step() for _ in range(int(count[0]))]
            results = results if isinstance(job, Training) else [job.value(result) for result in results[-1:]]
            answer = {"losses": [loss for loss, _ in results], "norms": [norm for _, norm in results]}
        else:
            answer = {"seconds": []}
            for _ in range(int(count[0])):
                start = time.perf_counter()
                job.step()
                answer["seconds"].append(time.perf_counter() - start)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
