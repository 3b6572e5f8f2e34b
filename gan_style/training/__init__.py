"""Training: a run, its rules, and the callbacks that observe it."""
