"""Hyperparameter search, `python experiments/sweep.py`: a process per trial, resumable, pruned by scores."""
