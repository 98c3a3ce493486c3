"""SQLite: collections, slides, annotations, runs, jobs."""
