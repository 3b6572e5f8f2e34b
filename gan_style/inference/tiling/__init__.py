"""Networks over pictures of any size, tile by tile, with the result of the whole pass."""
