"""Evidently 0.7.23: `DataDriftPreset` leaves out columns of pandas' nullable and Arrow dtypes, or divides by zero.

Expected: a column of integers, booleans or floats is compared, whichever dtype of pandas holds it.
Seen: of three columns that have moved far, a frame with Arrow dtypes has one compared, and the summary says "1 column, share
1.0"; `float64` as `double[pyarrow]` and booleans are left out without a word. The same frame with `convert_dtypes()`
(Int64, boolean, Float64) ends with `ZeroDivisionError`, since no column is left. Declaring the columns in `DataDefinition`
ends with `AttributeError`.
Who meets it: anybody who reads Parquet with `dtype_backend`, or keeps missing values in nullable columns.
What to do: hand Evidently float64, object and bool columns.
"""

import sys

import pinned

PACKAGES = ("evidently==0.7.23", "pandas==2.3.3", "pyarrow==25.0.1")
NOTED = {
    "numpy": ["age", "paid", "price"],
    "nullable": "ZeroDivisionError",
    "arrow": ["age"],
    "nullable, declared": "AttributeError",
}


def main() -> None:
    import numpy as np
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    rng = np.random.default_rng(0)
    before = pd.DataFrame(
        {"age": rng.integers(20, 60, 1000), "paid": rng.random(1000) < 0.5, "price": rng.normal(size=1000)}
    )
    after = before.assign(age=before.age + 100, paid=True, price=before.price + 9)
    declared = DataDefinition(numerical_columns=["age", "price"], categorical_columns=["paid"])

    def compared(change, definition=None):
        now, then = change(after), change(before)
        try:
            if definition is not None:
                now, then = (Dataset.from_pandas(frame, definition) for frame in (now, then))
            metrics = Report([DataDriftPreset()]).run(now, then).dict()["metrics"]
        except Exception as error:  # what is raised is what is noted
            return type(error).__name__
        return sorted(m["config"]["column"] for m in metrics if m["metric_name"].startswith("ValueDrift"))

    seen = {
        "numpy": compared(lambda frame: frame),
        "nullable": compared(lambda frame: frame.convert_dtypes()),
        "arrow": compared(lambda frame: frame.convert_dtypes(dtype_backend="pyarrow")),
        "nullable, declared": compared(lambda frame: frame.convert_dtypes(), declared),
    }
    pinned.compare(seen, NOTED)


if __name__ == "__main__":
    main() if "--inside" in sys.argv else pinned.run(__file__, *PACKAGES)
