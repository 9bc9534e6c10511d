"""Verdicts that look at what was accepted before, on a real ledger and store."""

import json
import random
from pathlib import Path
from urllib.parse import urlparse

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger.queries import partitions
from evergreen.core.ledger.tables import LabelCoverage, LabelHold, PartitionVersion, Verdict
from evergreen.core.store import Store, layout
from evergreen.errors import BadInputError, DefinitionError
from evergreen.loop.intake.validation.gather_past import profile_name
from evergreen.tools.check_drops import check_folder

pytestmark = pytest.mark.integration

EXPECTATIONS = """
import great_expectations.expectations as gxe
from evergreen.loop.intake.comparisons.rules import Categories, MatchesInputs, Nulls, Numbers, RowCount

def inputs():
    return [
        gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0, max_value=100),
        RowCount(last=4, least=3, alpha=0.05, severity="SEVERITY"),
        Nulls(last=4, least=3, alpha=0.05),
        Numbers(columns=["price"], last=4, least=3, alpha=0.05),
        Categories(columns=["country"], last=4, least=3, alpha=0.05),
    ]

def labels():
    return [MatchesInputs(unknown=0.05, covered=0.8)]
"""
KEYS = [f"2024-01-0{n}" for n in range(1, 8)]


@pytest.fixture
def compared(shop):
    """The small model, with expectations that compare."""

    def write(severity="warning"):
        (shop.folder / "expectations.py").write_text(EXPECTATIONS.replace("SEVERITY", severity))

    shop.compare = write
    write()
    return shop


def labels_of(orders: pd.DataFrame, ids=None) -> pd.DataFrame:
    found = orders[["order_id", "ordered_at"]].assign(returned=True)
    return found if ids is None else found.assign(order_id=ids)


def sentences(result) -> list[str]:
    return [failure["sentence"] for failure in result.failures]


def land_and_ingest(shop, key, **columns):
    shop.land(key, shop.orders(key, **columns))
    return shop.ingest(key)


def test_a_day_unlike_those_before_is_accepted_and_says_how_it_differs(compared):
    first = land_and_ingest(compared, KEYS[0])
    assert first.reason == (
        "50 rows; 1 of 1 expectations hold; not compared with earlier partitions: none accepted, 3 of the 4 before it "
        "are needed"
    )
    for key in KEYS[1:3]:
        land_and_ingest(compared, key)
    odd = land_and_ingest(compared, KEYS[3], rows=20, price=90.0, country="XX")
    assert odd.outcome == "accepted"
    said = " ".join(sentences(odd))
    assert "the number of rows is 20" in said
    assert "price: the 5 % quantile is 90, expected 9.5" in said
    assert "country: the shares of the values have moved: 'SE' 0 % (was 99.5 %), 'XX' 100 % (was 0.5 %)" in said
    assert "(from 3 accepted partitions, 2024-01-01 to 2024-01-03)" in said
    store = Store.from_settings(compared.settings)
    assert json.loads(store.read(store.name(odd.results_uri)))["success"] is False
    assert "Kullback-Leibler" in store.read(store.name(layout.data_docs(odd.results_uri))).decode()


def test_only_what_lies_before_in_the_calendar_counts(compared):
    for key in reversed(KEYS[1:5]):
        land_and_ingest(compared, key, rows=500)
    assert "none accepted" in land_and_ingest(compared, KEYS[0], rows=50).reason


def test_a_critical_comparison_quarantines_where_all_before_it_is_decided(compared):
    compared.compare("critical")
    for key in KEYS[:3]:
        land_and_ingest(compared, key)
    early = land_and_ingest(compared, KEYS[4], rows=9)  # the fourth day has not landed
    assert early.outcome == "accepted"
    assert "what is critical only warns: no verdict yet on 2024-01-04" in early.reason
    refused = land_and_ingest(compared, KEYS[3], rows=9)
    assert refused.outcome == "quarantined"
    assert "the number of rows is 9, expected" in refused.reason


def test_the_verdict_stands_whatever_lands_before_it_later(compared):
    late = land_and_ingest(compared, KEYS[4], rows=200)
    for key in KEYS[:4]:
        land_and_ingest(compared, key)
    again = compared.ingest(KEYS[4])
    assert (again.new, again.verdict_id) == (False, late.verdict_id)


def test_rules_that_compare_otherwise_give_a_new_verdict(compared):
    for key in KEYS[:3]:
        land_and_ingest(compared, key)
    before = compared.ingest(KEYS[2])
    compared.compare("critical")
    again = compared.ingest(KEYS[2])
    assert again.new is True
    assert again.results_uri != before.results_uri


def test_rows_without_a_profile_get_one_when_it_is_needed_and_rows_that_are_gone_are_passed_over(compared):
    for key in KEYS[:3]:
        land_and_ingest(compared, key)
    store, names = Store.from_settings(compared.settings), []
    with compared.ledger.transaction() as session:
        for partition, verdict in partitions.current_map(session, "shop", "inputs", KEYS[:3]).values():
            names.append(profile_name(partition, verdict.suite_hash))
    kept = [store.read(name) for name in names]
    for name in names:
        store.fs.rm(store.path(name))
    assert land_and_ingest(compared, KEYS[3]).reason == "50 rows; 9 of 9 expectations hold"
    assert [store.read(name) for name in names] == kept
    with compared.ledger.transaction() as session:
        _, verdict = partitions.current(session, "shop", "inputs", KEYS[2])
    for name in (names[2], store.name(verdict.clean_uri)):
        store.fs.rm(store.path(name))
    few = land_and_ingest(compared, KEYS[4], rows=20)
    assert "(from 3 accepted partitions, 2024-01-01 to 2024-01-04)" in few.reason


def test_a_comparison_that_does_not_fit_the_definition_is_an_error_with_its_place(compared):
    compared.land(KEYS[0], compared.orders(KEYS[0]))
    for rule, words in (
        ("Numbers(columns=['country'])", "Numbers is for columns of type integer or float, not for country"),
        ("Nulls(columns=['prize'])", "there is no column prize in feed.tables.inputs"),
        ("MatchesInputs()", "is about labels; write it in labels"),
        ("RowCount(least=0)", "least and last must be"),
    ):
        text = f"from evergreen.expectations import *\ndef inputs():\n    return [{rule}]\n"
        (compared.folder / "expectations.py").write_text(text)
        with pytest.raises(DefinitionError, match=r"expectations\.py") as caught:
            compared.ingest(KEYS[0])
        assert words in str(caught.value)


def test_labels_of_entities_that_the_inputs_lack_are_refused_where_they_are_many(compared):
    orders = compared.orders(KEYS[0])
    compared.land(KEYS[0], orders)
    compared.ingest(KEYS[0])
    compared.land(KEYS[0], labels_of(orders, [*orders["order_id"][:48], "x-1", "x-2"]), "labels")
    few = compared.ingest(KEYS[0], "labels")
    assert few.outcome == "accepted"
    assert sentences(few) == [
        "order_id: 2 of 50 (4.0 %) rows have an id that inputs of 2024-01-01, version 1 lack, such as 'x-1', 'x-2'"
    ]
    compared.land(KEYS[0], labels_of(orders, [f"x-{n}" for n in range(50)]), "labels")
    many = compared.ingest(KEYS[0], "labels")
    assert many.outcome == "quarantined"
    assert "order_id: 0 of 50 (0 %) inputs have a label" in " ".join(sentences(many))


def test_whichever_of_labels_and_inputs_comes_last_is_compared_with_the_other(compared):
    orders = compared.orders(KEYS[0])
    compared.land(KEYS[0], labels_of(orders, [*orders["order_id"][:40], *(f"x-{n}" for n in range(10))]), "labels")
    labels = compared.ingest(KEYS[0], "labels")
    assert labels.outcome == "accepted"
    assert "not compared with the inputs: none of this partition are accepted yet, or they are gone" in labels.reason
    compared.land(KEYS[0], orders.assign(price=-1.0))
    assert compared.ingest(KEYS[0]).outcome == "quarantined"
    compared.land(KEYS[0], orders)
    inputs = compared.ingest(KEYS[0])
    assert inputs.outcome == "accepted"
    assert "10 of 50 (20 %) rows of labels of 2024-01-01, version 1 have an id that these inputs lack" in inputs.reason
    assert compared.ingest(KEYS[0]).new is False


def test_labels_whose_inputs_were_removed_from_the_store_get_their_verdict(compared):
    orders = compared.orders(KEYS[0])
    inputs = land_and_ingest(compared, KEYS[0])
    store = Store.from_settings(compared.settings)
    store.fs.rm(store.path(store.name(inputs.clean_uri)))
    compared.land(KEYS[0], labels_of(orders), "labels")
    labels = compared.ingest(KEYS[0], "labels")
    assert labels.outcome == "accepted"
    assert "or they are gone" in labels.reason


def test_offline_the_partitions_before_are_looked_for_in_folders(compared, tmp_path):
    for key in KEYS[:3]:
        compared.land(key, compared.orders(key))
    feed, drop = Path(urlparse(compared.file(KEYS[0])).path).parent.parent, tmp_path / KEYS[3]
    drop.mkdir()
    compared.orders(KEYS[3], rows=20).to_parquet(drop / "inputs.parquet")
    labels_of(compared.orders(KEYS[3], rows=20), [f"x-{n}" for n in range(20)]).to_parquet(drop / "labels.parquet")
    alone, labels = check_folder(compared.definition, drop)
    assert "not compared with earlier partitions: none accepted" in alone.reason
    assert (alone.accepted, labels.accepted) == (True, False)
    assert "have an id that inputs of 2024-01-04 lack" in labels.reason
    told, _ = check_folder(compared.definition, drop, history=feed)
    assert "the number of rows is 20" in told.reason
    drop.rename(feed / KEYS[3])
    whole = {(check.key, check.table): check.reason for check in check_folder(compared.definition, feed)}
    assert whole[KEYS[3], "inputs"] == told.reason
    with pytest.raises(BadInputError, match="is not a folder"):
        check_folder(compared.definition, feed, history=tmp_path / "nowhere")


def test_labels_are_compared_with_inputs_where_ids_are_personal(compared, tmp_path):
    file = compared.folder / "model.yaml"
    file.write_text(file.read_text().replace("  entity: order_id", "  entity: order_id\n  personal: [order_id]"))
    definition, orders = read_definition(file), compared.orders(KEYS[0])
    (tmp_path / KEYS[0]).mkdir()
    orders.to_parquet(tmp_path / KEYS[0] / "inputs.parquet")
    labels_of(orders).to_parquet(tmp_path / KEYS[0] / "labels.parquet")
    assert [check.failures for check in check_folder(definition, tmp_path)] == [[], []]


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_days_end_the_same_in_whatever_order_they_land(compared, dice):
    """Warnings may differ, outcomes and accepted rows may not: nothing that compares quarantines unless told to."""
    numbers = random.Random(5)
    drops = {
        key: compared.orders(key, rows=numbers.choice([20, 50, 51, 400]), price=9.0 + n) for n, key in enumerate(KEYS)
    }
    drops[KEYS[3]]["price"] = -1.0
    ends = []
    order = list(KEYS)
    dice.shuffle(order)
    for arrival in (KEYS, order, KEYS[::-1]):
        with compared.ledger.transaction() as session:
            session.execute(Verdict.__table__.delete())
            session.execute(PartitionVersion.__table__.delete())
        for key in arrival:
            compared.land(key, drops[key])
            compared.ingest(key)
        with compared.ledger.transaction() as session:
            query = select(PartitionVersion.key, Verdict.outcome, Verdict.rows_accepted, Verdict.clean_uri)
            found = session.execute(query.join(Verdict.partition).order_by(PartitionVersion.key)).all()
        ends.append([tuple(row) for row in found])
    assert ends[0] == ends[1] == ends[2]
    assert [row[1] for row in ends[0]].count("quarantined") == 1


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_labels_and_inputs_end_the_same_in_whatever_order_they_land_or_both_are_told_of(compared, dice):
    """Labels within `unknown` end the same. Beyond it, those that came before their inputs stay: the inputs tell."""
    within, beyond = KEYS[0], KEYS[1]
    drops = {}
    for key, strangers in ((within, 1), (beyond, 10), (KEYS[2], 0)):
        orders = compared.orders(key)
        ids = [*orders["order_id"][strangers:], *(f"x-{n}" for n in range(strangers))]
        drops |= {("inputs", key): orders, ("labels", key): labels_of(orders, ids)}
    drops["inputs", KEYS[2]] = drops["inputs", KEYS[2]].assign(price=-1.0)  # these never come out of quarantine
    order, ends = list(drops), []
    dice.shuffle(order)
    for arrival in (list(drops), order, list(drops)[::-1]):
        with compared.ledger.transaction() as session:
            for table in (LabelHold, LabelCoverage, Verdict, PartitionVersion):
                session.execute(table.__table__.delete())
        said = {}
        for table, key in arrival:
            compared.land(key, drops[table, key], table)
            said[table, key] = compared.ingest(key, table)
        first = arrival.index(("inputs", beyond)) < arrival.index(("labels", beyond))
        labels, inputs = said.pop(("labels", beyond)), said["inputs", beyond]
        assert labels.outcome == ("quarantined" if first else "accepted")
        assert ("10 of 50 (20 %) rows of labels" in inputs.reason) != first
        ends.append({place: (found.outcome, found.rows, found.clean_uri) for place, found in said.items()})
    assert ends[0] == ends[1] == ends[2]
    assert [place for place, end in ends[0].items() if end[0] == "quarantined"] == [("inputs", KEYS[2])]
