"""The ground of the package: errors, bounds, paths, the config; it knows nothing of pictures or networks."""
