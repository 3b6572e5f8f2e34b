"""The version of the package, which files and pages name."""

__version__ = "0.2.0"
