"""Error root, geometry, progress, metrics, paths. Knows nothing of the other rooms."""
