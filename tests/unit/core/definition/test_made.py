"""What a feed may say of several columns that name a row or its time, and what becomes of it."""

import pytest

from evergreen.core.definition.model import FeedSection, ModelDefinition

INPUTS = {"shop": "string", "day": "timestamp", "hour": "integer", "price": "float"}
LABELS = {"shop": "string", "day": "timestamp", "hour": "integer", "sold": "float"}


def feed(entity="shop", event_time="day", inputs=None, labels=None, **more):
    tables = {"inputs": {"columns": inputs or INPUTS}, "labels": {"columns": labels or LABELS}}
    known = {"name": "sales", "entity": entity, "event_time": event_time, "tables": tables}
    return FeedSection.model_validate(known | more)


def test_several_columns_become_one_that_does_not_land():
    made = feed(["shop", "day"])
    assert (made.entity, made.id_columns) == ("row_id", ("shop", "day"))
    assert made.tables["labels"].columns["row_id"] == "string"
    assert made.landed_columns("inputs") == INPUTS
    assert list(made.tables["inputs"].columns) == ["row_id", *INPUTS]


def test_a_date_and_an_hour_become_one_time():
    made = feed("shop", ["day", "hour"])
    assert (made.event_time, made.time_columns) == ("event_time", ("day", "hour"))
    assert made.landed_columns("labels") == LABELS


def test_no_entity_is_the_content_of_a_row():
    made = feed("none", labels={**INPUTS, "sold": "float"})
    assert (made.entity, made.id_columns, made.made.entity) == ("row_id", (), tuple(INPUTS))


def test_a_column_may_be_called_none():
    columns = {"none": "string", "day": "timestamp"}
    made = feed("none", inputs=columns, labels={**columns, "sold": "float"})
    assert (made.entity, made.made.columns) == ("none", ())


def test_a_feed_of_one_column_says_nothing_of_it():
    plain = feed("shop", labels={"shop": "string", "day": "timestamp", "sold": "float"})
    assert "made" not in plain.model_dump()


@pytest.mark.parametrize("written", [{"entity": ["shop", "day"]}, {"event_time": ["day", "hour"]}])
def test_what_was_read_is_read_again(written):
    once = feed(**written)
    assert FeedSection.model_validate(once.model_dump()) == once


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"entity": []}, "the name of one column, or a list of 1 to 8 different names"),
        ({"entity": ["shop", "shop"]}, "a list of 1 to 8 different names"),
        ({"entity": ["shop", "town"]}, "tables.inputs.columns lacks 'town', one of the columns of feed.entity"),
        ({"entity": ["shop", "price"]}, "tables.labels.columns lacks 'price'"),
        ({"entity": "none"}, "tables.labels must have all columns of tables.inputs, and lacks price"),
        ({"entity": ["shop", "price"], "labels": LABELS | {"price": "float"}}, "float: a measurement names no row"),
        ({"entity": ["shop", "hour"], "labels": LABELS | {"hour": "string"}}, "integer in tables.inputs and string"),
        ({"entity": ["shop", "day"], "inputs": INPUTS | {"row_id": "string"}}, "has a column 'row_id', as Evergreen"),
        ({"entity": ["shop", "day"], "entity_from": ["shop"]}, "entity_from is superseded"),
        (
            {"event_time": ["day", "hour", "shop"]},
            r"takes one timestamp column, \[date, time of day\], or \[year, month, day, hour\]",
        ),
        ({"event_time": ["hour", "day"]}, "column 'day' of feed.event_time must have type integer .*: it is the month"),
        ({"event_time": ["day", "price"], "labels": LABELS | {"price": "float"}}, "must have type integer"),
    ],
)
def test_what_cannot_be_made_is_refused(said, told):
    with pytest.raises(ValueError, match=told):
        feed(**said)


def test_the_target_names_no_row():
    with pytest.raises(ValueError, match="target 'shop' is a column of feed"):
        ModelDefinition.model_validate(
            {
                "name": "sales", "title": "Sales", "owner": "shop", "task": "regression", "target": "shop",
                "calendar": {"start": "2024-01-01"}, "features": {"numeric": ["price"]},
                "alerts": {"to": ["shop@example.com"]},
                "feed": feed(["shop", "day"]).model_dump(),
            }
        )  # fmt: skip
