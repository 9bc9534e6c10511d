"""The join that `features.py` uses: right at a point in time, alone as in a batch, in any order."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.features import as_of

BEGIN = pd.Timestamp("2024-01-01", tz="UTC")


def times(*hours: float | None) -> pd.Series:
    return pd.Series(
        [pd.NaT if h is None else BEGIN + pd.Timedelta(hours=h) for h in hours], dtype="datetime64[us, UTC]"
    )


def prices(*rows: tuple[str | None, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "product": pd.Series([r[0] for r in rows], dtype=object),
            "since": times(*(r[1] for r in rows)),
            "price": [r[2] for r in rows],
            "boxes": pd.Series([int(r[2]) for r in rows], dtype="Int64"),
            "rebate": [r[2] > 5 for r in rows],
        }
    )


TABLE = prices(("a", 10, 2.0), ("a", 5, 1.0), ("b", 7, 9.0))


def orders(*rows: tuple[str | None, float | None]) -> pd.DataFrame:
    frame = pd.DataFrame({"product": pd.Series([r[0] for r in rows], dtype=object), "at": times(*(r[1] for r in rows))})
    return frame.set_index(pd.Index(range(100, 100 + len(rows))))


def joined(rows: pd.DataFrame, table: pd.DataFrame = TABLE, **more) -> pd.DataFrame:
    return as_of(rows, table, by="product", at="at", valid_from="since", **more)


def test_the_row_that_was_valid_is_found_and_none_that_came_later():
    rows = orders(("a", 11), ("a", 10), ("a", 9.9), ("a", 5), ("a", 4.9), ("b", 100), ("c", 8), (None, 8), ("a", None))
    found = joined(rows)
    assert found.index.tolist() == rows.index.tolist()
    missing = [None] * 4
    assert [None if pd.isna(p) else p for p in found["price"]] == [2, 2, 1, 1, None, 9, *missing[:3]]
    assert found["since"].dtype == rows["at"].dtype
    assert (str(found["boxes"].dtype), str(found["rebate"].dtype)) == ("Int64", "boolean")
    assert found["rebate"].isna().sum() == 4
    assert "price" not in rows


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_as_a_person_would_look_it_up_whatever_the_order_and_alone_as_among_others(data):
    keys, hours = st.sampled_from(["a", "b", None]), st.integers(0, 12)
    listed = data.draw(st.lists(st.tuples(keys, hours), unique=True, max_size=8))
    table = prices(*((key, float(hour), float(n)) for n, (key, hour) in enumerate(listed)))
    asked = data.draw(st.lists(st.tuples(keys, st.one_of(st.none(), hours)), min_size=1, max_size=8))
    rows = orders(*asked)

    def looked_up(key, hour):
        known = [
            (h, n) for n, (k, h) in enumerate(listed) if k == key and key is not None and hour is not None and h <= hour
        ]
        return max(known)[1] if known else None

    found = joined(rows, table.sample(frac=1, random_state=data.draw(st.integers(0, 9))).reset_index(drop=True))
    assert [None if pd.isna(p) else int(p) for p in found["price"]] == [looked_up(*row) for row in asked]
    alone = pd.concat([joined(rows.iloc[[n]], table) for n in range(len(rows))])
    pd.testing.assert_frame_equal(alone.astype(found.dtypes.to_dict()), found, check_exact=True)


def test_by_several_columns_of_other_names_and_without_time():
    holidays = pd.DataFrame(
        {"land": ["SE", "FI"], "day": ["2024-01-01", "2024-01-06"], "name": ["New Year", "Epiphany"]}
    )
    rows = pd.DataFrame({"country": ["FI", "SE", "FI", None], "date": ["2024-01-06", "2024-01-01", "2024-01-01", "x"]})
    found = as_of(rows, holidays, by={"country": "land", "date": "day"}, columns=["name"], prefix="holiday_")
    assert found["holiday_name"].where(found["holiday_name"].notna(), None).tolist() == [
        "Epiphany",
        "New Year",
        None,
        None,
    ]
    assert found.columns.tolist() == ["country", "date", "holiday_name"]


def test_an_empty_table_gives_missing_values_of_its_dtypes():
    found = joined(orders(("a", 1)), TABLE.iloc[:0])
    assert found["price"].isna().all()
    assert found.dtypes["price"] == "float64"
    none = joined(orders(), TABLE)
    assert none.empty


def test_whole_numbers_of_two_dtypes_are_the_same_keys():
    rows = pd.DataFrame({"shop": pd.Series([1, 2, None], dtype="Int64")})
    table = pd.DataFrame({"shop": [2.0, 1.0], "size": [20, 10]})
    assert as_of(rows, table, by="shop")["size"].tolist() == [10, 20, pd.NA]


def test_resolutions_and_zones_of_times_do_not_matter():
    rows = orders(("a", 10)).assign(
        at=lambda f: f["at"].dt.tz_convert("Asia/Tokyo").astype("datetime64[ns, Asia/Tokyo]")
    )
    assert joined(rows)["price"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"by": "colour"}, KeyError, "no column colour"),
        ({"at": None}, ValueError, "both `at` and `valid_from`"),
        ({"at": "product"}, ValueError, "no column of times"),
        ({"by": {"product": "price"}, "columns": ["boxes"]}, ValueError, "holds texts and price numbers"),
        ({"columns": ["product"]}, ValueError, "rows have product already"),
        ({"valid_from": None, "at": None}, ValueError, "several rows of one product"),
    ],
)  # fmt: skip
def test_what_would_join_at_random_or_not_at_all_is_refused(more, error, said):
    arguments = {"by": "product", "at": "at", "valid_from": "since"} | more
    with pytest.raises(error, match=said):
        as_of(orders(("a", 11)), TABLE, **arguments)
