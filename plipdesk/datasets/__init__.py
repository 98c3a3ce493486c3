"""Image–text data sets."""
