"""Convolutions of ONNX, as layers that are kept with their packed weights."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
)
from .operator import Operator, channels_first, channels_last, window_padding

FILTER_FORMATS = {1: "OIW", 2: "OIHW", 3: "OIDHW"}


class _Layered(Operator):
    """A convolution whose layer is kept, known by its weights: the arrays themselves, and values of
    those that may be changed in place."""

    LAYERS: ClassVar[dict[int, Any]]  # by the number of spatial axes

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._kept: tuple[Any, ...] = (None,) * 5

    def _run(self, x: Any, w: Any, b: Any = None, **attributes: Any) -> tuple[np.ndarray, ...]:
        layer = self.layer(x, w, b, attributes)
        return (channels_first(layer(channels_last(x))),)

    def layer(self, x: Any, w: Any, b: Any, attributes: dict[str, Any]) -> Any:
        """The layer of these weights."""
        kept_w, kept_b, kept_attributes, values, layer = self._kept
        is_kept = w is kept_w and b is kept_b and attributes == kept_attributes
        if not is_kept or x.ndim != w.ndim or (values and values != _changeable(w, b)):
            self.check(x, w, attributes)
            values = _changeable(w, b)
            layer = layer_of(self.LAYERS, w, b, **attributes)
            self._kept = w, b, attributes, values, layer
        return layer

    def check(self, x: Any, w: Any, attributes: dict[str, Any]) -> None:
        """Refuse what is no convolution, or has more axes than three."""
        if x.ndim != w.ndim:
            raise ValueError(f"W has {w.ndim} axes, X has {x.ndim}: {x.shape}")
        if w.ndim - 2 not in FILTER_FORMATS:
            raise ValueError(f"of one to three spatial axes; W has shape {w.shape}")
        window = attributes["kernel_shape"]
        if window is not None and tuple(window) != w.shape[2:]:
            raise ValueError(f"kernel_shape is {window}, W has shape {w.shape}")


def layer_of(
    layers: dict[int, Any],
    w: np.ndarray,
    b: np.ndarray | None,
    *,
    auto_pad: str,
    dilations: list[int] | None,
    group: int,
    kernel_shape: list[int] | None,
    pads: list[int] | None,
    strides: list[int] | None,
    **more: Any,
) -> Any:
    """The layer of weights, a bias and ONNX' attributes; `more` are words of aotconv's.

    Parameters
    ----------
    layers : dict
        Classes of layers, by the number of spatial axes.
    """
    rank = w.ndim - 2
    return layers[rank](
        w,
        b,
        strides or 1,
        window_padding(auto_pad, pads, rank),
        dilations=dilations or 1,
        groups=group,
        filter_format=FILTER_FORMATS[rank],
        **more,
    )


def _changeable(*weights: np.ndarray | None) -> list[bytes]:
    """The values of weights that are fed; those of a model are read-only."""
    return [each.tobytes() for each in weights if each is not None and each.flags.writeable]


class Conv(_Layered):
    LAYERS: ClassVar = {1: Conv1D, 2: Conv2D, 3: Conv3D}


class ConvTranspose(_Layered):
    LAYERS: ClassVar = {1: Conv1DTranspose, 2: Conv2DTranspose, 3: Conv3DTranspose}

    def _run(self, x: Any, w: Any, b: Any = None, **attributes: Any) -> tuple[np.ndarray, ...]:
        wanted = attributes.pop("output_shape")
        if wanted is None and attributes["auto_pad"].startswith("SAME"):
            strides = attributes["strides"] or [1] * (w.ndim - 2)
            wanted = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
        if wanted is not None:
            attributes["pads"] = self.pads_to(wanted, x.shape[2:], w.shape[2:], **attributes)
            attributes["auto_pad"] = "NOTSET"
        return super()._run(x, w, b, **attributes)

    def pads_to(
        self,
        output_shape: list[int],
        sizes: tuple[int, ...],
        window: tuple[int, ...],
        *,
        auto_pad: str,
        dilations: list[int] | None,
        output_padding: list[int] | None,
        strides: list[int] | None,
        **_: Any,
    ) -> list[int]:
        """What is cut in front and behind, so that the result has a size: ONNX' rule."""
        rank = len(sizes)
        ones, zeros = [1] * rank, [0] * rank
        begins, ends = [], []
        for size, k, s, d, more, wanted in zip(
            sizes,
            window,
            strides or ones,
            dilations or ones,
            output_padding or zeros,
            output_shape[-rank:],
            strict=True,
        ):
            cut = (size - 1) * s + (k - 1) * d + 1 + more - wanted
            begins.append(cut // 2 if auto_pad == "SAME_UPPER" else cut - cut // 2)
            ends.append(cut - begins[-1])
        return begins + ends
