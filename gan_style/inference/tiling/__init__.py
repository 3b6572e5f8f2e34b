"""Exact tiling: networks on pictures of any size, tile by tile, with the result of one whole pass."""
