"""Planning: the cost of a training, estimated from short trials, for `gan-style plan` (docs/planning.md)."""
