"""Export of models to other programs, and import of other programs' models."""
