"""The ground: errors, bounds, paths, the config; it knows nothing of pictures or networks."""
