"""Reference tables: what lands when it changes, beside the partitions."""
