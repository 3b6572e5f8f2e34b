"""Data set doctor: a folder's pictures, what is wrong with them, and what to set."""
