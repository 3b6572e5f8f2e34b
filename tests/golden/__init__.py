"""Losses of the first ten iterations of every model, tiny, in float64 on the CPU."""
