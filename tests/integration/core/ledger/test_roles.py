"""The loop runs as a role that cannot change history, and pages as one that cannot write."""

import datetime as dt
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from evergreen.core.definition.sections import RetentionSection
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.tables import Base
from evergreen.core.ledger.views import history as life
from evergreen.loop.monitoring.check import run
from evergreen.operations.retention.collect import collect

pytestmark = pytest.mark.integration
SCRIPT = Path(__file__).parents[4] / "deploy" / "ledger-roles.sql"
CHANGING = {
    "partition_version",
    "training_run",
    "alert",
    "sighting",
    "collection",
    "incident",
    "incident_occurrence",
    "silence",
    "label_hold",
}


def as_role(url, role):
    return make_url(url).update_query_dict({"options": f"-c role={role}"}).render_as_string(hide_password=False)


@pytest.fixture
def roles(ledger_url):
    """URLs of the ledger as a task and as a page reach it."""
    connection = psycopg2.connect(ledger_url.replace("+psycopg2", ""))
    connection.autocommit = True
    for _ in range(2):  # it may be run again
        connection.cursor().execute(SCRIPT.read_text())
    yield as_role(ledger_url, "evergreen_worker"), as_role(ledger_url, "evergreen_reader")
    connection.cursor().execute("DROP OWNED BY evergreen_worker, evergreen_reader")
    connection.close()


def use(shop, url):
    shop.settings = shop.settings.model_copy(update={"ledger_url": type(shop.settings.ledger_url)(url)})
    shop.ledger = Ledger.from_settings(shop.settings)


def refused(ledger, statement):
    with pytest.raises(ProgrammingError, match="permission denied"), ledger.transaction() as session:
        session.execute(text(statement))
    return True


def test_a_task_adds_to_the_ledger_and_cannot_rewrite_it(shop, roles):
    worker, reader = roles
    use(shop, worker)
    for number in range(6, 9):
        shop.live(number)
    assert shop.train(as_of=7, cause="age") == shop.version + 1
    assert run(shop.definition, shop.key(8), settings=shop.settings).loss is not None
    keep = shop.definition.model_copy(update={"retention": RetentionSection(keep_validations=1)})
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=30)
    assert collect(keep, settings=shop.settings, now=later, dry_run=False).removed == 16

    for table in Base.metadata.tables:
        assert refused(shop.ledger, f'DELETE FROM "{table}"')
        assert refused(shop.ledger, f'TRUNCATE "{table}"')
        if table not in CHANGING:
            assert refused(shop.ledger, f'UPDATE "{table}" SET id = id')
    assert refused(shop.ledger, "UPDATE training_run SET dataset_hash = 'another'")
    assert refused(shop.ledger, "UPDATE alembic_version SET version_num = '0001'")

    pages = Ledger(reader)
    with pages.transaction() as session:
        assert len(life.deployments(session, "orders")) == 2
    assert refused(pages, "INSERT INTO sighting (model, kind, name) VALUES ('orders', 'drop', 'x')")
