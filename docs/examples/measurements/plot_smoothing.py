"""
Which filter for a noisy signal
===============================

Each way to smooth a signal keeps something and loses something else.  A Gaussian window flattens
peaks; polynomials fitted in windows (Savitzky and Golay) keep more of their height with the same
noise left; the mean of exactly one period takes a hum away and all of its overtones.  And what is
done at the ends is a choice, too.
"""

import matplotlib.pyplot as plt
import numpy as np

from aotconv import ndimage, signal

NOISY, TRUE, FIRST, SECOND = "#b8c4cf", "#222222", "#d9541e", "#1f6fb2"

# %%
# Peaks: Savitzky and Golay
# -------------------------
# Lines of a spectrum, which become narrower to the right, under noise.  Both filters are set to
# leave as much of the noise.  How much that is, the response to a single one says: the root of the
# sum of its squares.

rng = np.random.default_rng(0)
x = np.arange(600.0)
true = sum(
    np.exp(-0.5 * ((x - at) / width) ** 2) for at, width in ((130, 30), (330, 18), (480, 12))
)
noisy = true + 0.1 * rng.standard_normal(len(x))


def fitted(samples, length=51, **options):
    return signal.savgol_filter(samples, length, polyorder=4, **options)


def gaussian(samples, sigma=4.1, **options):
    return ndimage.gaussian_filter1d(samples, sigma, **options)


def judged(smooth, *arguments):
    """The part of noise that is left, and that of the narrowest peak's height."""
    one = smooth((x == 300).astype(float), *arguments)
    return np.sqrt(np.sum(one**2)), smooth(true, *arguments)[480]


for smooth in (gaussian, fitted):
    print("{}: {:.1%} of the noise, {:.1%} of the peak".format(smooth.__name__, *judged(smooth)))

# %%
# On the right is the same for other lengths and sigmas.  A fit is the better choice as long as its
# window is not much wider than the peak.  Behind that both lose its height.

figure, (axes, trade) = plt.subplots(
    1, 2, figsize=(9, 3.8), width_ratios=[2, 1], layout="constrained"
)
axes.plot(x, noisy, ".", color=NOISY, ms=3)
axes.plot(x, true, "--", color=TRUE, lw=1, label="without noise")
axes.plot(x, gaussian(noisy), color=SECOND, lw=2, label="gaussian_filter1d, sigma 4.1")
axes.plot(x, fitted(noisy), color=FIRST, lw=2, label="savgol_filter, 51 samples, order 4")
axes.set(xlim=(0, 600), ylim=(-0.3, 1.7), xlabel="sample")
axes.legend(frameon=False, loc="upper left")

for smooth, widths, colour, mark in (
    (gaussian, np.linspace(2, 8, 7), SECOND, "o-"),
    (fitted, range(31, 102, 10), FIRST, "s-"),
):
    left, kept = np.transpose([judged(smooth, width) for width in widths])
    trade.plot(100 * left, 100 * kept, mark, color=colour, ms=4)
trade.set(xlabel="% of the noise that is left", ylabel="% of the narrowest peak")
trade.annotate("savgol_filter", (27, 98.7), (21.3, 99.4), color=FIRST)
trade.annotate("gaussian_filter1d", (28, 95), (27, 92.5), color=SECOND)
plt.show()

# %%
# Slopes: a derivative of the fit
# -------------------------------
# Differences of neighbours drown in noise.  ``deriv=1`` has the slope of each fitted polynomial,
# ``order=1`` that of what a Gaussian smoothed.

slope = np.gradient(true)
figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
axes.plot(x, np.gradient(noisy), color=NOISY, lw=0.8, label="np.gradient")
axes.plot(x, slope, "--", color=TRUE, lw=1, label="without noise", zorder=3)
axes.plot(x, gaussian(noisy, order=1), color=SECOND, lw=2, label="gaussian_filter1d, order=1")
axes.plot(x, fitted(noisy, deriv=1), color=FIRST, lw=2, label="savgol_filter, deriv=1")
axes.set(xlim=(0, 600), ylim=(-0.13, 0.17), xlabel="sample", ylabel="slope")
axes.legend(ncols=4, loc="upper center", framealpha=1, edgecolor="none")
plt.show()

# %%
# Hum: the mean of one period
# ---------------------------
# A slow measurement, 1,000 samples a second, under mains hum of 50 hertz with overtones.  Twenty
# samples are one period: their mean is free of it.  A Gaussian that leaves less than a hundredth of
# the hum is wider, and rounds the step more.

seconds = np.arange(800) / 1000
wanted = np.where((seconds > 0.25) & (seconds < 0.55), 1.0, 0.0)
hum = 0.5 * np.sin(2 * np.pi * 50 * seconds) + 0.3 * np.sin(2 * np.pi * 150 * seconds + 1)
measured = wanted + hum + 0.05 * rng.standard_normal(len(seconds))

period = np.ones(20) / 20
mean = signal.convolve(measured, period, mode="same")

figure, axes = plt.subplots(figsize=(9, 3.4), layout="constrained")
axes.plot(seconds, measured, color=NOISY, lw=0.8)
axes.plot(seconds, wanted, "--", color=TRUE, lw=1, label="without hum")
axes.plot(seconds, gaussian(measured, 10), color=SECOND, lw=2, label="gaussian_filter1d, sigma 10")
axes.plot(seconds, mean, color=FIRST, lw=2, label="convolve by 20 samples")
axes.set(xlim=(0, 0.8), ylim=(-1, 2.4), xlabel="seconds")
axes.legend(frameon=False, ncols=3, loc="upper center")
plt.show()

# %%
# Ends: zeros or a mirror
# -----------------------
# :func:`aotconv.signal.convolve` sees zeros beyond the ends, as convolution is defined: a signal
# that does not end at zero bends down.  :func:`aotconv.ndimage.convolve1d` continues it as ``mode``
# says, by default mirrored.  The same by hand: pad, then take what needs no zeros.

level = 2 + 0.004 * x[:150] + 0.1 * rng.standard_normal(150)
window = np.hanning(33)[1:-1]
window /= window.sum()
zeros = signal.convolve(level, window, mode="same")
mirrored = ndimage.convolve1d(level, window, mode="reflect")
by_hand = signal.convolve(np.pad(level, len(window) // 2, "symmetric"), window, mode="valid")
print("the same:", np.allclose(mirrored, by_hand, rtol=1e-12))

figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
axes.plot(level, ".", color=NOISY, ms=4)
axes.plot(zeros, color=SECOND, lw=2, label="signal.convolve, zeros beyond")
axes.plot(mirrored, color=FIRST, lw=2, label='ndimage.convolve1d, mode="reflect"')
axes.set(xlim=(0, 149), ylim=(1, 3.2), xlabel="sample")
axes.legend(frameon=False, loc="lower center")
plt.show()

# sphinx_gallery_thumbnail_number = 3

# %%
# In short
# --------
# - Peaks or slopes matter: :func:`~aotconv.signal.savgol_filter`.
# - Noise alone, nothing with edges: :func:`~aotconv.ndimage.gaussian_filter1d`, of many axes
#   :func:`~aotconv.ndimage.gaussian_filter`.
# - A hum of a known period: the mean of one period, by :func:`~aotconv.signal.convolve` or
#   :func:`~aotconv.ndimage.uniform_filter1d`.
# - Samples are missing: ``nan_policy="omit"`` of the filters of :mod:`aotconv.ndimage`.
