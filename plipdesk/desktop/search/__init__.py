"""Asking and answering: the search bar, the grid of hits and what ties them to the engine."""
