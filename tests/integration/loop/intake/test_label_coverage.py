"""Coverage of labels is measured when it can be, by whoever can, and once."""

from pathlib import Path
from urllib.parse import urlparse

import pandas as pd
import pytest
from sqlalchemy import delete, select

from evergreen.core.ledger.queries import labels as coverages
from evergreen.core.ledger.tables import Alert, Collection, Incident, LabelCoverage, LabelHold, Verdict
from evergreen.errors import UnavailableError
from evergreen.loop.intake.labels import coverage
from evergreen.loop.intake.labels.usable import held_back, standings
from evergreen.loop.intake.receive import receive
from evergreen.loop.intake.validate import validate

pytestmark = pytest.mark.integration


def clean_file(shop, number, table="labels"):
    """Where the accepted rows of a week lie."""
    with shop.ledger.transaction() as session:
        pair = coverages.pairs(session, "orders")[shop.key(number)]
    return Path(urlparse(pair[table == "labels"][1].clean_uri).path)


def forget(shop, number=None):
    """Coverage that nobody has measured yet, as in a ledger that was upgraded just now."""
    with shop.ledger.transaction() as session:
        session.execute(delete(LabelHold))
        wanted = () if number is None else (LabelCoverage.key == shop.key(number),)
        session.execute(delete(LabelCoverage).where(*wanted))


def measured(shop):
    with shop.ledger.transaction() as session:
        rows = coverages.current_coverages(session, "orders", shop.definition.target)
        return {key: row.labelled for key, row in rows.items()}


def held(shop):
    with shop.ledger.transaction() as session:
        return held_back(session, shop.definition)


def mails(shop):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(Alert).where(Alert.kind == "labels").order_by(Alert.created_at)))


def review(shop):
    coverage.review(shop.definition, settings=shop.settings)


def all_but(shop, *numbers):
    return {shop.key(n): 700 for n in range(10) if n not in numbers}


def test_an_object_that_is_missing_is_held_back_and_measured_when_it_is_restored(young_shop, caplog):
    forget(young_shop, 3)
    path = clean_file(young_shop, 3)
    path.rename(path.with_suffix(".away"))
    review(young_shop)
    assert measured(young_shop) == all_but(young_shop, 3)
    assert held(young_shop) == {young_shop.key(3)}
    assert f"cannot be counted now of {young_shop.key(3)}" in caplog.text
    review(young_shop)
    (told,) = mails(young_shop)
    assert told.subject == "[evergreen] orders 2024-01-22: labels cannot be counted, nothing is learned from them"
    assert path.name in told.body["table"]["rows"][0][1]
    path.with_suffix(".away").rename(path)
    review(young_shop)
    assert measured(young_shop) == all_but(young_shop)
    assert held(young_shop) == set()
    review(young_shop)
    (over,) = mails(young_shop)[1:]
    assert over.subject == "[evergreen] orders 2024-01-22: all clear: labels cannot be counted"


def test_rows_that_retention_removed_are_settled_once(young_shop):
    forget(young_shop, 3)
    path = clean_file(young_shop, 3)
    # The shop names one file as what landed and as what was accepted, so that two columns of the ledger name it.
    with young_shop.ledger.transaction() as session:
        uri = session.scalar(select(Verdict.clean_uri).where(Verdict.clean_uri.endswith(path.name)))
        session.add(
            Collection(
                model="orders", name=uri, kind="clean", key=young_shop.key(3), rule="keep", asked_by="policy", rows=2,
            )
        )  # fmt: skip
    path.unlink()
    review(young_shop)
    assert measured(young_shop) == all_but(young_shop) | {young_shop.key(3): None}
    assert held(young_shop) == set()


def test_labels_that_land_again_and_cannot_be_read_stay_held(young_shop):
    weeks = young_shop.week(9)
    young_shop.accept("labels", 9, weeks[1].head(200))
    assert held(young_shop) == {young_shop.key(9)}
    young_shop.accept("labels", 9, weeks[1].head(300))
    with young_shop.ledger.transaction() as session:
        (hold,) = coverages.open_holds(session, "orders")
        newest = coverages.current_coverages(session, "orders")[young_shop.key(9)]
        session.execute(delete(LabelCoverage).where(LabelCoverage.id == newest.id))
    path = clean_file(young_shop, 9)
    path.rename(path.with_suffix(".away"))
    review(young_shop)
    with young_shop.ledger.transaction() as session:
        assert [one.id for one in coverages.open_holds(session, "orders")] == [hold.id]
        found = {met.scope: met.closed_at for met in session.scalars(select(Incident))}
        assert found == {"incomplete": None, "unread": None}, "nobody says that they count"


def test_a_damaged_file_stops_neither_the_others_nor_the_next_verdict(young_shop):
    forget(young_shop)
    path = clean_file(young_shop, 2)
    data = path.read_bytes()
    path.write_bytes(data[:64] + bytes(len(data) // 2) + data[64 + len(data) // 2 :])
    inputs, labels = young_shop.week(10)
    young_shop.accept("inputs", 10, inputs)
    assert measured(young_shop) == all_but(young_shop, 2)
    landed = land(young_shop, "labels", 10, labels)
    assert landed.outcome == "accepted", landed.reason
    assert measured(young_shop) == all_but(young_shop, 2) | {young_shop.key(10): 700}
    assert held(young_shop) == {young_shop.key(2)}
    path.write_bytes(data)
    review(young_shop)
    assert held(young_shop) == set()


def land(shop, table, number, frame):
    folder = Path(urlparse(shop.settings.landing_url).path) / "orders" / shop.key(number)
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / f"{table}.parquet", index=False)
    (folder / "_SUCCESS").write_bytes(b"")
    received = receive(shop.definition, table, shop.key(number), settings=shop.settings)
    return validate(shop.definition, received.partition_version_id, settings=shop.settings)


def test_what_was_measured_before_an_outage_is_kept_and_not_measured_again(young_shop, monkeypatch):
    forget(young_shop)
    read, asked = coverage.read_columns, []

    def broken(*given):
        asked.append(given)
        if len(asked) == 9:  # inputs and labels of four, and then the inputs of the fifth
            raise UnavailableError("the store does not answer")
        return read(*given)

    monkeypatch.setattr(coverage, "read_columns", broken)
    with pytest.raises(UnavailableError):
        review(young_shop)
    assert measured(young_shop) == all_but(young_shop, *range(4, 10))
    review(young_shop)
    assert measured(young_shop) == all_but(young_shop)
    assert len(asked) == 9 + 2 * 6
    review(young_shop)
    assert len(asked) == 9 + 2 * 6


def test_what_another_process_measures_meanwhile_is_not_read_again(young_shop, monkeypatch):
    forget(young_shop)
    read, keys = coverage.read_columns, []

    def slowly(verdict, *given):
        if not keys:
            keys.append(verdict.id)
            monkeypatch.setattr(coverage, "_unmeasured", lambda *_: dict(list(left(young_shop).items())[1:]))
            review(young_shop)  # the other process: it measures all but the one that this one is at
        keys.append(verdict.id)
        return read(verdict, *given)

    monkeypatch.setattr(coverage, "read_columns", slowly)
    review(young_shop)
    assert measured(young_shop) == all_but(young_shop)
    assert len(keys) == 1 + 2 * 10


def left(shop):
    with shop.ledger.transaction() as session:
        return coverages.pairs(session, "orders")


def test_another_target_is_measured_by_its_own_values(young_shop):
    extra = young_shop.definition.feed.tables["labels"].columns | {"kept": "boolean"}
    for number in (8, 9):
        _, labels = young_shop.week(number)
        late = pd.Series([True] * 100 + [None] * 600, dtype="boolean")
        young_shop.accept("labels", number, labels.assign(kept=late))
    assert held(young_shop) == set()
    of_kept = {"target": "kept", "feed": _with_columns(young_shop.definition.feed, extra)}
    young_shop.definition = young_shop.definition.model_copy(update=of_kept)
    review(young_shop)
    assert measured(young_shop) == {young_shop.key(8): 100, young_shop.key(9): 100}
    with young_shop.ledger.transaction() as session:
        bases = {key: stands.basis for key, stands in standings(session, young_shop.definition).items()}
        holds = [hold.key for hold in coverages.open_holds(session, "orders")]
    assert bases == {young_shop.key(n): "unmeasured" for n in range(8)} | {young_shop.key(n): "start" for n in (8, 9)}
    assert holds == [young_shop.key(8), young_shop.key(9)]


def _with_columns(feed, columns):
    section = feed.tables["labels"].model_copy(update={"columns": columns})
    return feed.model_copy(update={"tables": {**feed.tables, "labels": section}})


def test_the_all_clear_comes_though_who_measured_it_was_killed_before(young_shop, monkeypatch):
    for number in (8, 9):
        young_shop.accept("labels", number, young_shop.week(number)[1].head(200))
    young_shop.accept("inputs", 10, young_shop.week(10)[0])
    with monkeypatch.context() as patch:
        patch.setattr(coverage.holds, "settle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            young_shop.accept("labels", 10, young_shop.week(10)[1])
    review(young_shop)
    with young_shop.ledger.transaction() as session:
        subjects = list(session.scalars(select(Alert.subject).order_by(Alert.created_at)))
    assert [("all clear" in subject) for subject in subjects] == [False, True]
