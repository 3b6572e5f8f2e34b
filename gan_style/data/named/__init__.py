"""Named public sets: their table, and their download."""
