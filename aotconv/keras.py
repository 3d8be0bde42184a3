"""Keras 3 on NumPy alone: its NumPy backend without JAX, and in less time.

::

    import aotconv.keras  # before keras
    import keras

    model = keras.saving.load_model("model.keras")
    results = model.predict(images)

It needs keras and SciPy: ``pip install "aotconv[keras]"``.  Keras' NumPy backend asks JAX for
convolutions, pools and Fourier transforms; here these are aotconv's and NumPy's, and JAX is not
imported.  Batch normalizations, activations and sums of two arrays of floats take fewer passes
through memory.  There is nothing else to call: Keras does.

This module imports keras.  Where the environment variable KERAS_BACKEND is not set, it becomes
"numpy", whatever the file keras.json says: Keras itself writes "tensorflow" there.  Where it is set
to another backend, or keras has been imported on one, that is an ImportError.
"""

from __future__ import annotations

from typing import Literal

from ._keras import layers as _layers
from ._keras.serving import serve as _serve

__all__ = ["set_algorithm"]


def __dir__() -> list[str]:
    return __all__


_serve()


def set_algorithm(algorithm: Literal["auto", "fastest"]) -> None:
    """Say by which algorithm Keras' layers convolve from now on; at first it is "fastest".

    Parameters
    ----------
    algorithm : {"auto", "fastest"}
        As in `conv2d`.  "fastest" has larger rounding errors where it chooses Winograd's algorithm
        or Fourier transforms, and there a NaN or an infinity reaches more of the result.

    Raises
    ------
    ValueError
        Another algorithm.

    See Also
    --------
    aotconv.conv2d : says more of `algorithm`.
    aotconv.set_num_threads : how many threads convolutions use.

    Notes
    -----
    It holds for convolutions whose kernel is a `keras.Variable`, as those of layers are; their
    weights are packed once.  Kernels that are arrays, given to `keras.ops.conv`, are packed at each
    call, and "auto".  Transposed convolutions are always "auto".

    Examples
    --------
    >>> import aotconv.keras
    >>> aotconv.keras.set_algorithm("auto")
    >>> aotconv.keras.set_algorithm("fastest")
    """
    _layers.set_algorithm(algorithm)
