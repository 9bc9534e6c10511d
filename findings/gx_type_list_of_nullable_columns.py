"""Great Expectations 1.24.1: a nullable column passes `ExpectColumnValuesToBeOfType`, and fails a list with that type.

Expected: `ExpectColumnValuesToBeInTypeList(type_list=["int64"])` says what `ExpectColumnValuesToBeOfType(type_="int64")` says.
Seen: for pandas' Int64, boolean, Float64 and string the first fails and gives the listed type as the observed value; no list
of names lets it pass. For numpy's int64 both pass.
Who meets it: a suite with a list of types over columns that hold missing values.
What to do: use `ExpectColumnValuesToBeOfType`, or check dtypes outside of the suite.
"""

import logging
import sys

import pinned

PACKAGES = ("great-expectations==1.24.1", "pandas==2.3.3")
NOTED = {
    "int64": (True, True, "int64"),
    "Int64": (True, False, "int64"),
    "Float64": (True, False, "float64"),
    "boolean": (True, False, "bool"),
    "string": (True, False, "str"),
}


def main() -> None:
    logging.disable(logging.CRITICAL)
    import great_expectations as gx
    import great_expectations.expectations as expect
    import pandas as pd
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    seen = {}
    for dtype, (_, _, said) in NOTED.items():
        values = ["a", "b", "c"] if dtype == "string" else [1, 0, 1]
        frame = pd.DataFrame({"x": pd.array(values, dtype=dtype)})
        asset = context.data_sources.add_pandas(dtype).add_dataframe_asset("frame")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        alone = batch.validate(expect.ExpectColumnValuesToBeOfType(column="x", type_=said))
        listed = batch.validate(expect.ExpectColumnValuesToBeInTypeList(column="x", type_list=[said, dtype]))
        seen[dtype] = (alone.success, listed.success, listed.result["observed_value"])
    pinned.compare(seen, NOTED)


if __name__ == "__main__":
    main() if "--inside" in sys.argv else pinned.run(__file__, *PACKAGES)
