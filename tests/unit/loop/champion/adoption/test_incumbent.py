"""What an incumbent by predictions is made of."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import load_definition
from evergreen.core.definition.model import ModelDefinition
from evergreen.errors import BadInputError
from evergreen.loop.champion.adoption import incumbent, registered
from evergreen.loop.features.features_file import load_build
from evergreen.loop.training.model_files import Predictor, freeze, thaw

NUMBERS = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)


@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_it_returns_the_column_to_the_bit(values):
    frame = pd.DataFrame({"old": values})
    data = freeze(incumbent.reads("old", frame))
    model = Predictor(thaw(data, (), what="it"), 1)
    assert model.columns == ("old",)
    assert np.array_equal(model.predict(frame), frame["old"].to_numpy())


def test_its_code_takes_the_column_and_invents_nothing(tmp_path):
    definition = load_definition("nyc_flights")
    written = incumbent.write_code(definition, "distance", tmp_path)
    assert written.features.columns == ("distance",)
    build, feed = load_build(written), definition.feed
    rows = pd.DataFrame({feed.entity: ["a", "b"], feed.event_time: [1, 2], "distance": [0.5, 0.25], "other": [1, 2]})
    assert list(build(rows, rows.head(0)).columns) == [feed.entity, feed.event_time, "distance"]
    rows.loc[1, "distance"] = math.nan
    with pytest.raises(ValueError, match="1 of 2 rows have no prediction of the incumbent in column distance"):
        build(rows, rows.head(0))


def test_a_column_with_quotes_in_its_name_is_only_text(tmp_path):
    definition, name = load_definition("nyc_flights"), 'a"""+1/0#\\'
    written = incumbent.write_code(definition, name, tmp_path)
    feed = definition.feed
    rows = pd.DataFrame({feed.entity: ["a"], feed.event_time: [1], name: [0.5]})
    assert load_build(written)(rows, rows.head(0))[name].tolist() == [0.5]


@pytest.mark.parametrize("address", ["models:/a/0", "models:/a/b/1", "a/1", "models:/a", "models:/a@best", "runs:/x"])
def test_an_address_names_a_version(address):
    with pytest.raises(BadInputError, match="write models:/NAME/3"):
        registered.parse(address)


def test_a_good_address():
    assert registered.parse("models:/churn model/12") == ("churn model", 12)


def test_an_incumbent_is_grouped_by_inputs_alone():
    """What features.py builds is not there: an incumbent's features are its predictions."""
    raw = load_definition("nyc_flights").model_dump()
    raw["gate"]["slices"] = ["origin", "hour", "carrier"]
    definition = ModelDefinition.model_validate(raw)
    assert incumbent.grouped_by_inputs(definition).gate.slices == ("origin", "carrier")
    assert definition.gate.slices == ("origin", "hour", "carrier")


def test_its_code_fits_a_model_with_reference_tables(tmp_path):
    raw = load_definition("nyc_flights").model_dump()
    raw["feed"]["references"] = {"fares": {"columns": {"carrier": "string", "fare": "float"}, "key": "carrier"}}
    raw["features"]["recent_inputs"] = 2
    definition = incumbent.write_code(ModelDefinition.model_validate(raw), "distance", tmp_path)
    rows = pd.DataFrame(
        {"flight_id": ["a"], "scheduled_departure": [pd.Timestamp("2013-01-07", tz="UTC")], "distance": [5]}
    )
    found = load_build(definition)(rows, rows, recent=rows, references={})
    assert found["distance"].tolist() == [5]
