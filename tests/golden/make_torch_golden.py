"""Record gradients of filters as PyTorch computes them; run where torch is installed.

    python tests/golden/make_torch_golden.py

Values are small integers, whose sums are exact.
"""

from pathlib import Path

import numpy as np
import torch

# Images, filters (channels first), strides, padding, dilations, groups.
CASES = [
    ((2, 3, 9, 8), (5, 3, 3, 3), 1, 0, 1, 1),
    ((2, 4, 9, 10), (6, 4, 3, 2), 2, 1, 1, 1),
    ((1, 4, 11, 9), (6, 2, 3, 3), 1, 2, 2, 2),
    ((2, 5, 8, 8), (5, 1, 3, 3), 1, 1, 1, 5),
    ((2, 5, 8, 8), (10, 1, 3, 3), 2, 0, 1, 5),
    ((3, 4, 20), (7, 4, 5), 3, 4, 1, 1),
    ((2, 2, 5, 6, 7), (3, 2, 2, 3, 3), 1, 1, 2, 1),
]


def main() -> None:
    rng, arrays = np.random.default_rng(0), {}
    for images, filters, strides, padding, dilations, groups in CASES:
        rank = len(filters) - 2
        convolve = (torch.nn.functional.conv1d, torch.conv2d, torch.conv3d)[rank - 1]
        x = torch.tensor(rng.integers(-3, 4, images), dtype=torch.float32)
        w = torch.tensor(rng.integers(-3, 4, filters), dtype=torch.float32, requires_grad=True)
        y = convolve(x, w, None, strides, padding, dilations, groups)
        g = torch.tensor(rng.integers(-3, 4, tuple(y.shape)), dtype=torch.float32)
        y.backward(g)
        name = f"{strides},{padding},{dilations},{groups}"
        if f"{name}:images" in arrays:
            raise ValueError(f"two cases are named {name}")
        arrays[f"{name}:images"] = x.numpy()
        arrays[f"{name}:output_gradient"] = g.numpy()
        arrays[f"{name}:gradient"] = w.grad.numpy()
    np.savez_compressed(Path(__file__).parent / "torch_filter_gradients.npz", **arrays)


if __name__ == "__main__":
    main()
