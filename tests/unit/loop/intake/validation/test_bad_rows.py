"""`max_bad_rows`: bad rows are taken out, each with its reason; the rest is accepted as if it had landed alone."""

import io

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.core.definition.model import ModelDefinition
from evergreen.loop.intake.failures import breach, unfit
from evergreen.loop.intake.validation.bad_rows import Look, sift
from evergreen.loop.intake.validation.judge import judge, verdict_hash

KEY, ROWS = "2024-01-01", 200
PRICES = gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0, max_value=100)
COUNTRIES = gxe.ExpectColumnValuesToBeInSet(column="country", value_set=["SE", "FI"])


def allowing(shop, share):
    """The model `shop` if this share of the inputs may be bad."""
    raw = shop.model_dump()
    raw["feed"]["tables"]["inputs"]["max_bad_rows"] = share
    return ModelDefinition.model_validate(raw)


def orders(rows=ROWS, **columns):
    frame = pd.DataFrame({"order_id": [f"o-{n}" for n in range(rows)]})
    frame["ordered_at"] = pd.date_range(KEY, periods=rows, freq="min", tz="UTC")
    return frame.assign(country="SE", items=1, price=9.5, gift=True).assign(**columns)


def at(positions, bad, good=9.5, rows=ROWS):
    """A column that is `bad` at `positions` and `good` elsewhere."""
    return [bad if n in positions else good for n in range(rows)]


def judged(shop, frame, share, expectations=(PRICES,), suffix="parquet"):
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False) if suffix == "parquet" else frame.to_csv(buffer, index=False)
    return judge(buffer.getvalue(), suffix, allowing(shop, share), "inputs", KEY, expectations)


def rejected(judgement):
    """Position -> reason of the rejected rows."""
    table = judgement.rejected
    return dict(zip(table["evergreen_row"].to_pylist(), table["evergreen_reason"].to_pylist(), strict=True))


def test_without_it_one_bad_row_quarantines_the_partition(shop):
    found = judged(shop, orders(price=at({7}, 5000.0)), 0)
    assert (found.accepted, found.rows, found.rejected) == (False, ROWS, None)
    assert found.reason == "price: 1 of 200 (0.50 %) values lie outside 0 to 100, such as 5000"


def test_bad_rows_are_kept_apart_with_their_reasons(shop):
    frame = orders(price=at({7, 50}, 5000.0), country=at({50}, "XX", "SE"))
    found = judged(shop, frame, 0.01, [PRICES, COUNTRIES])
    assert (found.accepted, found.rows, found.rows_rejected) == (True, ROWS, 2)
    assert rejected(found) == {
        7: "price: values lie outside 0 to 100",
        50: "price: values lie outside 0 to 100; country: values are not one of 'SE', 'FI'",
    }
    assert (
        found.rejected.drop_columns(["evergreen_row", "evergreen_reason"])
        .to_pandas()
        .equals(frame.iloc[[7, 50]].reset_index(drop=True))
    ), "as they landed"
    assert list(found.frame["order_id"]) == [f"o-{n}" for n in range(ROWS) if n not in (7, 50)]
    assert found.reason == (
        "198 rows; 2 of 2 expectations hold; 2 of 200 (1.0 %) rows put into quarantine: price: 2 of 200 (1.0 %) values "
        "lie outside 0 to 100, such as 5000; country: 1 of 200 (0.50 %) values are not one of 'SE', 'FI', such as 'XX'"
    )


@pytest.mark.parametrize(("bad", "accepted"), [(2, True), (3, False)])
def test_the_share_is_exact(shop, bad, accepted):
    found = judged(shop, orders(price=at(set(range(bad)), 5000.0)), 0.01)
    assert found.accepted is accepted
    if not accepted:
        assert "more rows break a rule than the 2 of 200 that max_bad_rows allows" in found.reason
        assert found.rows == ROWS


@pytest.mark.slow
def test_a_share_of_a_hundred_rows_is_the_number_it_looks_like(shop):
    for percent in range(1, 51):
        frame = orders(rows=100, price=at(set(range(percent)), 5000.0, rows=100))
        assert judged(shop, frame, percent / 100).rows_rejected == percent


def test_structural_rules_are_about_rows_too(shop):
    times = orders()["ordered_at"].mask(pd.Series(range(ROWS)) == 3, pd.Timestamp("2023-01-01", tz="UTC"))
    frame = orders(ordered_at=times)
    frame.loc[5, "order_id"] = None
    found = judged(shop, frame, 0.05)
    assert list(rejected(found)) == [3, 5]
    assert "lie outside the period of 2024-01-01" in rejected(found)[3]
    assert rejected(found)[5] == "order_id: rows have no value; every row needs its own"


def test_a_row_that_is_there_twice_is_one_too_many_and_a_contradicted_one_is_in_doubt(shop):
    frame = orders()
    frame.iloc[10] = frame.iloc[4]  # the same row again
    frame.loc[20, "order_id"] = "o-15"  # another row under the same name
    found = judged(shop, frame, 0.05)
    assert list(rejected(found)) == [10, 15, 20]
    assert found.frame["order_id"].is_unique


def test_values_that_do_not_parse_are_bad_rows_and_what_they_hid_is_seen(shop):
    frame = orders(price=at({3}, "dear", "9.5"), items=at({9}, "1.5", "1"))
    frame.loc[12, "price"] = "5000"
    found = judged(shop, frame, 0.05, suffix="csv")
    assert found.accepted
    assert list(rejected(found)) == [3, 9, 12]
    assert rejected(found)[3] == "price: rows are not a number"
    assert found.rejected["price"].to_pylist() == ["dear", "9.5", "5000"]
    assert found.frame["price"].dtype == "float64"


def test_what_is_about_the_table_quarantines_all(shop):
    count = gxe.ExpectTableRowCountToBeBetween(min_value=200)
    found = judged(shop, orders(price=at({7}, 5000.0)), 0.05, [PRICES, count])
    assert not found.accepted
    assert "without the rows that break a rule: the number of rows is 199, expected at least 200" in found.reason
    country = judged(shop, orders().drop(columns="country"), 0.5)
    assert not country.accepted
    assert "column is missing: country" in country.reason


def test_an_expectation_that_tolerates_a_share_is_about_the_table(shop):
    known = gxe.ExpectColumnValuesToNotBeNull(column="country", mostly=0.99)
    found = judged(shop, orders(country=at({1, 2, 3}, None, "SE")), 0.5, [known])
    assert not found.accepted
    assert found.rejected is None


def test_an_aggregate_that_only_the_bad_rows_moved_is_no_fault_of_the_rest(shop):
    mean = gxe.ExpectColumnMeanToBeBetween(column="price", max_value=20)
    assert judged(shop, orders(price=at({7}, 1e9)), 0.05, [PRICES, mean]).accepted
    assert not judged(shop, orders(price=at({7}, 1e9, good=30.0)), 0.05, [PRICES, mean]).accepted


def test_a_warning_rejects_no_row(shop):
    lenient = gxe.ExpectColumnValuesToBeBetween(column="price", max_value=100, severity="warning")
    found = judged(shop, orders(price=at({7}, 5000.0)), 0.05, [lenient])
    assert (found.accepted, found.rejected) == (True, None)
    assert "1 warned" in found.reason


def test_a_file_of_bad_rows_only_is_quarantined(shop):
    assert not judged(shop, orders(price=5000.0), 0.5).accepted
    assert not judged(shop, orders(rows=1, price=5000.0), 0.5).accepted


def test_the_verdict_depends_on_it(shop):
    hashes = {verdict_hash(allowing(shop, share), "inputs", [PRICES]) for share in (0, 0.01, 0.02)}
    assert len(hashes) == 3
    assert verdict_hash(shop, "inputs", [PRICES]) == verdict_hash(allowing(shop, 0), "inputs", [PRICES])


def test_labels_that_are_no_class_are_kept_apart(shop):
    raw = shop.model_dump()
    raw["feed"]["tables"]["labels"]["max_bad_rows"] = 0.01
    labels = orders(returned=at({7}, 2.0, 1.0))[["order_id", "ordered_at", "returned"]]
    buffer = io.BytesIO()
    labels.to_parquet(buffer, index=False)
    assert not judge(buffer.getvalue(), "parquet", shop, "labels", KEY, []).accepted
    found = judge(buffer.getvalue(), "parquet", ModelDefinition.model_validate(raw), "labels", KEY, [])
    assert found.accepted
    assert rejected(found) == {7: "returned: rows are neither 0 nor 1, which a binary task predicts"}


def test_only_tables_that_the_rule_about_classes_is_for_get_another_verdict(shop):
    raw = shop.model_dump() | {"task": "regression"}
    regression = ModelDefinition.model_validate(raw)
    assert verdict_hash(shop, "labels", []) != verdict_hash(regression, "labels", [])
    assert verdict_hash(shop, "inputs", []) == verdict_hash(regression, "inputs", [])
    raw["feed"]["tables"]["labels"]["columns"]["returned"] = "boolean"
    regression = ModelDefinition.model_validate(raw)
    binary = ModelDefinition.model_validate(raw | {"task": "binary"})
    assert verdict_hash(binary, "labels", []) == verdict_hash(regression, "labels", [])


def test_names_of_its_own_columns_are_taken(shop):
    raw = shop.model_dump()
    raw["feed"]["tables"]["inputs"]["columns"]["evergreen_row"] = "integer"
    with pytest.raises(ValueError, match="rename evergreen_row"):
        ModelDefinition.model_validate(raw)


# Properties of the sieve itself, over rules that are sets of bad rows ------------------------------------------------


def look_for(rules, aggregates=()):
    """A look that finds rows of `rules` (sets of positions), one by one hidden by the one before."""

    def look(kept):
        failures = [unfit("table", "the table is wrong") for wrong in aggregates if wrong(kept)]
        for number, bad in enumerate(rules):
            rows = np.flatnonzero(np.isin(kept, list(bad)))
            if len(rows):
                said = f"break rule {number}"
                failures.append(breach(f"rule {number}", "a", said, rows=rows, total=len(kept), expected=str(number)))
                break
        return Look(tuple(failures))

    return look


RULES = st.lists(st.sets(st.integers(0, 29), max_size=6), max_size=6)


@given(rules=RULES, allowed=st.integers(1, 15))
@settings(max_examples=300, deadline=None)
def test_exactly_the_bad_rows_go_and_never_more_than_allowed(rules, allowed):
    look, bad = look_for(rules), set().union(*rules)
    found = sift(look(np.arange(30)), look, rows=30, allowed=allowed)
    assert (found.obstacle == "") == (len(bad) <= allowed)
    if not found.obstacle:
        assert set(found.reasons) == bad
        assert list(found.reasons) == sorted(found.reasons)
        assert {row for failure in found.blamed for row in failure.rows} <= bad


@given(rules=RULES)
@settings(max_examples=100, deadline=None)
def test_nothing_is_accepted_while_the_table_is_wrong(rules):
    look = look_for(rules, aggregates=[lambda kept: True])
    found = sift(look(np.arange(30)), look, rows=30, allowed=30)
    assert found.obstacle
