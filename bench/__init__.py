"""Benchmarks. Run one with `evergreen bench NAME`, or as `python -m bench.performance.year`."""
