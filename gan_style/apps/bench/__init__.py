"""Benchmark of unpaired translation on drawn tasks, whose truth can be sampled (docs/benchmark.md)."""
