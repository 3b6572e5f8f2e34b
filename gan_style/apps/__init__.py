"""Programs around models, one a folder."""
