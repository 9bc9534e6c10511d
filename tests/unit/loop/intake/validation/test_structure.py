"""The rules that every table keeps."""

import pandas as pd
import pytest

from evergreen.loop.intake.validation.structure import check_structure

KEY = "2024-01-01"


@pytest.fixture
def check(shop):
    def run(frame: pd.DataFrame, table: str = "inputs") -> list[str]:
        return [failure.sentence for failure in check_structure(frame, shop, table, shop.partitions.period(KEY))]

    return run


def test_a_good_table_has_no_failures(check, orders):
    assert check(orders) == []


def test_no_rows(check, orders):
    assert check(orders.head(0)) == ["the table has no rows; 2024-01-01 should have some"]


def test_a_repeated_entity_is_counted_without_its_first_row(check, orders):
    orders.loc[4:, "order_id"] = "o-1"
    (sentence,) = check(orders)
    assert sentence == "order_id: 2 of 6 (33 %) rows repeat the identifier of an earlier row, such as 'o-1'"


def test_missing_entities_are_not_also_repeated_ones(check, orders):
    orders.loc[2:3, "order_id"] = None
    (sentence,) = check(orders)
    assert sentence.startswith("order_id: 2 of 6 (33 %) rows have no value")


def test_the_period_includes_its_start_and_not_its_end(check, orders):
    orders.loc[0, "ordered_at"] = pd.Timestamp("2024-01-01T00:00Z")
    orders.loc[5, "ordered_at"] = pd.Timestamp("2024-01-01T23:59:59.999999Z")
    assert check(orders) == []
    orders.loc[5, "ordered_at"] = pd.Timestamp("2024-01-02T00:00Z")
    (sentence,) = check(orders)
    assert "ordered_at: 1 of 6 (17 %) rows lie outside the period of 2024-01-01" in sentence
    assert "the file covers 2024-01-01 00:00 to 2024-01-02 00:00" in sentence


def test_a_label_needs_its_target(check, orders):
    labels = orders[["order_id", "ordered_at"]].assign(returned=[1.0, 0.0, None, 1.0, 0.0, 1.0])
    (sentence,) = check(labels, "labels")
    assert sentence == "returned: 1 of 6 (17 %) rows have no value; leave rows without ground truth out"


@pytest.mark.parametrize("kind", ["float64", "Int64"])
def test_the_target_of_a_binary_task_is_0_or_1(shop, orders, kind):
    labels = orders[["order_id", "ordered_at"]].assign(returned=pd.array([1, 0, 2, -1, 2, 1], dtype=kind))
    (failure,) = check_structure(labels, shop, "labels", shop.partitions.period(KEY))
    assert failure.sentence == (
        "returned: 3 of 6 (50 %) rows are neither 0 nor 1, which a binary task predicts, such as 2, -1"
    )
    assert failure.severity == "critical"
    assert list(failure.bad) == [2, 3, 4]
    regression = shop.model_copy(update={"task": "regression"})
    assert check_structure(labels, regression, "labels", shop.partitions.period(KEY)) == []
    assert check_structure(labels.assign(returned=True), shop, "labels", shop.partitions.period(KEY)) == []


def test_all_faults_are_found_at_once(check, orders):
    orders.loc[0, "ordered_at"] = pd.NaT
    orders.loc[1, "ordered_at"] = pd.Timestamp("1970-01-01T00:00Z")
    orders.loc[2, "order_id"] = "o-1"
    assert len(check(orders)) == 3


def classes_of(shop, *names):
    labels = shop.feed.tables["labels"]
    labels = labels.model_copy(update={"columns": {**labels.columns, "returned": "string"}})
    feed = shop.feed.model_copy(update={"tables": {**shop.feed.tables, "labels": labels}})
    return shop.model_copy(update={"task": "multiclass", "classes": names, "feed": feed})


def test_a_class_that_the_definition_does_not_name_is_a_warning(shop, orders):
    labels = orders[["order_id", "ordered_at"]].assign(returned=["kept", "kept", "lost", "swapped", "back", "lost"])
    period = shop.partitions.period(KEY)
    (found,) = check_structure(labels, classes_of(shop, "kept", "swapped", "back"), "labels", period)
    assert (found.severity, found.bad, found.count) == ("warning", None, 2)
    assert found.sentence == (
        "returned: 2 of 6 (33 %) rows are of a class that `classes` of model.yaml does not name: they count as lost "
        "and are not learned, such as 'lost'; name it there if it is a class"
    )
    assert check_structure(labels, classes_of(shop), "labels", period) == [], "each training learns its own"


def test_counts_are_not_below_zero(shop, orders):
    labels = orders[["order_id", "ordered_at"]].assign(returned=[0.0, 3.0, -1.0, 2.0, 0.0, 1.0])
    counts = shop.model_copy(update={"task": "regression", "gate": shop.gate.model_copy(update={"loss": "poisson"})})
    (found,) = check_structure(labels, counts, "labels", shop.partitions.period(KEY))
    assert found.sentence.startswith(
        "returned: 1 of 6 (17 %) rows are below 0, and gate.loss poisson is that of counts"
    )
    assert list(found.bad) == [2]
