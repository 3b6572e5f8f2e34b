"""Losses of the first 20 iterations of every model, tiny, in float64 on the CPU."""
