"""Models in files: written whole, read safely, restored, in our layout and in others'."""
