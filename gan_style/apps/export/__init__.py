"""Models for other programs, and other programs' models."""
