"""Files of the reference libraries: the four float types that Genera reads, and whole numbers, which are no weights:
safetensors refuses a file of them, and a PyTorch checkpoint of either format may hold some beside the weights."""

from pathlib import Path

import torch
from safetensors.torch import save_file

golden = Path(__file__).parent / "golden"
golden.mkdir(exist_ok=True)
values = torch.tensor([[1.5, -2.0], [0.25, 1024.0]])
dtypes = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64}
save_file({name: values.to(dtype) for name, dtype in dtypes.items()}, golden / "weights.safetensors")
save_file({"count": torch.tensor(3)}, golden / "integers.safetensors")
state = {name: values.to(dtype) for name, dtype in dtypes.items()} | {"turned": values.T, "count": torch.tensor(3)}
torch.save(state, golden / "weights.pth")
torch.save(state, golden / "weights-legacy.pth", _use_new_zipfile_serialization=False)
