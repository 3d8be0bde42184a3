"""In which order an element of a correlation is summed: SciPy's, of which integers depend.

=========  ====================  ===============================================================
window     `correlate`           row by row, without products of weights of at most eps
line       `correlate1d`         along one axis: the centre, then pairs of taps whose weights are
                                 equal or opposite, from the outside in; of other weights the last
                                 tap, then the others from the first on
mean       `uniform_filter1d`    along one axis, elements alone; the sum is divided by their number
=========  ====================  ===============================================================
"""

WINDOW, LINE, MEAN = ORDERS = ("window", "line", "mean")
