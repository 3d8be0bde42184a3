"""Record gradients of pools as PyTorch computes them; run where torch is installed.

    python tests/golden/make_pool_gradient_golden.py

Images and output gradients are small integers, channels first; those of averages are multiples of
what windows count, so that all is exact.  The archive holds for each case its images' shape, output
gradient and gradient, of maxima the indices, and ``cases``, a JSON object of the arguments.
"""

import json
from pathlib import Path

import numpy as np
import torch

ARCHIVE = Path(__file__).with_name("torch_pool_gradients.npz")
SIZES = {1: (17,), 2: (9, 12), 3: (5, 6, 7)}
COUNTED = 2160  # which all numbers of pixels that windows of these count divide
# Window, strides, padding, dilations, ceil_mode, of each axis alike; averages have no dilations.
CASES = [
    (2, 2, 0, 1, False),
    (3, 2, 1, 1, False),
    (3, 1, 1, 1, False),
    (2, 3, 0, 1, False),
    (3, 2, 1, 1, True),
    (2, 3, 1, 1, True),
    (2, 2, 1, 2, False),
    (2, 3, 1, 3, True),
]


def gradient_of(rank, average, images, arguments, count, rng):
    """The output gradient, the gradient, and of maxima the indices."""
    window, strides, padding, dilations, ceil = arguments
    images = torch.tensor(images, requires_grad=True)
    if average:
        pool = getattr(torch.nn.functional, f"avg_pool{rank}d")
        result, indices = pool(images, window, strides, padding, ceil, count), None
    else:
        pool = getattr(torch.nn.functional, f"max_pool{rank}d")
        result, indices = pool(images, window, strides, padding, dilations, ceil, True)
    given = rng.integers(-3, 4, tuple(result.shape)).astype(np.float64)
    given *= COUNTED if average else 1
    result.backward(torch.from_numpy(given))
    return given, images.grad.numpy(), None if indices is None else indices.numpy()


def main() -> None:
    rng, arrays, told = np.random.default_rng(0), {}, {}
    for rank, sizes in SIZES.items():
        images = rng.integers(-9, 10, (2, 3, *sizes)).astype(np.float64)
        for number, arguments in enumerate(CASES):
            for kind, average, count in (
                ("max", False, False),
                ("average", True, False),
                ("counted", True, True),
            ):
                if average and arguments[3] > 1:
                    continue
                name = f"{rank}/{kind}/{number}"
                given, gradient, indices = gradient_of(rank, average, images, arguments, count, rng)
                arrays[f"{name}/output_gradient"], arrays[f"{name}/gradient"] = given, gradient
                if indices is not None:
                    arrays[f"{name}/indices"] = indices
                told[name] = [rank, kind, [2, 3, *sizes], *arguments]
    arrays["cases"], arrays["torch"] = np.array(json.dumps(told)), np.array(torch.__version__)
    np.savez_compressed(ARCHIVE, **arrays)


if __name__ == "__main__":
    main()
