"""fastparquet 2026.9.0: a timedelta column is written as a time of day.

Expected: a length of time is written as a length of time, or refused.
Seen: Parquet's logical type is TIME, which holds times from midnight to midnight. pyarrow reads 90 minutes as 01:30:00 of the
clock; 25 hours and lengths below zero are outside of what the type may hold.
Who meets it: a producer that writes durations with `to_parquet(engine="fastparquet")`.
What to do: write seconds as a float.
"""

import sys

import pinned

PACKAGES = ("fastparquet==2026.9.0", "pandas==2.3.3", "pyarrow==25.0.1")
NOTED = {
    "logical type": "Time(isAdjustedToUTC=true, timeUnit=microseconds)",
    "read": ["01:30:00", "00:30:00"],
}


def main() -> None:
    import pandas as pd
    import pyarrow.parquet as pq

    pd.DataFrame({"took": pd.to_timedelta([90, 30], unit="min")}).to_parquet("file.parquet", engine="fastparquet")
    column = pq.ParquetFile("file.parquet").schema.column(0)
    seen = {
        "logical type": str(column.logical_type),
        "read": [str(v) for v in pq.read_table("file.parquet")["took"].to_pylist()],
    }
    pinned.compare(seen, NOTED)


if __name__ == "__main__":
    main() if "--inside" in sys.argv else pinned.run(__file__, *PACKAGES)
