"""Operators that rewritten graphs have beside ONNX': what was several nodes, as one."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import activate
from .convolution import Conv, ConvTranspose
from .graph import OUR_DOMAIN
from .operator import Operator, channels_first, channels_last


class _Activated(Operator):
    """An operator with attributes `activation`, aotconv's word for one, and `slope`."""

    op_domain = OUR_DOMAIN

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        name = self._attributes.pop("activation", None)
        slope = self._attributes.pop("slope", None)
        self._attributes["activation"] = name if slope is None else (name, slope)


class FusedConv(_Activated, Conv):
    """activation(residual + B + the convolution of X with W); inputs X, W, B and the residual.

    An attribute `algorithm` is that of `aotconv.conv2d`.  A residual of another shape than the
    convolution's is broadcast, by NumPy.
    """

    extends = "Conv"

    def _run(self, x: Any, w: Any, b: Any = None, residual: Any = None, **attributes: Any) -> Any:
        if residual is None:
            return super()._run(x, w, b, **attributes)
        layer = self.layer(x, w, b, attributes)
        images, added = channels_last(x), channels_last(residual)
        if added.shape == layer.output_shape(images.shape):
            return (channels_first(layer(images, residual=added)),)
        (sums,) = super()._run(x, w, b, **{**attributes, "activation": None})
        return (activate(sums + residual, attributes["activation"]),)


class FusedConvTranspose(_Activated, ConvTranspose):
    """activation(B + the transposed convolution of X with W)."""

    extends = "ConvTranspose"


class Activation(_Activated):
    """activation(X)."""

    extends = "Identity"

    def _run(self, x: np.ndarray, *, activation: Any) -> tuple[np.ndarray, ...]:
        return (activate(x, activation),)


FUSED: tuple[type[Operator], ...] = (Activation, FusedConv, FusedConvTranspose)
