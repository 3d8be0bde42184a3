"""Hostile arguments, in five rooms: objects that lie; pieces, right or garbage, each with what it
means; the table of arguments, in which a new keyword needs a row; what is right; and the judge.

The judge knows no more than the documentation: what an argument means, when sizes fit together, and
the sum of the doors' formula, taken pixel by pixel.
"""
