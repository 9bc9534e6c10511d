"""Finds what the loop has missed: drops outside the schedule, partitions that are stuck."""
