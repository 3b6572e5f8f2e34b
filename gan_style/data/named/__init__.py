"""Named public sets: the table, and how one gets to disk whole."""
