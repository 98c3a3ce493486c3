"""Reports of runs: HTML that stands alone, tables as CSV, numbers as JSON."""
