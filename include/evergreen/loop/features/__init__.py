"""Versioned, point-in-time correct features: built from accepted partitions, kept in a Git + DVC repository."""
