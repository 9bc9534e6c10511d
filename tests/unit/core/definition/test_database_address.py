"""The address of a database from an Airflow connection."""

import datetime as dt

import pytest
from pydantic import SecretStr

from evergreen.core.definition.calendar import Period
from evergreen.core.definition.database_address import connection_url, url_of
from evergreen.errors import SettingsError
from evergreen.loop.intake.database.mariadb import options_of


def test_of_a_connections_extras_those_of_hooks_are_left_out():
    hooks = {"cursor": "dictcursor", "iam": False, "redshift": False, "extra__postgres__cursor": "x"}
    extra = hooks | {"sslmode": "require", "connect_timeout": 5}
    url = url_of("shop", lambda _: connection_url("postgres", "me", "p@ss", "db.example", 5433, "shop", extra))
    assert dict(url.query) == {"sslmode": "require", "connect_timeout": "5"}
    assert (url.password, url.port, url.database) == ("p@ss", 5433, "shop")


@pytest.mark.parametrize("name", ["ssl_mode", "sslMode", "ssl-mode"])
def test_a_misspelt_option_of_a_connection_is_refused_and_not_dropped(name):
    from evergreen.loop.intake.database.postgres import connect

    extra = {name: "verify-full"}
    url = url_of("shop", lambda _: connection_url("postgres", "me", "p@ss", "127.0.0.1", 1, "shop", extra))
    with pytest.raises(SettingsError, match="is wrong: invalid"):
        connect(url)


def test_a_parameter_that_libpq_does_not_know_is_no_outage():
    from evergreen.loop.intake.database.postgres import read

    url = url_of("shop", lambda _: SecretStr("postgresql://me:s3cret@127.0.0.1:1/shop?cursor=dictcursor"))
    period = Period("2024-01-01", dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, tzinfo=dt.UTC))
    with pytest.raises(SettingsError, match='"cursor"') as raised, read(url, "SELECT 1", period, {}):
        pass
    assert "s3cret" not in str(raised.value)


def test_options_of_mariadb_are_taken_or_refused_by_name():
    extra = {"ssl": {"ca": "/srv/ca.pem"}, "ssl_verify_identity": True, "cursor": "sscursor", "connect_timeout": 5}
    url = url_of("shop", lambda _: connection_url("mysql", "me", "p", "db.example", None, "shop", extra))
    assert options_of(url.query) == {"ssl_ca": "/srv/ca.pem", "ssl_verify_identity": True, "connect_timeout": 5}
    with pytest.raises(SettingsError, match="the option sslmode, which is not known"):
        options_of({"sslmode": "require"})
    with pytest.raises(SettingsError, match="ssl_verify_cert of the MariaDB address has no value"):
        options_of({"ssl_verify_cert": "perhaps"})
