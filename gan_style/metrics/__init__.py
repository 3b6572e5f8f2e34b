"""Scores: pictures in, numbers out."""
