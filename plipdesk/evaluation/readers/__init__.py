"""One reader for each public data set's own layout. Nothing is downloaded; what is missing is said, and where it is."""
