"""polars 2.1.0 and pyarrow 25.0.1: one Int128 column makes the whole Parquet file unreadable, other columns too.

Expected: pyarrow reads the columns that it knows, as with `columns=["b"]`, or gives the 16 bytes.
Seen: polars writes the column and reads it back; pyarrow refuses the file's schema before any column is chosen.
Who meets it: a producer that sums integers in polars as Int128 and lands the result.
What to do: cast to Int64 or to Decimal before writing.
"""

import sys

import pinned

PACKAGES = ("polars==2.1.0", "pyarrow==25.0.1")
NOTED = {"polars": [1, 2], "pyarrow, column b": "ArrowNotImplementedError"}


def main() -> None:
    import polars as pl
    import pyarrow.parquet as pq

    pl.DataFrame({"a": [1, 2], "b": [1, 2]}, schema={"a": pl.Int128, "b": pl.Int64}).write_parquet("file.parquet")
    seen = {"polars": pl.read_parquet("file.parquet")["a"].to_list()}
    try:
        seen["pyarrow, column b"] = pq.read_table("file.parquet", columns=["b"])["b"].to_pylist()
    except Exception as error:  # what is raised is what is noted
        seen["pyarrow, column b"] = type(error).__name__
    pinned.compare(seen, NOTED)


if __name__ == "__main__":
    main() if "--inside" in sys.argv else pinned.run(__file__, *PACKAGES)
