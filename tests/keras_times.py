"""How long networks of keras.applications take by aotconv, beside Keras' NumPy backend with JAX.

::

    python tests/keras_times.py [--rounds N] [NETWORK ..]

Each side has a process of its own; they predict one image by turns, with default settings and
default threads.  Needs the extra `keras`, and jax.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

NETWORKS = ("MobileNetV2", "ResNet50", "EfficientNetB0", "DenseNet121", "VGG16")
SIDES = {
    "jax": "",
    "fastest": "import aotconv.keras",
    "auto": "import aotconv.keras; aotconv.keras.set_algorithm('auto')",
}
PREDICT = """
import sys, time
import keras, numpy as np
network = getattr(keras.applications, {network!r})(weights=None)
images = np.random.default_rng(0).random((1, *network.input_shape[1:]), np.float32)
network.predict(images, verbose=0)
for line in sys.stdin:
    start = time.perf_counter()
    network.predict(images, verbose=0)
    print(time.perf_counter() - start, flush=True)
"""


class Side:
    """A process that predicts when it is asked to."""

    def __init__(self, first: str, network: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{first}\n{PREDICT.format(network=network)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "KERAS_BACKEND": "numpy"},
        )

    def time(self) -> float:
        """Milliseconds of one prediction."""
        print(file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline()) * 1e3

    def end(self) -> None:
        self._process.communicate()


def times(network: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each side's predictions, round by round."""
    sides = {name: Side(first, network) for name, first in SIDES.items()}
    found: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for _ in range(rounds):
        names.append(names.pop(0))
        for name in names:
            found[name].append(sides[name].time())
    for side in sides.values():
        side.end()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    print("medians of milliseconds; of ratios of rounds, how many times as fast as JAX; of minima")
    for network in arguments.networks:
        found = times(network, arguments.rounds)
        for name, of in found.items():
            ratio = statistics.median(a / b for a, b in zip(found["jax"], of, strict=True))
            least = min(found["jax"]) / min(of)
            print(f"{network:16}{name:9}{statistics.median(of):7.0f}{ratio:7.2f}{least:7.2f}")


if __name__ == "__main__":
    main()
