"""From what partitions showed to the text of a proposal that compiles, is laid out, and holds on what it saw."""

import re
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given, settings

from evergreen.core.definition.model import ModelDefinition
from evergreen.tools.propose.observed import Facts
from evergreen.tools.propose.propose import load_text
from evergreen.tools.propose.python_source import call, literal
from evergreen.tools.propose.render import file_of
from evergreen.tools.propose.rules import Compared, comparable, lines_of
from evergreen.tools.propose.value_shapes import merged, shape_of


def facts_of(definition: ModelDefinition, frames: list[pd.DataFrame]) -> Facts:
    facts = Facts.of(definition.feed.tables["inputs"].columns)
    for number, frame in enumerate(frames):
        facts.add(definition.partitions.shift("2024-01-01", number), frame, 0.01)
    return facts


def days(count: int, rows: int = 400, **columns) -> list[pd.DataFrame]:
    """Days of orders; a callable makes a column from the day's number."""
    made = []
    for day in range(count):
        start = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day)
        frame = pd.DataFrame({"order_id": [f"2024-{day:02}-{n}" for n in range(rows)]})
        frame["ordered_at"] = pd.date_range(start, periods=rows, freq="min").astype("datetime64[us, UTC]")
        plain = {
            "country": ["SE", "FI"] * (rows // 2),
            "items": range(1, rows + 1),
            "price": 9.5,
            "gift": [True, False] * (rows // 2),
        }
        frame = frame.assign(**plain).astype({"items": "Int64"})
        made.append(frame.assign(**{k: v(day) if callable(v) else v for k, v in columns.items()}))
    return made


def proposed(definition, frames, compared=None) -> str:
    facts = facts_of(definition, frames)
    lines = lines_of(definition, "inputs", facts, compared or Compared())
    return "\n".join(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("values", "regex"),
    [
        (
            ["2013-01-07-UA-1545-EWR", "2013-12-31-9E-4-JFK"],
            "^[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9A-Z]{2}-[0-9]{1,5}-[A-Z]{3}$",
        ),
        (["EWR", "JFK"], "^[A-Z]{3}$"),
        (["a", "b"], "^[a-z]$"),
        (["x.1", "yy.12"], r"^[a-z]{1,3}\.[0-9]{1,3}$"),
        (["/a/b"], "^/[a-z]/[a-z]$"),
        (["a" * 50, "b"], "^[a-z]+$"),
        (["a-b", "ab"], None),
        (["naïve"], None),
        (["<b>"], None),
        (["", "a"], None),
        ([], None),
    ],
)
def test_identifiers_and_codes_have_a_shape_and_free_text_has_none(values, regex):
    found = shape_of(values)
    assert (found and found.regex) == regex


TEXTS = st.lists(st.text("aB3-_. :/é<", max_size=8), min_size=1, max_size=8)


@given(TEXTS, TEXTS)
def test_a_shape_fits_every_value_it_was_taken_from_and_does_not_depend_on_how_they_came(one, other):
    both = shape_of([*one, *other])
    assert both == merged(shape_of(one), shape_of(other))
    assert both is None or all(re.fullmatch(both.regex, value) for value in [*one, *other])


@given(st.recursive(st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.lists))
def test_a_literal_is_the_value_again_on_one_printable_line(value):
    text = literal(value)
    assert text.isprintable()
    assert eval(text) == value


def test_columns_of_a_few_values_that_always_come_are_closed_sets(shop):
    text = proposed(shop, days(4))
    assert 'gxe.ExpectColumnDistinctValuesToEqualSet(column="country", value_set=["FI", "SE"]),' in text
    rare = proposed(shop, days(4, country=["SE"] * 399 + ["FI"]))
    assert 'gxe.ExpectColumnValuesToBeInSet(column="country", value_set=["FI", "SE"]),' in rare
    assert 'gxe.ExpectColumnDistinctValuesToContainSet(column="country", value_set=["SE"]),' in rare
    new = proposed(shop, days(4, country=lambda day: ["SE"] * 399 + [f"F{day}"]))
    assert '*_text("country", r"^[0-9A-Z]{2}$"),' in new


def test_nothing_that_is_personal_is_written_down(shop):
    facts = Facts.of(shop.feed.tables["inputs"].columns, personal=["order_id", "country"])
    for number, frame in enumerate(days(4)):
        facts.add(shop.partitions.shift("2024-01-01", number), frame, 0.01)
    text = file_of(shop, {"inputs": facts}, {"inputs": comparable(shop, "inputs", facts)})
    assert 'gxe.ExpectColumnValuesToNotBeNull(column="country"),' in text
    assert text.count("country") == 1
    assert "order_id" not in text


def test_little_data_makes_little_certain(shop):
    text = proposed(shop, days(2, rows=20))
    assert "Regex" not in text
    assert "value_set" not in text
    assert 'ExpectColumnValuesToNotBeNull(column="country", mostly=0.95)' in text


def test_ranges_stand_well_outside_of_what_was_seen_and_keep_a_sign_that_is_sure(shop):
    text = proposed(shop, days(4, price=lambda day: [float(n) for n in range(100, 500)]))
    assert '*_number("price", 0, 600),  # 100 to 499' in text
    assert '*_number("items", 0, 500),  # 1 to 400' in text
    assert '*_number("price", 0, ' in proposed(shop, days(4, price=[float(n) for n in range(400)]))


def test_nothing_that_only_grows_is_bounded(shop):
    """Neither the id nor a counter: one day every good partition would be past the bound."""
    running = days(6, items=lambda day: range(1000 * day, 1000 * day + 400))
    ids = [frame.assign(order_id=[f"order-{400 * day + n}" for n in range(400)]) for day, frame in enumerate(running)]
    text = proposed(shop, ids)
    assert '"items"' in text
    assert [line for line in text.splitlines() if '"items"' in line] == [
        'gxe.ExpectColumnValuesToNotBeNull(column="items"),'
    ]
    assert 'gxe.ExpectColumnValuesToMatchRegex(column="order_id", regex=r"^[a-z]{5}-[0-9]+$"),' in text


def test_a_sensor_that_hangs_is_asked_for(shop):
    text = proposed(shop, days(4, price=[float(n) for n in range(400)]))
    assert 'gxe.ExpectColumnUniqueValueCountToBeBetween(column="price", min_value=40),  # at least 400' in text


def test_zero_bounds_what_begins_there_and_not_a_temperature_of_a_mild_season(shop):
    """A week of which one reading is below 0 degrees is no broken feed."""
    text = proposed(shop, days(4, price=[1.5 + 0.1 * n for n in range(400)]))
    assert '*_number("price", -' in text
    prices = proposed(shop, days(4, price=[0.3 + 1.1 * n for n in range(400)]))
    assert '*_number("price", 0, ' in prices


def test_missing_values_leave_room_for_more_of_them(shop):
    some = [None] * 20 + [float(n) for n in range(380)]
    assert '*_number("price", 0, 480, known=0.7),  # 0 to 379' in proposed(shop, days(4, price=some))
    gone = proposed(shop, days(4, price=float("nan")))
    assert "price" not in gone


def test_a_partition_in_which_a_column_was_empty_would_pass(shop):
    def unless_third(value, dtype):
        return lambda day: pd.Series([None if day == 3 else value(n) for n in range(400)], dtype=dtype)

    frames = days(
        8,
        price=unless_third(lambda n: 50.0 + n % 7, "float64"),
        gift=unless_third(lambda n: n % 2 == 0, "boolean"),
        country=unless_third(lambda n: f"a {'bcdefghi'[n % 8]}é", "str"),
    )
    text = proposed(shop, frames)
    assert "ExpectColumnMeanToBeBetween" not in text.replace('ColumnMeanToBeBetween(column="items"', "")
    assert 'ExpectColumnUniqueValueCountToBeBetween(column="country", min_value=0' in text
    assert '*_number("items"' in text


def test_only_what_returns_is_compared(shop):
    frames = days(4, country=lambda day: [f"day {day}"] * 400)
    found = comparable(shop, "inputs", facts_of(shop, frames))
    assert (found.numbers, found.categories, found.covered) == (("items", "price"), ("gift",), True)


def test_long_calls_are_laid_out_as_the_formatter_does(tmp_path):
    short = call("RowCount", {})
    assert short == ["        RowCount(),"]
    long = [
        *call("gxe.E", {"column": "a", "value_set": [f"value {n}" for n in range(20)]}),
        *call("gxe.E", {"column": "a" * 60, "value_set": ["b" * 30]}, comment="some words about it"),
        *call("gxe.E", {"column": "it's", "other": 'a "quoted" one', "third": "back\\slash\n"}),
    ]
    _formatted(tmp_path, "import gxe\n\nRULES = [\n" + "\n".join(line[4:] for line in long) + "\n]\n")


def _formatted(folder: Path, text: str) -> None:
    file = folder / "proposed.py"
    file.write_text(text)
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run(
        [ruff, "format", "--isolated", "--line-length=120", "--diff", file], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


VALUES = {
    "country": st.none() | st.text(max_size=4) | st.sampled_from(["SE", "FI"]),
    "items": st.none() | st.integers(-(10**12), 10**12),
    "price": st.none() | st.floats(-1e12, 1e12),
    "gift": st.booleans(),
}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_was_seen_the_proposal_compiles_and_is_laid_out(shop, tmp_path_factory, data):
    frames = []
    for day in range(data.draw(st.integers(1, 5))):
        rows = data.draw(st.integers(1, 6))
        frame = days(1, rows=2 * rows).pop()
        for name, values in VALUES.items():
            drawn = data.draw(st.lists(values, min_size=rows, max_size=rows))
            kind = {"items": "Int64", "price": "float64", "gift": bool}.get(name, object)
            frame[name] = pd.Series(drawn * 2, dtype=kind)
        frames.append(frame.assign(order_id=[f"{day}-{n}" for n in range(2 * rows)]))
    facts = facts_of(shop, frames)
    text = file_of(shop, {"inputs": facts}, {"inputs": comparable(shop, "inputs", facts)})
    module = load_text(text)
    assert module.inputs()
    assert module.features()
    _formatted(tmp_path_factory.mktemp("proposal"), text)


def test_a_new_class_of_the_target_is_let_through_with_a_warning():
    import yaml

    from helpers import class_orders

    definition = ModelDefinition.model_validate(yaml.safe_load(class_orders.DEFINITION))
    facts = Facts.of(definition.feed.tables["labels"].columns)
    for number in range(6):
        key = definition.partitions.shift("2024-01-01", number)
        facts.add(key, class_orders.week(number, key)[1], 0.01)
    text = "\n".join(lines_of(definition, "labels", facts, Compared()))
    assert 'value_set=["kept", "returned", "swapped"], severity=WARNING' in text.replace("\n", " ")
    assert text.count('"outcome"') == 1, "no other rule could stop a new class"
    named = definition.model_copy(update={"classes": ("kept", "lost", "swapped", "returned")})
    assert '"lost"' in "\n".join(lines_of(named, "labels", facts, Compared()))
