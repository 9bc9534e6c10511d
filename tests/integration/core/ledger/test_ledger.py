"""The ledger on a real PostgreSQL: migrations, constraints, locks."""

import threading
import time

import pytest
from alembic import command
from sqlalchemy.exc import IntegrityError

from evergreen.core.ledger import Ledger
from evergreen.core.ledger.migrate import _config, at_head, upgrade
from evergreen.core.ledger.tables import Decision
from evergreen.errors import UnavailableError

pytestmark = pytest.mark.integration


def decision(dedup_key: str) -> Decision:
    return Decision(
        model="m", kind="no_action", dedup_key=dedup_key, reason="calm", evidence={}, decided_by="policy"
    )  # fmt: skip


def test_migrations_give_the_schema_of_the_tables(ledger_url):
    assert at_head(ledger_url)
    command.check(_config(ledger_url))


def test_migrating_twice_at_once_is_safe(ledger_url):
    threads = [threading.Thread(target=upgrade, args=(ledger_url,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_head(ledger_url)


def test_one_cause_makes_one_decision(ledger_url):
    ledger = Ledger(ledger_url)
    with ledger.transaction() as session:
        session.add(decision("drift:2013-04-01"))
    with pytest.raises(IntegrityError), ledger.transaction() as session:
        session.add(decision("drift:2013-04-01"))


def test_a_block_that_raises_writes_nothing(ledger_url):
    ledger = Ledger(ledger_url)

    def half_way() -> None:
        with ledger.transaction() as session:
            session.add(decision("x"))
            session.flush()
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half_way()
    with ledger.transaction() as session:
        assert session.query(Decision).count() == 0


def test_a_lock_lets_one_in_at_a_time(ledger_url):
    ledger = Ledger(ledger_url)
    inside: list[str] = []

    def hold(name: str) -> None:
        with ledger.lock("model", "2013-01-07"):
            inside.append(f"{name} in")
            time.sleep(0.1)
            inside.append(f"{name} out")

    threads = [threading.Thread(target=hold, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inside) == 8
    for entered, left in zip(inside[::2], inside[1::2], strict=True):
        assert entered.split()[0] == left.split()[0]


def test_a_dead_server_says_so_without_its_password():
    with (
        pytest.raises(UnavailableError, match="does not answer") as caught,
        Ledger("postgresql+psycopg2://u:hush@127.0.0.1:1/x").transaction() as session,
    ):
        session.query(Decision).count()
    assert "hush" not in str(caught.value)
