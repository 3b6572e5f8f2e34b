"""Search: one process per trial, resumable, pruned by the validation score. `python experiments/sweep.py`."""
