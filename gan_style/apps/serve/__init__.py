"""A server of one trained model over HTTP, `gan-style serve`: pictures in, pictures out, in batches."""
