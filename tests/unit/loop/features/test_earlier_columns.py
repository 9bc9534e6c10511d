"""The history of partitions that were accepted under an earlier definition."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.errors import BadInputError
from evergreen.loop.features.build_plan import Past
from evergreen.loop.features.look_back import history_columns, read_history
from helpers import orders_model

KEY = "2024-01-01"
INPUTS, LABELS = (pa.Table.from_pandas(frame, preserve_index=False) for frame in orders_model.week(0, KEY))


def history(tmp_path, columns):
    """As `read_history` returns it, of a week that was accepted without `columns`."""
    text = orders_model.DEFINITION.replace("price: float, age: float}}", columns + "}}").replace("price, age", "age")
    orders_model.write_model(tmp_path / "orders", text)
    definition = read_definition(tmp_path / "orders" / "model.yaml")
    tables = {"inputs": INPUTS, "labels": LABELS}

    def read(verdict, wanted):
        table = tables[verdict.of]
        return table.select([name for name in wanted if name in table.column_names])

    sides = [(SimpleNamespace(), SimpleNamespace(of=name)) for name in tables]
    found = read_history(definition, [Past(KEY, *sides)], read)
    assert list(found) == history_columns(definition)
    return found


def test_a_column_that_came_later_is_null(tmp_path):
    found = history(tmp_path, "price: float, age: float, channel: string, visits: integer, new: boolean")
    assert len(found) == orders_model.ROWS
    assert found[["channel", "visits", "new"]].isna().all(axis=None)
    assert found["price"].notna().all()


def test_a_renamed_column_has_its_values(tmp_path):
    found = history(tmp_path, "cost: {type: float, aliases: [price]}, age: float")
    assert found["cost"].tolist() == INPUTS.column("price").to_pylist()


def test_a_type_that_loses_values_is_refused_with_table_partition_and_column(tmp_path):
    with pytest.raises(BadInputError, match=rf"inputs of {KEY}, which is looked back on: column price: .*as double"):
        history(tmp_path, "price: integer, age: float")
