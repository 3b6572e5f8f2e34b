"""One paper per file: networks, weights of the loss terms, two equations."""
