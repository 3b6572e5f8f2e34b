"""What makes a model: a run, its rules, and what looks at it."""
