"""Hostile arguments, in seven rooms: objects that lie; pieces, right or garbage, each with what it
means; the table of arguments, in which a new keyword needs a row; what is right; the judge; the
operators beside convolution, with a judge of their own; and the functions of `signal`, before that.

The judge knows no more than the documentation: what an argument means, when sizes fit together, and
the sum of the doors' formula, taken pixel by pixel.  That of operators is told what is right.
"""
