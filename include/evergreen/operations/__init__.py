"""Lineage: what a model version was made of, and whether it can be made again."""
