"""Convolution in small groups, several of which share a vector.

As in `dense`, but for the multiplication (`dense.multiply_groups`): instead of one channel in all
lanes, each lane gets the channel of its own group, by permuting a vector of channels.
"""

from __future__ import annotations

from .dense import task

__all__ = ["task"]
