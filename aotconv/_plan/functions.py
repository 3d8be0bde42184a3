"""Polynomials that functions of floats are computed by, found by Remez' exchange with 60 digits.

Errors are those of the polynomials in exact arithmetic, relative to the function's value; a float32
is 2**-24 from the next halfway point, a float64 2**-53.
"""

from typing import NamedTuple


class Fits(NamedTuple):
    """What `_kernels.functions` computes exp, tanh and erf with, in one dtype.

    Attributes
    ----------
    least, most : float
        Numbers whose exp is 0, and infinity.
    log2_e : float
    ln2 : (float, float)
        Their sum is log(2); the first times an exponent is exact.
    exp : tuple of float
        ``(exp(r) - 1 - r) / r**2`` for r between -log(2) / 2 and log(2) / 2: errors in exp of
        2**-27.0 and 2**-56.2.
    erf : tuple of float
        ``erf(x) / x``, of x**2 between 0 and 1: 2**-29.6 and 2**-56.9.
    tail : tuple of float
        ``-log(1 - erf(x))``, of ``x - TAIL`` for x between 1 and `erf_one`: errors in erf of
        2**-29.8 and 2**-59.5.  `TAIL` is such that the difference is exact.
    tanh_one, erf_one : float
        Numbers whose tanh, or erf, is 1.
    """

    least: float
    most: float
    log2_e: float
    ln2: tuple[float, float]
    exp: tuple[float, ...]
    erf: tuple[float, ...]
    tail: tuple[float, ...]
    tanh_one: float
    erf_one: float


TAIL = 2.0
FITS = {
    "float32": Fits(
        least=-104.0,
        most=89.0,
        log2_e=1.4426950216293335,
        ln2=(0.693115234375, 3.194618329871446e-05),
        exp=(0.5, 0.16666576, 0.041666374, 0.008363205, 0.0013941166),
        erf=(
            *(1.1283791, -0.37612626, 0.112835854, -0.026853813),
            *(0.0051883277, -0.00080101937, 7.8538615e-05),
        ),
        tail=(
            *(5.364941, 4.4181595, 0.9237535, 0.016487904),
            *(-0.003544232, 0.0007111082, -0.00018637915),
        ),
        tanh_one=10.0,
        erf_one=4.0,
    ),
    "float64": Fits(
        least=-746.0,
        most=710.0,
        log2_e=1.4426950408889634,
        ln2=(0.693147180559663, 2.8235290563031577e-13),
        exp=(
            *(0.5000000000000001, 0.16666666666666674, 0.04166666666662399),
            *(0.008333333333322172, 0.0013888888917283474, 0.00019841269886700005),
            *(2.480152118797331e-05, 2.7557242213442196e-06, 2.76201396567834e-07),
            2.5110096182764367e-08,
        ),
        erf=(
            *(1.1283791670955126, -0.3761263890318352, 0.11283791670944185),
            *(-0.026866170643111472, 0.005223977606118506, -0.0008548325929315693),
            *(0.00012055293576926806, -1.4924712302354576e-05, 1.6447131573866857e-06),
            *(-1.6206313767338633e-07, 1.37109803952795e-08, -7.779468417563063e-10),
        ),
        tail=(
            *(5.364941264616638, 4.418160805994417, 0.9237508418238044),
            *(0.016465118136853276, -0.0035707563461622933, 0.0007323993858520319),
            *(-0.00013530933461297891, 2.0706432155080707e-05, -1.952194305186375e-06),
            *(-2.03641752596435e-07, 1.7320583506615114e-07, -5.779806167639279e-08),
            *(1.394974648214644e-08, -2.5384886691037623e-09, 2.7471279750200005e-10),
            *(4.279312970421404e-11, -3.741549337930258e-11, 1.0174060622899667e-11),
            -1.0496540432837728e-12,
        ),
        tanh_one=20.0,
        erf_one=6.0,
    ),
}
