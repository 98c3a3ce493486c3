"""From query to ranked hits."""
