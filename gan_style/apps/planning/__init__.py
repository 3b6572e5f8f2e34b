"""What a training will cost, from short trials: `gan-style plan` (docs/planning.md)."""
