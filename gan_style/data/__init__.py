"""Pictures on disk, their augmentation, and the unpaired stream of training items."""
