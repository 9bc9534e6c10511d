"""What the benchmarks share: writing results, and the page of figures."""
