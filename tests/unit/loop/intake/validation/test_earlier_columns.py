"""A table that landed under another definition's columns is judged by what it can have."""

import io
import json

import pandas as pd
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.core.definition.sections import CsvSection
from evergreen.core.frames import conform, to_frame, to_table
from evergreen.errors import DefinitionError
from evergreen.loop.features.features_file import code_hash
from evergreen.loop.intake.validation.judge import judge, verdict_hash
from evergreen.loop.online.request import to_inputs
from helpers import orders_model

KEY = "2024-01-01"
OLD = "price: float, age: float}}"


@pytest.fixture
def defined(tmp_path):
    """A definition whose inputs have other columns than price and age."""

    def write(columns):
        orders_model.write_model(tmp_path / "orders", orders_model.DEFINITION.replace(OLD, columns + "}}"))
        return read_definition(tmp_path / "orders" / "model.yaml")

    return write


def landed(kind, **columns):
    frame = orders_model.week(1, KEY)[0].rename(columns=columns)
    buffer = io.BytesIO()
    frame.to_csv(buffer, index=False) if kind == "csv" else frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def judged(definition, kind="parquet", newer=None, **columns):
    return judge(landed(kind, **columns), kind, definition, "inputs", KEY, [], newer=newer)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_that_came_later_is_null_in_partitions_from_before(defined, kind):
    kinds = {"text": "string", "count": "integer", "share": "float", "flag": "boolean", "at": "timestamp"}
    added = "".join(f", {name}: {{type: {kind_}, since: 2024-01-08}}" for name, kind_ in kinds.items())
    found = judged(defined("price: float, age: float" + added), kind)
    assert found.accepted, found.reason
    assert found.frame[list(kinds)].isna().all(axis=None)
    assert list(found.frame)[-len(kinds) :] == list(kinds)
    assert found.frame["price"].notna().all()


def test_one_that_it_should_have_is_missing(defined):
    late = judged(defined("price: float, age: float, channel: {type: string, since: 2024-01-01}"))
    assert not late.accepted
    assert "missing: channel" in late.reason


def test_what_was_accepted_says_that_a_column_is_newer_too(defined):
    definition = defined("price: float, age: float, channel: string")
    assert not judged(definition).accepted
    assert judged(definition, newer=lambda name: name == "channel").accepted
    never = judged(definition, newer=lambda name: True, order_id="other")
    assert not never.accepted
    assert "order_id" in never.reason


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_renamed_column_is_read_under_either_name(defined, kind):
    definition = defined("cost: {type: float, aliases: [amount, price]}, age: float")
    features = definition.features.model_copy(update={"numeric": ("cost", "age")})
    assert features.columns
    old, new = judged(definition, kind), judged(definition, kind, price="cost")
    assert old.accepted, old.reason
    assert old.frame.equals(new.frame)
    row = json.loads(orders_model.week(1, KEY)[0].head(1).to_json(orient="records", date_format="iso"))[0]
    renamed = {("cost" if name == "price" else name): value for name, value in row.items()}
    assert to_inputs(definition, [row]).equals(to_inputs(definition, [renamed]))


def test_names_and_the_form_of_a_text_file_are_both_the_producers(defined):
    definition = defined("cost: {type: float, aliases: [price]}, age: float, gift: {type: boolean, since: 2024-01-08}")
    form = CsvSection(delimiter=";", decimal=",", time_format={"ordered_at": "%d.%m.%Y %H:%M:%S"})
    foreign = definition.model_copy(update={"feed": definition.feed.model_copy(update={"csv": form})})
    frame = orders_model.week(1, KEY)[0]
    frame["ordered_at"] = frame["ordered_at"].dt.floor("s")
    usual = judge(frame.to_csv(index=False).encode(), "csv", definition, "inputs", KEY, [])
    text = frame.to_csv(index=False, sep=";", decimal=",", date_format="%d.%m.%Y %H:%M:%S").encode()
    found = judge(text, "csv", foreign, "inputs", KEY, [])
    assert found.accepted, found.reason
    assert found.frame.equals(usual.frame)
    assert found.frame["cost"].tolist() == frame["price"].tolist()


def test_booleans_with_gaps_have_one_dtype_wherever_they_come_from(defined):
    definition = defined("price: float, age: float, gift: {type: boolean, since: 2024-01-08}")
    columns = definition.feed.tables["inputs"].columns
    fresh = judged(definition).frame
    accepted = to_frame(conform(to_table(fresh.drop(columns="gift"), {n: columns[n] for n in columns if n != "gift"}),
                                columns))  # fmt: skip
    row = json.loads(orders_model.week(1, KEY)[0].head(1).to_json(orient="records", date_format="iso"))[0]
    asked = to_inputs(definition, [row], known=lambda: [name for name in columns if name != "gift"])
    assert [str(frame["gift"].dtype) for frame in (fresh, accepted, asked)] == ["boolean"] * 3
    assert fresh.equals(accepted)
    assert [str(kind) for kind in asked.dtypes] == [str(kind) for kind in fresh.dtypes]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("price: {type: float, alias: [x]}, age: float", "say its type, aliases and since, and not alias"),
        ("price: {aliases: [x]}, age: float", "say its type"),
        ("price: {type: float, aliases: [age]}, age: float", "aliases name age, which is a column"),
        ("price: {type: float, aliases: [x]}, age: {type: float, aliases: [x]}", "aliases name x"),
        ("price: {type: float, since: soon}, age: float", "since"),
    ],
)
def test_what_is_wrong_with_a_column_is_said(defined, columns, says):
    with pytest.raises(DefinitionError, match=says):
        defined(columns)


def test_a_definition_without_them_has_the_hashes_that_it_had(defined):
    plain = defined("price: float, age: float")
    dumped = plain.feed.model_dump(mode="json", include={"tables"})["tables"]["inputs"]
    assert list(dumped) == ["columns", "max_bad_rows"]
    tables = {**plain.feed.tables}
    said = tables["inputs"].model_validate({"columns": {**dumped["columns"], "age": {"type": "float"}}})
    assert said == tables["inputs"]
    later = tables["inputs"].model_copy(update={"since": {"age": pd.Timestamp("2024-01-08").date()}})
    changed = plain.model_copy(update={"feed": plain.feed.model_copy(update={"tables": {**tables, "inputs": later}})})
    assert code_hash(changed) == code_hash(plain), "it changes no features"
    assert verdict_hash(changed, "inputs", []) != verdict_hash(plain, "inputs", [])
