"""plipdesk: find tissue in whole-slide images by words, by region and by picture, offline."""

__version__ = "0.1.0"
