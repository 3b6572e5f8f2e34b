"""Everything that looks at training, or keeps it, without changing a loss."""
