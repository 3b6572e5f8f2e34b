"""Data sets: pictures on disk, their augmentation, and the unpaired stream of training items."""
