"""`evergreen new` writes a model that works on the file it was made from, or says what is wrong with the file."""

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.definition import load_definition
from evergreen.errors import BadInputError, DefinitionError, RefusedError
from evergreen.loop.features.compute import compute
from evergreen.loop.intake.labels.maturity import Coverage, judge
from evergreen.tools.check_drops import check_folder
from evergreen.tools.data_file import DataFile
from evergreen.tools.scaffold.new import new
from evergreen.tools.scaffold.plan import Asked
from evergreen.tools.scaffold.render import scalar
from evergreen.tools.simulator.land import land
from evergreen.tools.simulator.past_rows import PastRows

ASKED = Asked("hotel", "Zimmerpreis (€)", "Anreise am", later=("Trinkgeld",), label_delay=2)


def bookings(days=30, rows=20) -> pd.DataFrame:
    """Bookings from 2016-07-02, a Saturday; a tenth have no price, a third no number of rooms."""
    rng, count = np.random.default_rng(3), days * rows
    return pd.DataFrame(
        {
            "Land": rng.choice(["prt", "aus", "été"], count),
            "Buchung №": [f"B{n:05}" for n in range(count)],
            "Anreise am": pd.date_range("2016-07-02", periods=count, freq=dt.timedelta(days=1) / rows).strftime(
                "%Y-%m-%d %H:%M"
            ),
            "Rooms": np.where(rng.random(count) < 0.3, "", "2"),
            "Lead Time": rng.integers(0, 400, count),
            "code": [f"{n % 7:03}" for n in range(count)],
            "note": [f"called {n}" for n in range(count)],
            "always": "x",
            "Zimmerpreis (€)": np.where(rng.random(count) < 0.1, "NA", rng.normal(90, 20, count).round(2).astype(str)),
            "Trinkgeld": rng.normal(5, 1, count).round(2),
        }
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "bookings.csv"
    bookings().to_csv(path, index=False)
    return path


def test_the_model_works_on_the_file_it_was_made_from(file, tmp_path):
    models, landing = tmp_path / "models", tmp_path / "landing"
    new(ASKED, file, folder=models)
    definition = load_definition("hotel", models)
    assert (definition.task, definition.feed.entity, definition.feed.label_delay) == ("regression", "Buchung №", 2)
    source = DataFile(file)
    keys = definition.partitions.keys(str(definition.calendar.start), "2016-07-10")
    land(definition, keys, landing_url=landing.as_uri(), rows=source.partition)
    checks = check_folder(definition, landing / "hotel")
    assert len(checks) == 2 * len(keys) - definition.feed.label_delay
    assert all(check.accepted for check in checks), [check.reason for check in checks]
    inputs = source.partition(definition, "inputs", keys[0])
    built = compute(definition, inputs, inputs.head(0))
    assert list(built.columns[2:]) == [*definition.features.numeric, *definition.features.categorical]


def test_types_and_features_are_those_of_the_columns(file, tmp_path):
    decided, _ = new(ASKED, file, folder=tmp_path / "models")
    assert decided.inputs | decided.labels == {
        "Land": "string", "Buchung №": "string", "Anreise am": "timestamp", "Rooms": "integer", "Lead Time": "integer",
        "code": "string", "note": "string", "always": "string", "Zimmerpreis (€)": "float", "Trinkgeld": "float",
    }  # fmt: skip
    assert not {"Zimmerpreis (€)", "Trinkgeld"} & {*decided.inputs}, "what is known afterwards is no input"
    assert (decided.numeric, decided.categorical) == (["Lead Time"], ["Land", "code"])
    assert {*decided.left_out} == {"note", "always", "Rooms"}
    assert {*decided.derived} == {"event_weekday", "event_hour"}


def test_the_calendar_holds_whole_periods_and_enough_rows(file, tmp_path):
    decided, _ = new(ASKED, file, folder=tmp_path / "models")
    assert decided.period == "day"  # five weeks are few
    file.write_text(bookings(days=66, rows=40).to_csv(index=False), encoding="utf-8")
    closed = replace(ASKED, end="last")
    decided, _ = new(closed, file, folder=tmp_path / "others")
    assert (decided.period, str(decided.start), str(decided.end)) == ("week", "2016-07-04", "2016-08-29")
    file.write_text(bookings(rows=250).to_csv(index=False), encoding="utf-8")
    decided, _ = new(closed, file, folder=tmp_path / "more")
    assert (decided.period, str(decided.start), str(decided.end)) == ("day", "2016-07-02", "2016-07-31")


@pytest.mark.parametrize("length", [10, 16])
def test_dates_without_an_hour_are_not_asked_to_reach_the_end_of_their_period(file, tmp_path, length):
    rows = bookings()
    rows["Anreise am"] = rows["Anreise am"].str[:length]
    rows.to_csv(file, index=False)
    _, folder = new(ASKED, file, folder=tmp_path)
    assert ("PeriodCovered" in (folder / "expectations.py").read_text()) == (length > 10)


def test_small_partitions_get_a_window_that_can_be_trained_on(file, tmp_path):
    asked = Asked("hotel", "Zimmerpreis (€)", "Anreise am", period="day")
    decided, folder = new(asked, file, folder=tmp_path)
    definition = load_definition("hotel", folder.parent)
    assert definition.training.window == decided.window == 75
    assert definition.training.window * decided.rows >= definition.training.min_rows
    assert definition.gate.holdout == 7  # rows of one day fail together: two days prove nothing
    assert definition.monitoring.min_new_rows == decided.min_new_rows == definition.monitoring.refresh * decided.rows


def test_a_file_of_few_days_holds_out_as_many_as_the_default(file, tmp_path):
    rows = bookings()
    days = rows["Anreise am"].str[:10]
    rows[days.isin(sorted(days.unique())[:20])].to_csv(file, index=False)
    new(Asked("hotel", "Zimmerpreis (€)", "Anreise am", period="day"), file, folder=tmp_path)
    assert load_definition("hotel", tmp_path).gate.holdout == 2


def test_a_file_with_nothing_but_target_and_time_is_refused_with_what_to_add(tmp_path):
    times = pd.date_range("2000-01-01", periods=400, freq="7D").strftime("%Y-%m-%d")
    pd.DataFrame({"date": times, "co2": np.arange(400) * 0.1}).to_csv(tmp_path / "co2.csv", index=False)
    with pytest.raises(BadInputError, match=r"no column can be a feature: .*'co2'.*'date' the file has no other\."):
        new(Asked("co2", "co2", "date"), tmp_path / "co2.csv", folder=tmp_path / "models")
    assert not (tmp_path / "models" / "co2").exists()


def test_rows_without_a_target_have_no_label_yet(file, tmp_path):
    new(ASKED, file, folder=tmp_path)
    definition, source = load_definition("hotel", tmp_path), DataFile(file)
    inputs, labels = (source.rows_of(definition, table) for table in ("inputs", "labels"))
    assert len(inputs) == 600
    assert 500 < len(labels) < 600
    assert labels["Zimmerpreis (€)"].notna().all()


def test_parquet_with_gaps_and_a_yes_or_no(tmp_path):
    rows = bookings().assign(paid=[True, False] * 300, Rooms=[2.0, np.nan, 1.0] * 200).drop(columns="Zimmerpreis (€)")
    rows["Anreise am"] = pd.to_datetime(rows["Anreise am"])
    rows["Land"] = rows["Land"].astype("category")
    rows.to_parquet(tmp_path / "b.parquet", index=False)
    decided, _ = new(Asked("paid", "paid", "Anreise am"), tmp_path / "b.parquet", folder=tmp_path)
    assert (decided.task, decided.labels["paid"]) == ("binary", "boolean")
    assert (decided.inputs["Rooms"], decided.inputs["Land"]) == ("integer", "string")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"target": "Preis"}, "--target 'Preis': the file has no such column; it has Land, Buchung №"),
        ({"target": "Buchung №"}, "holds .* must be true/false or 0/1 .* or 20 different texts at most .* it has 600"),
        (
            {"target": "Zimmerpreis (€)", "task": "binary"},
            r"--task binary: Zimmerpreis \(€\) holds .* write it as true/false",
        ),
        ({"target": "Zimmerpreis (€)", "task": "multiclass"}, "classes are texts or whole numbers"),
        ({"target": "Land", "task": "regression"}, "--task regression: Land is of type string"),
        ({"time": "Land"}, "--time 'Land' holds .* timestamps such as 2013-01-07T06:00:00Z"),
        ({"entity": "Lead"}, "--entity 'Lead': name a column of text or whole numbers: Land"),
        ({"entity": "Rooms"}, "--entity 'Rooms' is missing in"),
        ({"name": "Hotel"}, "cannot be a model's name"),
    ],
)
def test_what_makes_no_model_is_said_and_leaves_nothing(file, tmp_path, asked, said):
    wanted = {"name": "hotel", "target": "Zimmerpreis (€)", "time": "Anreise am"} | asked
    with pytest.raises(BadInputError, match=said):
        new(Asked(**wanted), file, folder=tmp_path / "models")
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


@pytest.mark.parametrize("name", ["../hotel", "/tmp/hotel", "Hotel", "ho tel", "1st", "", "hotel\n", "h" * 64])
def test_a_name_that_cannot_be_one_is_said_and_leaves_nothing(file, tmp_path, name):
    (tmp_path / "deep" / "models").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInputError, match="cannot be a model's name: take small letters"):
        new(replace(ASKED, name=name), file, folder=tmp_path / "deep" / "models")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_cannot_stand_in_a_definition_is_said_without_a_file_that_is_gone(file, tmp_path):
    with pytest.raises(DefinitionError, match=r"^model\.yaml:\d+: alerts\.to: 'nobody' is not an e-mail address"):
        new(replace(ASKED, mail="nobody"), file, folder=tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())


def test_rows_that_nothing_names_are_known_by_their_content(file, tmp_path):
    rows = bookings().drop(columns=["Buchung №", "note", "Lead Time"])
    rows["Anreise am"] = rows["Anreise am"].str[:10]
    pd.concat([rows, rows.iloc[[3, 3]]]).to_csv(file, index=False)
    asked = Asked("hotel", "Zimmerpreis (€)", "Anreise am", later=("Trinkgeld",))
    plan, _ = new(asked, file, folder=tmp_path / "models")
    assert plan.content
    assert any("no column of text or whole numbers names each row" in note.text for note in plan.notes)
    definition = load_definition("hotel", tmp_path / "models")
    past = PastRows(definition, DataFile(file))
    url = (tmp_path / "landing").as_uri()
    land(definition, definition.partitions.keys("2016-07-02", past.last_tick()), landing_url=url, rows=past.partition)
    checks = check_folder(definition, tmp_path / "landing" / "hotel")
    assert {(check.accepted, check.table) for check in checks} == {(True, "inputs"), (True, "labels")}
    assert sum(check.rows for check in checks if check.table == "inputs") == len(rows) + 2


def test_hours_of_a_time_zone(tmp_path):
    at = pd.date_range("2024-10-20", "2024-11-04", freq="h", inclusive="left").repeat(3)
    frame = pd.DataFrame({"sensor": [7, 8, 9] * (len(at) // 3), "at": at, "x": np.arange(len(at)) % 7})
    frame = frame.assign(y=frame["x"] % 5 / 2, at=frame["at"].dt.strftime("%Y-%m-%d %H:%M"))
    frame.to_csv(tmp_path / "d.csv", index=False)
    asked = Asked("air", "y", "at", period="hour", timezone="Europe/Berlin")
    plan, folder = new(asked, tmp_path / "d.csv", folder=tmp_path / "models")
    assert (plan.repeated_hour, {*plan.joined}) == ("first", {"sensor", "at"})
    assert any("show twice" in note.text for note in plan.notes)
    definition = load_definition("air", folder.parent)
    assert (definition.partitions.first_key, definition.calendar.start) == ("2024-10-19T22", dt.date(2024, 10, 20))
    assert (definition.gate.holdout, definition.training.window) == (168, 500)
    past = PastRows(definition, DataFile(tmp_path / "d.csv", clock=definition.calendar.clock))
    keys = definition.partitions.keys("2024-10-26T22", "2024-10-27T03")
    landed = land(definition, keys, landing_url=(tmp_path / "landing").as_uri(), with_labels=True, rows=past.partition)
    rows = {item.key: item.rows for item in landed if item.table == "inputs"}
    # The file has no second hour from two to three: the hour of it has no rows.
    assert rows == {key: 3 for key in keys if key != "2024-10-27T01"}
    assert all(check.accepted for check in check_folder(definition, tmp_path / "landing" / "air"))


def test_a_zone_whose_clocks_skip_a_time_of_the_file_is_not_its_zone(tmp_path):
    at = pd.date_range("2024-03-20", "2024-04-04", freq="h", inclusive="left")
    frame = pd.DataFrame({"id": range(len(at)), "at": at, "x": np.arange(len(at)) % 7, "y": np.arange(len(at)) % 5 / 2})
    frame.to_csv(tmp_path / "d.csv", index=False)
    with pytest.raises(BadInputError, match=r"at: 1 of 360 .* of Europe/Berlin skip, such as '2024-03-31 02"):
        new(Asked("air", "y", "at", timezone="Europe/Berlin"), tmp_path / "d.csv", folder=tmp_path / "models")
    with pytest.raises(BadInputError, match="--timezone 'Berlin' is no time zone"):
        new(Asked("air", "y", "at", timezone="Berlin"), tmp_path / "d.csv", folder=tmp_path / "models")


def test_an_existing_model_is_left_alone(file, tmp_path):
    _, folder = new(ASKED, file, folder=tmp_path)
    (folder / "features.py").write_text("mine")
    with pytest.raises(RefusedError, match="is there already"):
        new(ASKED, file, folder=tmp_path)
    assert (folder / "features.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["no", "a b", "12", "Preis (€)", "x: y", "a #b", "№", '"', "null", "2013-01-07", "-"])
def test_names_read_back_from_yaml_as_they_are(name):
    import yaml

    assert yaml.safe_load(f"{scalar(name)}: float\n") == {name: "float"}
    assert yaml.safe_load(f"- {scalar(name)}") == [name]


def test_the_commands_go_from_a_file_to_partitions(file, tmp_path, monkeypatch):
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(tmp_path / "models"))
    run = CliRunner().invoke
    file = file.rename(file.with_name("my bookings.csv"))
    arguments = ["--data", str(file), "--target", "Zimmerpreis (€)", "--time", "Anreise am", "--period", "week"]
    said = run(app, ["new", "hotel", *arguments])
    assert said.exit_code == 0, said.output
    assert f"--data '{file}' --to" in said.output.replace("\n", "")
    assert "each week from 2016-07-04 and goes on" in said.output
    answer = run(app, ["feed", "land", "hotel", "--data", str(file), "--to", str(tmp_path / "landing"), "--json"])
    assert answer.exit_code == 0, answer.output
    landed = json.loads(answer.output)["landed"]
    assert [item["key"] for item in landed if item["table"] == "labels"] == [
        "2016-07-04", "2016-07-11", "2016-07-18", "2016-07-25",
    ]  # fmt: skip
    assert run(app, ["feed", "land", "hotel"]).exit_code == 2


def test_a_column_of_numbers_but_for_its_word_for_nothing_is_said(tmp_path, monkeypatch):
    path, rows = tmp_path / "bookings.csv", bookings()
    rows["Lead Time"] = rows["Lead Time"].astype(str).where(np.arange(len(rows)) % 20 > 0, "nil")
    rows.to_csv(path, index=False)
    plan, _ = new(ASKED, path, folder=tmp_path / "models")
    assert plan.nearly == {"Lead Time": "'nil' in 30 of 600 rows"}, "and `code`, all of whose texts are digits, is not"
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(tmp_path / "others"))
    arguments = ["new", "hotel", "--data", str(path), "--target", "Zimmerpreis (€)", "--time", "Anreise am"]
    shown = " ".join(CliRunner().invoke(app, arguments).output.split())
    assert "text Lead Time: 'nil' in 30 of 600 rows; it is numbers otherwise. Leave missing values empty" in shown


def orders(labelled, days=40, rows=300):
    """Orders of which so large a share has a result."""
    rng, count = np.random.default_rng(5), days * rows
    return pd.DataFrame(
        {
            "id": [f"o{n}" for n in range(count)],
            "at": pd.date_range("2024-01-01", periods=count, freq=dt.timedelta(days=1) / rows).strftime(
                "%Y-%m-%d %H:%M"
            ),
            "price": rng.normal(90, 20, count).round(2),
            "returned": np.where(rng.random(count) < labelled, rng.integers(0, 2, count).astype(str), ""),
        }
    )


@pytest.mark.parametrize("labelled", [0.01, 0.04, 0.3, 0.45])
def test_a_feed_that_labels_the_lesser_part_of_its_rows_can_train(labelled, tmp_path):
    path = tmp_path / "orders.csv"
    orders(labelled).to_csv(path, index=False)
    decided, _ = new(Asked("orders", "returned", "at"), path, folder=tmp_path / "models")
    definition, source = load_definition("orders", tmp_path / "models"), DataFile(path)
    complete = definition.feed.labels.complete
    assert labelled / 3 < complete < labelled
    assert any("labels count from" in note.text for note in decided.notes)
    keys = definition.partitions.keys("2024-01-01", "2024-02-08")
    coverages = [
        Coverage(key, *(len(source.partition(definition, table, key)) for table in ("inputs", "labels")))
        for key in keys
    ]
    assert np.mean([stands.mature for stands in judge(coverages, complete).values()]) > 0.8
    assert not any(stands.mature for stands in judge(coverages, None).values())


@pytest.mark.parametrize("labelled", [0.6, 1.0])
def test_a_feed_that_labels_most_of_its_rows_learns_what_is_usual(labelled, tmp_path):
    path = tmp_path / "orders.csv"
    orders(labelled).to_csv(path, index=False)
    new(Asked("orders", "returned", "at"), path, folder=tmp_path / "models")
    assert load_definition("orders", tmp_path / "models").feed.labels.complete is None
