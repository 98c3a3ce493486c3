"""Window, viewer, panels and item models: the only room that knows Qt."""
