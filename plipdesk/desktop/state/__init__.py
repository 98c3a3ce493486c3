"""View state in plain Python: what is shown and what is asked, testable without Qt."""
