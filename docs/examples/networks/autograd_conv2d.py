"""Tell HIPS autograd (pip install autograd) the gradients of `aotconv.conv2d`.

    python docs/examples/networks/autograd_conv2d.py

autograd differentiates Python code over its own NumPy; of a `primitive` it must be told how a
gradient by the result becomes one by each argument (`defvjp`).
"""

import autograd
import autograd.numpy as np
import numpy
from autograd.extend import defvjp, primitive

import aotconv
from aotconv import gradients

SHAPE, STRIDES, PADDING = (2, 9, 9, 3), (2, 1), "same"


@primitive
def conv2d(images, filters):
    return aotconv.conv2d(images, filters, strides=STRIDES, padding=PADDING)


def by_images(result, images, filters):
    return lambda gradient: gradients.conv2d_images(
        gradient, filters, images.shape, STRIDES, PADDING
    )


def by_filters(result, images, filters):
    return lambda gradient: gradients.conv2d_filters(
        images, gradient, filters.shape, STRIDES, PADDING
    )


defvjp(conv2d, by_images, by_filters)


def loss(images, filters):
    return np.sum(np.tanh(conv2d(images, filters)) ** 2)


def main():
    rng = numpy.random.default_rng(0)
    images, filters = rng.standard_normal(SHAPE), 0.3 * rng.standard_normal((3, 3, 3, 4))
    for argument, name in enumerate(("images", "filters")):
        gradient = autograd.grad(loss, argument)(images, filters)
        direction = rng.standard_normal(gradient.shape)
        ends = []
        for step in (1e-5, -1e-5):
            arguments = [images, filters]
            arguments[argument] = arguments[argument] + step * direction
            ends.append(loss(*arguments))
        measured = (ends[0] - ends[1]) / 2e-5
        told = (gradient * direction).sum()
        print(f"{name}: {told:.6f} by autograd, {measured:.6f} by differences")
        if abs(told - measured) > 1e-5 * abs(measured):
            raise SystemExit("they differ")


if __name__ == "__main__":
    main()
