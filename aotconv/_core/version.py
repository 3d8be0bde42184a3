"""The version, for builds, people and bug reports."""

__version__ = "0.2.0"
