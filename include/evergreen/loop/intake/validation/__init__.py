"""From a typed table to a judgement: structure, Great Expectations, comparisons, bad rows."""
