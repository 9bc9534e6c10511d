"""A request names its rows as a producer does, and is told which id and time were made of that."""

import numpy as np
import pytest

from evergreen.core.definition.model import ModelDefinition
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.online.answer import _Asked
from evergreen.loop.online.request import keys_of, to_inputs

COLUMNS = {"shop": "string", "day": "timestamp", "hour": "integer", "price": "float"}


def definition(entity):
    return ModelDefinition.model_validate(
        {
            "name": "sales", "title": "Sales", "owner": "shop", "task": "regression", "target": "sold",
            "calendar": {"start": "2024-01-01", "period": "hour", "timezone": "Europe/Berlin"},
            "features": {"numeric": ["price"]}, "alerts": {"to": ["shop@example.com"]},
            "feed": {
                "name": "sales", "entity": entity, "event_time": ["day", "hour"],
                "tables": {"inputs": {"columns": COLUMNS}, "labels": {"columns": {**COLUMNS, "sold": "float"}}},
            },
        }
    )  # fmt: skip


def row(**changed):
    return {"shop": "A", "day": "2024-07-01", "hour": 14, "price": 1.5} | changed


def test_an_answer_names_rows_by_what_was_sent_and_by_what_was_made():
    model, rows = definition(["shop", "day", "hour"]), [row(), row(hour=15)]
    frame = to_inputs(model, rows)
    keys = keys_of(model, frame)
    first, second = _Asked(model, rows, frame, keys, "hash").given(np.array([1.0, 2.0]))
    assert first == {
        "shop": "A", "day": "2024-07-01", "hour": 14, "row_id": "A|2024-06-30T22:00:00Z|14",
        "event_time": "2024-07-01T12:00:00+00:00", "partition": "2024-07-01T12", "prediction": 1.0,
    }  # fmt: skip
    assert second["partition"] == "2024-07-01T13"


def test_the_same_row_twice_is_refused_by_the_names_of_its_columns():
    model = definition(["shop", "day", "hour"])
    with pytest.raises(UnfitFileError, match=r"shop and day and hour: 1 of 2 .* repeat the identifier"):
        keys_of(model, to_inputs(model, [row(), row(price=2)]))


def test_equal_rows_that_nothing_names_are_two():
    model = definition("none")
    frame = to_inputs(model, [row(), row()])
    assert keys_of(model, frame) == ["2024-07-01T12"] * 2
    assert frame["row_id"][1] == f"{frame['row_id'][0]}-2"


def test_a_part_that_is_missing_is_said_by_its_name():
    with pytest.raises(UnfitFileError, match=r"shop: 1 of 1 .* have no value"):
        to_inputs(definition(["shop", "day"]), [row(shop=None)])
    with pytest.raises(UnfitFileError, match=r"hour: 1 of 1 .* have no value"):
        to_inputs(definition("none"), [row(hour=None)])


@pytest.mark.parametrize("day", ["2024-04-26", "2024-04-26 00:00"])
def test_a_date_whose_midnight_the_clocks_skip_has_its_other_hours(day):
    model = definition(["shop", "day", "hour"])
    cairo = model.calendar.model_copy(update={"timezone": "Africa/Cairo"})
    frame = to_inputs(model.model_copy(update={"calendar": cairo}), [row(day=day, hour=1), row(day=day, hour=14)])
    assert [f"{at:%Y-%m-%dT%H:%M}" for at in frame["event_time"]] == ["2024-04-25T22:00", "2024-04-26T11:00"]
