"""Readers of exports in their documented layouts: what is found becomes posts, what cannot be read is counted."""
