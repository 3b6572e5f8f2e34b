"""Inference: pictures and videos through a trained model."""
