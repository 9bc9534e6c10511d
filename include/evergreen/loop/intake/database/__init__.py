"""Rows of a database land as a drop: one query, one snapshot, some rows at a time."""
