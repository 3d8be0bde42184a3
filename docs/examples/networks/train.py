"""Train a small network by hand, with NumPy and aotconv alone.

    python docs/examples/networks/train.py

The network is a convolution (4 filters of 4 x 4 x 3 on images of 28 x 28 x 3), ReLU, a max pool of
5 x 5 and a dense layer.  The images are noise in which one of four kinds of stripes is hidden, at a
random place.  Some seconds later it tells the stripes of images that it has not seen apart, at
least nine times in ten.
"""

import numpy as np

import aotconv
from aotconv import gradients

KINDS, SIDE, POOL = 4, 28, 5
WANTED_ACCURACY = 0.9


def make_images(rng, count):
    """Images (N, 28, 28, 3) of noise, each with a patch of stripes, and the kinds of these."""
    images = rng.normal(0, 0.5, (count, SIDE, SIDE, 3)).astype(np.float32)
    kinds = rng.integers(0, KINDS, count)
    y, x = np.mgrid[:12, :12]
    stripes = [y % 4 < 2, x % 4 < 2, (x + y) % 4 < 2, (x - y) % 4 < 2]
    for image, kind in zip(images, kinds, strict=True):
        top, left = rng.integers(0, SIDE - 12, 2)
        image[top : top + 12, left : left + 12] += 2.0 * stripes[kind][..., np.newaxis] - 1
    return images, kinds


def forward(weights, images):
    """The scores of all kinds, and what the way back needs."""
    filters, bias, matrix, offset = weights
    convolved = aotconv.conv2d(images, filters, bias, activation="relu")
    pooled, place = aotconv.max_pool2d(convolved, POOL, return_indices=True)
    flat = pooled.reshape(len(images), -1)
    return flat @ matrix + offset, (convolved, place, pooled.shape, flat)


def backward(weights, images, kept, by_scores):
    """The gradients by all weights, of the loss's gradient by the scores."""
    _, _, matrix, _ = weights
    convolved, place, pooled_shape, flat = kept
    by_pooled = (by_scores @ matrix.T).reshape(pooled_shape)
    by_relu = gradients.max_pool2d_images(by_pooled, place, convolved.shape)
    by_convolved = by_relu * (convolved > 0)
    by_filters = gradients.conv2d_filters(images, by_convolved, weights[0].shape)
    return by_filters, by_convolved.sum((0, 1, 2)), flat.T @ by_scores, by_scores.sum(0)


def loss_of(scores, kinds):
    """The mean cross entropy, and its gradient by the scores."""
    likely = np.exp(scores - scores.max(1, keepdims=True))
    likely /= likely.sum(1, keepdims=True)
    rows = np.arange(len(kinds))
    loss = -np.log(likely[rows, kinds]).mean()
    likely[rows, kinds] -= 1
    return loss, likely / np.float32(len(kinds))


def train(rng, images, kinds, steps=300, batch=64, rate=0.05, momentum=0.9):
    """Weights after some steps of stochastic gradient descent with momentum; each step's loss."""
    pooled = ((SIDE - 3) // POOL) ** 2 * 4
    weights = [
        rng.normal(0, 0.2, (4, 4, 3, 4)).astype(np.float32),
        np.zeros(4, np.float32),
        rng.normal(0, 0.1, (pooled, KINDS)).astype(np.float32),
        np.zeros(KINDS, np.float32),
    ]
    speeds, losses = [np.zeros_like(each) for each in weights], []
    for _ in range(steps):
        some = rng.integers(0, len(images), batch)
        scores, kept = forward(weights, images[some])
        loss, by_scores = loss_of(scores, kinds[some])
        losses.append(loss)
        steepest = backward(weights, images[some], kept, by_scores)
        for weight, speed, gradient in zip(weights, speeds, steepest, strict=True):
            speed *= momentum
            speed -= rate * gradient
            weight += speed
    return weights, losses


def main():
    rng = np.random.default_rng(0)
    weights, _ = train(rng, *make_images(rng, 4000))
    images, kinds = make_images(rng, 1000)
    scores, _ = forward(weights, images)
    accuracy = (scores.argmax(1) == kinds).mean()
    print(f"{accuracy:.1%} of {len(images)} images that it has not seen")
    if accuracy < WANTED_ACCURACY:
        raise SystemExit(f"that is less than {WANTED_ACCURACY:.0%}")


if __name__ == "__main__":
    main()
