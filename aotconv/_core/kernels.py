"""The kernels of a layer: which one computes, as what, and the weights packed for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._plan.family import Layer, Packing, Repeated
from .._plan.geometry import Geometry
from .._plan.lower import turn
from .._plan.parts import Part, Taps
from .._plan.registry import Row
from .._plan.select import at_a_time, estimate, family_of, select
from .dtypes import as_reals
from .jobs import Kernel, Layouts, Piece, are_planar
from .ladder import Rung
from .layout import View
from .pack import Packed, Packer, pack, pack_channels, under
from .run import Compute, Share, decide

AS_IT_IS = (0, 1, 2)


class Kernels:
    """The kernels that compute a layer, each with weights packed for it, kept."""

    def __init__(self, filters: np.ndarray, bias: np.ndarray | None, options: Any) -> None:
        self._filters, self._bias, self._options = filters, bias, options
        # By all that it follows from: a kernel, and what packs other weights for it; None for
        # complex results and slices of channels, whose weights are made anew.
        self._kept: dict[tuple, tuple[Kernel, Packer | None]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Packed weights are known by their address, which belongs to this object alone.
        return {**self.__dict__, "_kept": {}}

    @property
    def packed_bytes(self) -> int:
        """Bytes that packed weights take."""
        return sum(kernel.packed.memory.nbytes for kernel, _ in list(self._kept.values()))

    def forget_weights(self) -> None:
        """Hold no array of the user's any more: packed weights alone."""
        del self._filters, self._bias

    @property
    def can_reweigh(self) -> bool:
        """Whether `reweigh` knows how all weights were packed."""
        return all(packer is not None for _, packer in list(self._kept.values()))

    def reweigh(self, filters: np.ndarray, bias: np.ndarray | None) -> bool:
        """Take other weights of the same shapes and dtypes, packed where the last ones were;
        whether all that was decided still holds.  If not, this is of no more use."""
        self._filters, self._bias = filters, bias
        for kernel, packer in self._kept.values():
            assert packer is not None  # `can_reweigh` was asked
            with np.errstate(all="ignore"):  # of weights that are converted
                packed = packer(filters, bias)
            if packed.finite != kernel.packed.finite:
                return False
        return True

    def decide(
        self,
        rung: Rung,
        computed: str,
        parts: Sequence[Part],
        arrays: Layouts,
        view: View,
        algorithm: str,
    ) -> tuple[float, Compute] | None:
        """How many microseconds it takes on one thread, roughly, and what computes; None where a
        kernel cannot be compiled.

        Parameters
        ----------
        computed : str
            The dtype of the kernels.
        parts : sequence of Part
            Complex numbers counted as one channel.
        arrays : Layouts
            Of the arrays as they are, which `view` shows as (N, D, H, W, C).
        algorithm : {"auto", "winograd"}
        """
        shares = []
        for part in parts:
            share = self._share(rung, computed, part, arrays, view, algorithm)
            if share is None:
                return None
            shares.append(share)
        return decide(shares)

    def nanoseconds(
        self, rung: Rung, computed: str, geometry: Geometry, arrays: Layouts, algorithm: str
    ) -> float | None:
        """The estimate of an algorithm, before weights are packed; None where its kernel cannot be
        compiled."""
        reals = _as_reals(geometry, arrays)
        reals, layer, _ = self._lowered(rung.level, computed, reals, algorithm)
        row = select(layer, computed, rung.level)
        return None if rung.task(row) is None else 1e3 * estimate(row, reals)

    def _share(
        self, rung: Rung, computed: str, part: Part, arrays: Layouts, view: View, algorithm: str
    ) -> Share | None:
        """What computes a part; None where its kernel cannot be compiled."""
        pairs, results = _complex(arrays)
        reals = _as_reals(part.geometry, arrays)
        reals, layer, order = self._lowered(rung.level, computed, reals, algorithm)
        view, part = view._replace(order=order), part.turned(order)
        images, out = map(view.layout, arrays[:2])
        residual = None if arrays.residual is None else view.layout(arrays.residual)
        layouts, places = Layouts(images, out, residual).part(part.images, part.out)
        kernel = None
        if layer.channelwise and are_planar(layouts) and not part.taps:
            kernel = self._sliced(rung, computed, layer, reals)
        if kernel is None:
            kernel = self._whole(rung, computed, layer, part.taps, pairs, results)
        if kernel is None:
            return None
        return Share(view, part, Piece(kernel, reals, layouts, places))

    def _lowered(
        self, level: str, computed: str, geometry: Geometry, algorithm: str
    ) -> tuple[Geometry, Layer, tuple[int, ...]]:
        """The geometry that is computed and its layer, and the order of spatial axes in it."""
        layer = Layer.of(geometry, algorithm)
        turned, order = turn(geometry)
        if order != AS_IT_IS:
            other = Layer.of(turned, algorithm)
            if all(family_of(select(each, computed, level)).in_order for each in (layer, other)):
                return turned, other, order
        return geometry, layer, AS_IT_IS

    def _whole(
        self, rung: Rung, computed: str, layer: Layer, taps: Taps, pairs: bool, results: bool
    ) -> Kernel | None:
        """The kernel for a layer of some taps; None where it cannot be compiled.

        Parameters
        ----------
        pairs, results : bool
            Whether images and results are complex.
        """
        row: Row = select(layer, computed, rung.level)
        key = rung, row, layer, taps
        kept = self._kept.get(key)
        if kept is None:
            if rung.task(row) is None:
                return None
            packing = family_of(row).packing(row, layer)
            if results:
                some, bias = as_reals(under(self._filters, taps), self._bias, pairs)
                packer, packed = None, pack(packing, computed, some, bias)
            else:
                packer = Packer(packing, computed, taps)
                packed = packer(self._filters, self._bias)
            kept = self._kept[key] = self._kernel(row, rung, packed), packer
        return kept[0]

    def _sliced(self, rung: Rung, computed: str, layer: Layer, geometry: Geometry) -> Kernel | None:
        """The kernel that takes some channels of a channelwise layer at a time; None where that is
        no gain, or would change the order of sums."""
        if not family_of(select(layer, computed, rung.level)).in_order:
            return None
        channels = at_a_time(layer, geometry, computed, rung.level)
        return self._by_channels(rung, computed, layer, channels)

    def _by_channels(self, rung: Rung, computed: str, layer: Layer, channels: int) -> Kernel | None:
        """The kernel that takes so many channels at a time."""
        one = layer._replace(n_filters=channels, groups=channels)
        row = select(one, computed, rung.level)
        family = family_of(row)
        if channels == layer.groups or not family.in_order:
            return None
        key = rung, row, layer, (), channels
        kept = self._kept.get(key)
        if kept is None:
            if rung.task(row) is None:
                return None
            slices = self._packed_slices(family.packing(row, one), computed, channels)
            kept = self._kept[key] = self._kernel(row, rung, slices[0], slices), None
        return kept[0]

    def _kernel(
        self, row: Row, rung: Rung, packed: Packed, slices: Sequence[Packed] = ()
    ) -> Kernel:
        o = self._options
        finish = o.activation, "clipped" if o.saturate else "wrapped"
        return Kernel(row, family_of(row), rung, packed, *finish, slices, o.padding_value)

    def _packed_slices(self, packing: Packing, computed: str, channels: int) -> list[Packed]:
        """The weights of so many channels of a channelwise layer each."""
        filters, bias = self._filters, self._bias
        if channels == 1:
            assert isinstance(packing, Repeated)  # as vectors along a row want it
            return pack_channels(packing, computed, filters, bias)
        slices = (slice(c, c + channels) for c in range(0, filters.shape[-1], channels))
        return [
            pack(packing, computed, filters[..., each], None if bias is None else bias[each])
            for each in slices
        ]


def _complex(arrays: Layouts) -> tuple[bool, bool]:
    """Whether images and results are complex."""
    return arrays.images.dtype.kind == "c", arrays.out.dtype.kind == "c"


def _as_reals(geometry: Geometry, arrays: Layouts) -> Geometry:
    """A geometry whose complex channels are pairs."""
    pairs, results = _complex(arrays)
    return geometry._replace(c=geometry.c * (1 + pairs), o=geometry.o * (1 + results))
