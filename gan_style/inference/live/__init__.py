"""Frames of a camera, a file or a pipe through a model while they come, with a bounded delay."""
