"""The loop runs as a role that cannot change history, and pages as one that cannot write."""

import datetime as dt
import re
from pathlib import Path

import psycopg2
import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from evergreen.core.definition.sections import RetentionSection
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.migrate import _config, upgrade
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


def in_script_of(connection, owner):
    """The script as it was before revision 0010 came, run in a ledger of that time: `owner` migrates it."""
    since = ("label_hold", "incident", "alert_delivery", "silence", "reference_version")
    lines = [line for line in SCRIPT.read_text().splitlines() if not any(f" ON {table}" in line for table in since)]
    text_ = "\n".join(lines).replace("version, code_hash, search, decision,", "version,")
    connection.cursor().execute(text_.replace("FOR ROLE ledger", f"FOR ROLE {owner}"))


@pytest.fixture
def roles_of_before(ledger_url):
    """A ledger at revision 0009 whose roles were made then, and that was migrated since: its URL for tasks."""
    connection = psycopg2.connect(ledger_url.replace("+psycopg2", ""))
    connection.autocommit = True
    command.downgrade(_config(ledger_url), "base")
    command.upgrade(_config(ledger_url), "0009")
    in_script_of(connection, make_url(ledger_url).username)
    upgrade(ledger_url)
    yield as_role(ledger_url, "evergreen_worker")
    connection.cursor().execute("DROP OWNED BY evergreen_worker, evergreen_reader")
    connection.close()


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


def granted_by_script():
    """Table and column of each line of the script that lets tasks change something."""
    lines = re.findall(r"GRANT UPDATE \((.*)\) ON (\w+) TO evergreen_worker", SCRIPT.read_text())
    return {(table, column) for columns, table in lines for column in columns.split(", ")}


def test_a_ledger_whose_roles_are_older_than_its_tables_gives_tasks_what_they_need(roles_of_before):
    ledger = Ledger(roles_of_before)
    with ledger.transaction() as session:
        for table, column in sorted(granted_by_script()):
            session.execute(text(f'UPDATE "{table}" SET "{column}" = "{column}" WHERE id IS NULL'))
        for table in Base.metadata.tables:
            session.execute(text(f'SELECT * FROM "{table}" LIMIT 1'))
            may = text("SELECT has_table_privilege(current_user, :table, 'INSERT')")
            assert session.scalar(may, {"table": table})
    assert refused(ledger, "UPDATE label_hold SET needed = 0")
    assert refused(ledger, "UPDATE label_bias SET one_sided = false")
