"""
A blur that NaN does not eat
============================

Clouds leave holes in a satellite's map of the sea, and land is no sea at all.  A plain blur makes
NaN of everything that is near a hole.  With ``nan_policy="omit"`` and ``mask`` the filters of
:mod:`aotconv.ndimage` give missing elements no weight, and the others more.
"""

import matplotlib.pyplot as plt
import numpy as np

from aotconv import ndimage

# %%
# A map with holes
# ----------------
#
# The temperature of a sea, noisy, in degrees: NaN below clouds and along some lines of the scan.
# Land is known from a chart, and was measured, too: it is hot.

rng = np.random.default_rng(5)
SHAPE = (180, 270)


def landscape(sigma):
    """Smooth noise between -1 and 1."""
    noise = rng.normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return smooth / np.abs(smooth).max()


south = np.linspace(-3, 3, SHAPE[0])[:, np.newaxis]
sea = 14 + south + 3 * landscape(16)
land = landscape(14) + np.linspace(0.9, -0.9, SHAPE[1]) > 0.35
clouds = landscape(7) > 0.5
measured = np.where(land, 34, sea) + rng.normal(0, 0.8, SHAPE)
measured[clouds] = np.nan
measured[40::50, 60:240] = np.nan
print(f"NaN: {np.isnan(measured).mean():.0%}, land: {land.mean():.0%}")

# %%
# Three blurs
# -----------
#
# The second one fills holes from what surrounds them, but the land warms the sea at its coast.  The
# third is told of the land as well: no element of it has weight.  Where a whole window is missing,
# a result is NaN still.

plain = ndimage.gaussian_filter(measured, 3)
filled = ndimage.gaussian_filter(measured, 3, nan_policy="omit")
alone = ndimage.gaussian_filter(
    measured,
    3,
    nan_policy="omit",
    mask=land,
)

results = {"plain": plain, "omit": filled, "omit and mask": alone}
for name, result in results.items():
    known = ~land & ~np.isnan(result)
    error = np.sqrt(np.mean((result - sea)[known] ** 2))
    share = known.sum() / (~land).sum()
    print(f"{name:14} {share:4.0%} of the sea, error {error:.2f}°")

# %%
# NaN is drawn in white with hatches, land that was masked in grey.

figure, axes = plt.subplots(2, 2, figsize=(8, 5.1), layout="constrained")
drawn = {
    "as measured": measured,
    "gaussian_filter(measured, 3)": plain,
    'nan_policy="omit"': filled,
    'nan_policy="omit", mask=land': np.ma.array(alone, mask=land),
}
for axis, (name, array) in zip(axes.flat, drawn.items(), strict=True):
    axis.set_facecolor("white")
    axis.patch.set(hatch="////", edgecolor="#999999")
    picture = axis.imshow(array, cmap="viridis", vmin=8, vmax=22)
    axis.set_title(name, fontsize=11)
    axis.set(xticks=[], yticks=[])
axes[1, 1].patch.set(hatch="", facecolor="#a0a0a0")
figure.colorbar(picture, ax=axes, label="degrees", extend="max", shrink=0.7)
plt.show()
