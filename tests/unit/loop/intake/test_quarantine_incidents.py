"""Which partitions are quarantined for one cause."""

import pytest

from evergreen.loop.intake.failures import UnfitFileError, unfit
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.quarantine_incidents import cause
from evergreen.loop.intake.reading.column_names import find_columns

COLUMNS = {"order_id": "string", "store": "integer", "price": "float"}


def missing(*names):
    with pytest.raises(UnfitFileError) as found:
        find_columns(names, COLUMNS, LIMITS)
    return cause("inputs", found.value.failures)


def test_a_column_that_is_missing_is_one_cause_whatever_came_in_its_place():
    renamed = missing("order_id", "store", "unit_price")
    assert renamed.fingerprint == missing("order_id", "store", "preis").fingerprint
    assert renamed.what == "inputs quarantined for missing price"
    assert renamed.fingerprint != missing("order_id", "price").fingerprint
    assert renamed.fingerprint != missing("order_id").fingerprint


def test_a_rule_about_a_column_is_one_cause_whatever_its_values():
    one, other = (
        unfit("not_null", f"price: {n} of 600 rows are missing", observed=str(n), expected="values", column="price")
        for n in (3, 17)
    )  # fmt: skip
    assert cause("inputs", [one]).fingerprint == cause("inputs", [other]).fingerprint
    assert cause("inputs", [one]).fingerprint != cause("labels", [one]).fingerprint
    assert cause("inputs", [one]).what == "inputs quarantined for price"


SENSORS = [("pm10", "pm25"), ("V1", "V17"), ("sensor_1", "sensor_7"), ("pickup_zone, zone_1", "pickup_zone, zone_2")]


@pytest.mark.parametrize(("one", "other"), SENSORS)
@pytest.mark.parametrize(
    "of",
    [
        lambda name: unfit("not_null", f"{name}: missing values", observed="3", expected="values", column=name),
        lambda name: unfit("columns_present", f"column is missing: {name}", expected=name),
        lambda name: unfit("columns_once", f"columns stand more than once: {name}", observed=name),
        lambda name: unfit("column_names", f"names must begin: '{name}'", observed=f"'{name}' (its name ...)"),
    ],
)
def test_columns_that_differ_in_digits_are_causes_of_their_own(of, one, other):
    """A silence of one sensor must not cover the others, nor may a second one break unseen."""
    assert cause("inputs", [of(one)]).fingerprint != cause("inputs", [of(other)]).fingerprint


def test_a_column_named_after_the_day_is_one_cause():
    one, other = (unfit("not_null", f"{n}: missing", column=n) for n in ("price_20240101", "price_20240108"))
    assert cause("inputs", [one]).fingerprint == cause("inputs", [other]).fingerprint
    assert missing("order_id", "store").fingerprint == missing("order_id", "store", "price_20240101").fingerprint


def test_a_rule_about_the_table_is_told_by_what_it_asks_for_without_numbers():
    one, other = (
        unfit("rows", f"{n} rows", observed=f"{n} rows", expected=f"{n * 2} to {n * 4} rows") for n in (5, 70)
    )
    assert cause("inputs", [one]).fingerprint == cause("inputs", [other]).fingerprint
    separated = unfit("readable", "separated by ;", observed="a;b", expected="commas")
    empty = unfit("readable", "the file is empty (0 bytes)", observed="0 bytes", expected="a table")
    assert cause("inputs", [separated]).fingerprint != cause("inputs", [empty]).fingerprint
    assert cause("inputs", [empty]).what == "inputs quarantined: the file is empty"
