"""Which rows of prepared sets are kept: coverage, near-duplicates, likeness to a query."""
