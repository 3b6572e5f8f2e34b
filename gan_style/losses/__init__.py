"""Losses: tensors in, a scalar out; nothing here weighs or logs itself."""
