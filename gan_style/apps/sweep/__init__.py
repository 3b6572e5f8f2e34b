"""Hyperparameter search, `gan-style sweep`: a process per trial, resumable, pruned by scores."""
