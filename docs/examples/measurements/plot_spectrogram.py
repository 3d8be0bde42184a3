"""
A spectrogram by conv1d
=======================

A spectrogram says which frequencies a sound has at which time.  It is a convolution: the filters
are short pieces of a cosine and of a sine for each frequency, and the stride is the hop from one
moment to the next.  Filters may be any waves, so one line more gives a spectrogram whose rows are
the notes of a piano.
"""

import matplotlib.pyplot as plt
import numpy as np

import aotconv

RATE, HOP = 16_000, 256  # samples a second, and from one moment to the next

# %%
# The sound
# ---------
# Three seconds: a faint sweep from 200 to 7,000 hertz, eight notes with their
# overtones, and a little noise.

rng = np.random.default_rng(0)
seconds = np.arange(3 * RATE) / RATE
sweep = 0.1 * np.sin(2 * np.pi * 200 * 3 / np.log(35) * 35 ** (seconds / 3))
sound = sweep + 0.003 * rng.standard_normal(len(seconds))

MELODY = [0, 4, 7, 12, 16, 12, 7, 4]  # half tones above the first note, 220 hertz
for place, half_tones in enumerate(MELODY):
    since = seconds - 0.1 - 0.34 * place
    loudness = np.where(since > 0, np.exp(-6 * since), 0) * np.minimum(1, 200 * abs(since))
    for overtone in range(1, 6):
        frequency = 220 * 2 ** (half_tones / 12) * overtone
        sound += 0.4 / overtone**1.5 * loudness * np.sin(2 * np.pi * frequency * since)

# %%
# Waves as filters
# ----------------
# :func:`aotconv.conv1d` takes signals (W, C) and filters (K, C, O): here one channel in, and out a
# cosine and a sine for each frequency.  A window lets each wave begin and end softly.


def waves(frequencies, lengths):
    """Filters (K, 1, 2 F): windowed cosines and then sines, each as long as it is told."""
    longest = int(max(lengths))
    samples = np.arange(longest)[:, np.newaxis] - longest // 2
    window = np.where(2 * abs(samples) < lengths, 1 + np.cos(2 * np.pi * samples / lengths), 0)
    angles = 2 * np.pi * frequencies / RATE * samples
    both = np.hstack([window * np.cos(angles), window * np.sin(angles)])
    return (both / np.tile(lengths, 2))[:, np.newaxis].astype(np.float32)


def spectrogram(sound, filters):
    """The strength (T, F) of each frequency, in windows whose middles are a hop apart."""
    signal = sound[:, np.newaxis].astype(np.float32)
    parts = aotconv.conv1d(signal, filters, strides=HOP, padding=len(filters) // 2)
    cosines, sines = np.split(parts, 2, axis=-1)
    return np.hypot(cosines, sines)


even = np.arange(1, 512) * RATE / 1024
linear = spectrogram(sound, waves(even, np.full(len(even), 1024)))
print("seconds of sound, moments, frequencies:", len(sound) / RATE, *linear.shape)

# %%
# With frequencies that lie evenly these are Fourier transforms of windows.

window = 1 - np.cos(2 * np.pi * np.arange(1024) / 1024)
middle = 40 * HOP
transform = np.fft.rfft(window * sound[middle - 512 : middle + 512]) / 1024
difference = abs(linear[40] - abs(transform[1:512])).max()
print(f"largest difference from np.fft: {difference:.1e} of {linear[40].max():.3f}")

# %%
# Rows that are notes
# -------------------
# A transform's frequencies lie evenly, notes do not: an octave doubles them.  Filters may have any
# frequencies, and any lengths: here 36 to an octave, each of 50 periods, so that low ones are long
# and tell neighbours apart, and high ones are short and tell moments apart (a constant-Q
# transform: J. C. Brown, "Calculation of a constant Q spectral transform", Journal of the
# Acoustical Society of America 89, 1991).

notes = 110 * 2 ** (np.arange(6 * 36) / 36)
constant_q = spectrogram(sound, waves(notes, 50 * RATE / notes))

# %%
# What they show
# --------------
# In the upper picture the sweep bends upwards and the melody is crowded at the bottom.  In the
# lower one the sweep is a straight line, and the notes are steps that one can read.


def decibels(strength):
    return 20 * np.log10(np.maximum(strength / strength.max(), 1e-4))


figure, (top, upper, lower) = plt.subplots(
    3, 1, figsize=(9, 8.5), height_ratios=[1, 3, 3], sharex=True, layout="constrained"
)
top.plot(seconds, sound, color="#4f6d8a", lw=0.4)
top.set(ylabel="sound", yticks=[0], xlim=(0, 3))

moments = np.arange(len(linear)) * HOP / RATE
style = {"cmap": "magma", "vmin": -60, "vmax": 0, "shading": "nearest"}
upper.pcolormesh(moments, even / 1000, decibels(linear).T, **style)
upper.set(ylabel="kilohertz")
upper.set_title("Frequencies that lie evenly", loc="left", size=11)

mesh = lower.pcolormesh(moments, notes, decibels(constant_q).T, **style)
lower.set_yscale("log", base=2)
shown = [(12 * octave + tone, name) for octave in range(6) for tone, name in ((0, "A"), (7, "E"))]
lower.set_yticks(
    [110 * 2 ** (tone / 12) for tone, _ in shown],
    [f"{name}{2 + (tone + 9) // 12}" for tone, name in shown],
)
lower.set(ylabel="note", xlabel="seconds")
lower.set_title("36 frequencies to an octave", loc="left", size=11)
figure.colorbar(mesh, ax=[upper, lower], label="decibels, the loudest at 0", pad=0.01)
plt.show()

# %%
# Beside this
# -----------
# Longer sounds come in blocks: :func:`aotconv.conv1d` takes a batch (N, W, C), too, and
# :class:`aotconv.Conv1D` packs the filters once.  With ``algorithm="fft"`` it computes long filters
# by Fourier transforms.
