"""A row's name: one column chosen well, or the fewest that name it together."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import load_definition
from evergreen.errors import BadInputError
from evergreen.loop.intake.reading.joined_id import joined
from evergreen.tools.check_drops import check_folder
from evergreen.tools.data_file import DataFile
from evergreen.tools.scaffold.new import new
from evergreen.tools.scaffold.plan import Asked
from evergreen.tools.simulator.land import land
from evergreen.tools.simulator.past_rows import PastRows

DAYS = pd.date_range("2024-01-01", periods=70).strftime("%Y-%m-%d")


def panel(**more):
    """Three shops, a row a day each."""
    rows = [(shop, day) for day in DAYS for shop in "ABC"]
    frame = pd.DataFrame(rows, columns=["shop", "day"])
    count = range(len(frame))
    return frame.assign(x=[n % 11 + 0.5 for n in count], y=[n % 5 * 1.5 for n in count], **more)


def test_an_id_that_repeats_within_a_partition_is_refused_with_a_way_that_works(planned):
    with pytest.raises(BadInputError) as refused:
        planned(panel(), time="day", entity="shop")
    text = str(refused.value)
    assert "shop repeats within a partition: 180 of 210 (86 %) rows" in text
    assert "--id shop --id day" in text or "--id day --id shop" in text
    assert "with --period day shop is unique too" in text
    assert planned(panel(), time="day", entity="shop", period="day").entity == "shop"


def test_columns_that_name_a_row_together_are_found_and_joined(planned):
    plan = planned(panel(), time="day")
    assert {*plan.joined} == {"shop", "day"}
    assert {"shop", "day"} <= {*plan.inputs} & {*plan.labels}
    assert plan.categorical == ["shop"]
    assert planned(panel(), time="day", entity=("shop,day",)).joined == ("shop", "day")
    assert planned(panel(), time="day", entity=("shop", "day")).joined == ("shop", "day")


def test_a_time_that_is_unique_names_a_row(planned):
    plan = planned({"at": DAYS, "x": [n / 7 for n in range(70)], "y": [n % 9 / 4 for n in range(70)]})
    assert plan.joined == ("at",)


def test_a_name_beats_a_number_that_happens_to_be_unique(planned):
    price = [1000 + n * n for n in range(210)]
    ids = [7 * n % 211 for n in range(210)]
    assert planned(panel(price=price, order_id=ids), time="day").entity == "order_id"
    plan = planned(panel(price=price), time="day")
    assert {*plan.joined} == {"shop", "day"}, "a price is a measurement"
    assert "price" in plan.numeric


def test_a_unique_measurement_with_a_point_is_a_feature(planned):
    plan = planned(panel(level=[n * 1.01 + 0.003 for n in range(210)]), time="day")
    assert "level" in plan.numeric


def test_columns_that_cannot_join_are_said(planned):
    with pytest.raises(BadInputError, match="--id x: an id takes columns of text"):
        planned(panel(), time="day", entity=("shop", "x"))
    with pytest.raises(BadInputError, match=r"shop and kind together repeat within a partition: .* are unique"):
        planned(panel(kind="k"), time="day", entity=("shop", "kind"))
    with pytest.raises(BadInputError, match="--id town: the file has no such column"):
        planned(panel(), time="day", entity=("shop", "town"))


def test_the_panel_goes_on_next_week(tmp_path):
    path = tmp_path / "panel.csv"
    panel().to_csv(path, index=False)
    asked = Asked("panel", "y", "day", entity=("shop", "day"))
    _, folder = new(asked, path, folder=tmp_path / "models")
    definition = load_definition("panel", folder.parent)
    assert definition.feed.id_columns == ("shop", "day")
    assert definition.calendar.end is None
    past = PastRows(definition, DataFile(path))
    url = (tmp_path / "landing").as_uri()
    keys = definition.partitions.keys("2024-01-01", past.last_tick())
    assert not any(item.repeated for item in land(definition, keys, landing_url=url, rows=past.partition))
    week = pd.DataFrame({"shop": ["A", "A", "B"], "day": ["2024-03-11", "2024-03-12", "2024-03-11"], "x": [1, 2.5, 3]})
    week.to_csv(tmp_path / "next.csv", index=False)
    following = PastRows(definition, DataFile(tmp_path / "next.csv"))
    assert following.last_tick() == "2024-03-18"
    assert "the file has not all columns of the labels: only the other table landed" in following.said()
    land(definition, ["2024-03-11"], landing_url=url, rows=following.partition)
    checks = check_folder(definition, tmp_path / "landing" / "panel")
    assert all(check.accepted for check in checks), [check.reason for check in checks]
    assert [check.rows for check in checks if check.key == "2024-03-11"] == [3]


TEXT = st.text("a|\\é", max_size=3)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=20))
def test_different_rows_never_get_one_id(rows):
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype=object)
    assert joined(frame, ["a", "b"]).nunique() == len(set(rows))


def test_a_value_has_one_text_in_every_file():
    frame = pd.DataFrame(
        {
            "at": pd.to_datetime(["2024-01-01", "2024-01-01 06:00:00.5", None], utc=True, format="ISO8601").astype(
                "datetime64[us, UTC]"
            ),
            "n": pd.array([7, None, 8], dtype="Int64"),
        }
    )
    assert list(joined(frame, ["at", "n"])) == ["2024-01-01T00:00:00Z|7", None, None]
    assert list(joined(frame, ["at"]))[1] == "2024-01-01T06:00:00.500000Z"


def test_copies_of_rows_alone_go_to_quarantine(tmp_path):
    path, frame = tmp_path / "panel.csv", panel()
    pd.concat([frame, frame.iloc[[5, 80]]]).to_csv(path, index=False)
    plan, folder = new(Asked("panel", "y", "day", period="week"), path, folder=tmp_path / "models")
    assert {*plan.joined} == {"shop", "day"}
    assert any("2 of 212" in note.text and "alone go to quarantine" in note.text for note in plan.notes)
    definition = load_definition("panel", folder.parent)
    past = PastRows(definition, DataFile(path))
    keys = definition.partitions.keys("2024-01-01", "2024-01-08")
    landed = land(definition, keys, landing_url=(tmp_path / "landing").as_uri(), rows=past.partition)
    assert sum(item.repeated for item in landed) == 2
    checks = check_folder(definition, tmp_path / "landing" / "panel")
    assert all(check.accepted for check in checks), [check.reason for check in checks]
    assert sum(check.rows_rejected for check in checks) == 2


def test_a_few_rows_that_nothing_tells_apart_do_not_refuse_a_file(planned):
    frame = panel(z=[n / 7 for n in range(210)])
    frame.loc[1, "shop"] = "A"  # two rows of shop A on the first day
    plan = planned(frame, time="day")
    assert {*plan.joined} == {"shop", "day"}
    assert plan.max_bad_rows > 0
    assert any("2 of 210" in note.text for note in plan.notes)
