"""Rules that compare a partition with earlier ones, or with the other table of its own."""
