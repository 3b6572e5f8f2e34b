"""Unpaired image-to-image translation and style transfer."""

__version__ = "0.1.0"
