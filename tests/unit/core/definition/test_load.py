"""Reading model.yaml: the shipped definition is right, and a wrong one says where and what."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from evergreen.core.definition import list_models, load_definition
from evergreen.core.definition.load import models_dir, read_definition
from evergreen.errors import DefinitionError

SHIPPED = (models_dir() / "nyc_flights" / "model.yaml").read_text()


def write(tmp_path: Path, text: str, folder: str = "nyc_flights") -> Path:
    path = tmp_path / folder / "model.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def line_of(text: str, start: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start))


@pytest.mark.parametrize("name", list_models())
def test_every_shipped_definition_is_valid(name):
    assert load_definition(name).name == name


def test_a_definition_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        load_definition("nyc_flights").gate.alpha = 0.2


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        ("label_delay: 1", "label_dealy: 1", "label_dealy", "feed.label_dealy: unknown field"),
        ("task: binary", "task: binery", "task:", "task: Input should be 'binary', 'regression' or 'multiclass'"),
        ("target: late", "target: lateness", "name:", "'lateness' is not a column of feed.tables.labels"),
        ("start: 2013-01-07", "start: 2013-01-08", "calendar:", "not the first day of a week; try 2013-01-07"),
        ("look_back: 4", "look_back: -1", "look_back:", "features.look_back: -1 is not between 0 and 53 partitions"),
        ("slices: [origin, carrier]", "slices: [orign]", "name:", "gate.slices names unknown columns: orign"),
        (
            "history: [carrier, origin",
            "history: [carier, origin",
            "name:",
            "features.history names columns that no table of the feed has: carier",
        ),
        ("flight-oncall@example.com", "flight-oncall", "to:", "'flight-oncall' is not an e-mail address"),
        ("owner: flight-operations", "", "name:", "owner: required field is missing"),
        ("    - distance\n", "    - part\n", "- part", "'part' is a column that Evergreen puts beside it"),
        ("    - distance\n", "    - __all__\n", "- __all__", "begin with two underscores are Evergreen's own"),
        ("    - carrier\n", "    - cluster\n", "- cluster", "features.categorical.0: 'cluster' is a column"),
        ("target: late", "target: prediction", "target:", "target: 'prediction' is a column that Evergreen puts"),
        ("entity: flight_id", "entity: prediction", "entity:", "feed.entity: 'prediction' is a column"),
        ("distance: integer", "distance: int", "distance: int", "feed.tables.inputs.columns.distance: Input should be"),
    ],
)
def test_a_fault_names_file_line_and_field(tmp_path, old, new, at, says):
    text = SHIPPED.replace(old, new, 1)
    assert text != SHIPPED
    path = write(tmp_path, text)
    with pytest.raises(DefinitionError) as caught:
        read_definition(path)
    assert says in str(caught.value)
    assert f"{path}:{line_of(text, at)}: " in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"late: boolean": "late: string"},
            "is of type string, which does not fit task 'binary'; declare it as boolean",
        ),
        ({"late: boolean": "late: timestamp"}, "is of type timestamp, which does not fit task 'binary'"),
        (
            {"late: boolean": "late: string", "task: binary": "task: regression"},
            "is of type string, which does not fit task 'regression'; declare it as float or integer",
        ),
    ],
)
def test_a_target_that_cannot_be_predicted_is_refused(tmp_path, changes, says):
    text = SHIPPED
    for old, new in changes.items():
        text = text.replace(old, new, 1)
    with pytest.raises(DefinitionError, match=f"target 'late' of feed.tables.labels {re.escape(says)}"):
        read_definition(write(tmp_path, text))


def test_an_entity_of_two_types_is_refused(tmp_path):
    before, after = SHIPPED.split("    labels:\n", 1)
    text = before + "    labels:\n" + after.replace("flight_id: string", "flight_id: integer", 1)
    says = "entity 'flight_id' is of type string in tables.inputs and integer in tables.labels"
    with pytest.raises(DefinitionError, match=says):
        read_definition(write(tmp_path, text))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ("[carrier, gate]", "entity_from names 'gate', which is not another column of tables.inputs"),
        ("[flight_id]", "entity_from names 'flight_id', which is not another column"),
    ],
)
def test_an_id_joins_other_columns_of_the_inputs(tmp_path, parts, says):
    text = SHIPPED.replace("  entity: flight_id", f"  entity: flight_id\n  entity_from: {parts}", 1)
    with pytest.raises(DefinitionError, match=says):
        read_definition(write(tmp_path, text))


def test_all_faults_are_reported_at_once(tmp_path):
    path = write(tmp_path, SHIPPED.replace("task: binary", "task: x").replace("look_back: 4", "look_back: many"))
    with pytest.raises(DefinitionError) as caught:
        read_definition(path)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["name: [", "a: b: c", "\tname: x"])
def test_broken_yaml_names_the_line(tmp_path, text):
    with pytest.raises(DefinitionError, match=r"model.yaml:[12]: not valid YAML"):
        read_definition(write(tmp_path, text))


@pytest.mark.parametrize("text", ["", "- a\n", "just words\n"])
def test_a_file_without_fields_is_refused(tmp_path, text):
    with pytest.raises(DefinitionError, match="expected fields"):
        read_definition(write(tmp_path, text))


def test_name_and_folder_must_agree(tmp_path):
    with pytest.raises(DefinitionError, match="differs from its folder 'other'"):
        read_definition(write(tmp_path, SHIPPED, folder="other"))


def test_an_unknown_model_names_the_known_ones():
    with pytest.raises(DefinitionError, match=r"known models: .*nyc_flights"):
        load_definition("nyc_fligths")


def test_a_field_given_twice_is_refused(tmp_path):
    text = SHIPPED + "\ngate:\n  alpha: 0.2\n"
    with pytest.raises(DefinitionError, match=r"gate: given twice, first in line \d+"):
        read_definition(write(tmp_path, text))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("alpha: 1.0", "gate.alpha: Input should be less than or equal to 0.2"),
        ("alpha: .nan", "gate.alpha: Input should be "),
        ("margin: 10", "gate.margin: Input should be less than or equal to 0.1"),
        ("slice_margin: 5", "gate.slice_margin: Input should be less than or equal to 0.25"),
        ("slice_min_rows: 1000000", "gate.slice_min_rows: Input should be less than or equal to 1000"),
        ("calibration_margin: 1", "gate.calibration_margin: Input should be less than or equal to 0.1"),
        ("max_latency_ms: .inf", "gate.max_latency_ms: Input should be less than or equal to 5000"),
        ("max_model_mb: .inf", "gate.max_model_mb: Input should be less than or equal to 5000"),
        ("holdout: 0", "gate.holdout: Input should be greater than or equal to 1"),
        ("approval: skip", "gate.approval: Input should be 'never', 'borderline' or 'always'"),
        ("approval_timeout: P400D", "gate.approval_timeout: Input should be less than or equal to 90 days"),
        ("approval_timeout: PT0S", "gate.approval_timeout: Input should be greater than 0 seconds"),
        ("enabled: false", "gate.enabled: unknown field"),
        ("guards: []", "gate.guards: unknown field"),
        ("fairness: {by: []}", "gate.fairness.by: Tuple should have at least 1 item"),
        ("fairness: {by: [origin], max_difference: 1}", "gate.fairness.max_difference: Input should be less than"),
        ("fairness: {by: [origin], min_rows: 9999999}", "gate.fairness.min_rows: Input should be less than"),
        ("fairness: {by: [origin], ignore: true}", "gate.fairness.ignore: unknown field"),
    ],
)
def test_the_gate_cannot_be_switched_off(tmp_path, setting, says):
    text = SHIPPED.replace("  cluster: flight_date", f"  cluster: flight_date\n  {setting}")
    path = write(tmp_path, text)
    with pytest.raises(DefinitionError) as caught:
        read_definition(path)
    assert str(caught.value).startswith(f"{path}:{line_of(text, setting.split(':')[0] + ':')}: {says}")


@pytest.mark.parametrize(
    ("gate", "says"),
    [
        ("gate:", "gate: Input should be a valid dictionary"),
        ("gate: off", "gate: Input should be a valid dictionary"),
        ("gate: {cluster: flight_id}", "gate.cluster 'flight_id' differs from row to row"),
        ("gate: {cluster: scheduled_departure}", "gate.cluster 'scheduled_departure' differs from row to row"),
        ("gate: {cluster: temperature}", "gate.cluster 'temperature' differs from row to row"),
        ("gate: {cluster: day}", "gate.cluster 'day' is not a column of feed.tables.inputs"),
        ("gate: {fairness: {by: [sex]}}", "gate.fairness.by names unknown columns: sex"),
        (
            "gate: {fairness: {by: [origin], metric: mean_absolute_error_difference}}",
            "gate.fairness.metric 'mean_absolute_error_difference' does not fit task 'binary'; use one of",
        ),
    ],
)
def test_a_gate_that_would_not_judge_is_refused(tmp_path, gate, says):
    start, end = SHIPPED.index("gate:"), SHIPPED.index("alerts:")
    path = write(tmp_path, f"{SHIPPED[:start]}{gate}\n{SHIPPED[end:]}")
    with pytest.raises(DefinitionError, match=re.escape(says)):
        read_definition(path)


def test_groups_are_compared_by_a_metric_that_fits_the_task(tmp_path):
    text = SHIPPED.replace("  cluster: flight_date", "  cluster: flight_date\n  fairness: {by: [destination, origin]}")
    definition = read_definition(write(tmp_path, text))
    assert definition.disparity == "equalized_odds_difference"
    assert definition.gate.columns == ("origin", "carrier", "destination")
    assert load_definition("nyc_flights").gate.columns == ("origin", "carrier")
    assert load_definition("nyc_flights").gate.loosened == ()
    text = text.replace("task: binary", "task: regression").replace("late: boolean", "late: float")
    definition = read_definition(write(tmp_path / "other", text))
    assert definition.disparity == "mean_absolute_error_difference"


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(DefinitionError, match=r"model.yaml cannot be read: No such file"):
        read_definition(tmp_path / "gone" / "model.yaml")
