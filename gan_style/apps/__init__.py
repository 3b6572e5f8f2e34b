"""Programs around models, one in each folder."""
