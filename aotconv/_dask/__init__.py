"""Blocks of dask's arrays, each computed from what it reads, over aotconv's doors alone."""
