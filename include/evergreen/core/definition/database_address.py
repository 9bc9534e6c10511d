"""Where a database is. An address holds its password: it is looked up by name, and kept out of all that is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pydantic import SecretStr

from evergreen.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from evergreen.core.definition.sinks import SinkSection

AddressOf = Callable[[str], SecretStr | None]
"""The address of the given name; None if there is none"""
KINDS = {
    "postgresql": "postgresql", "postgres": "postgresql", "redshift": "postgresql",
    "mariadb": "mariadb", "mysql": "mariadb", "duckdb": "duckdb", "sqlite": "sqlite",
}  # fmt: skip
"""Beginning of a URL -> the driver that reads it"""
_OF_HOOKS = frozenset({
    "iam", "redshift", "redshift-serverless", "cursor", "cluster-identifier", "workgroup-name", "aws_conn_id",
    "azure_conn_id", "sqlalchemy_scheme", "sqlalchemy_query", "cluster_identifier", "region", "profile",
    "is_serverless", "serverless_work_group", "serverless_token_duration_seconds",
})  # fmt: skip
"""Extras of a PostgreSQL connection that Airflow's hooks read themselves: no server's, and in no address"""


def variable(name: str) -> str:
    """The variable that may hold the address of the name."""
    return f"EVERGREEN_DATABASE_{name.upper()}"


def from_environment(name: str) -> SecretStr | None:
    """The address in the variable of this name; for commands."""
    given = os.environ.get(variable(name))
    return SecretStr(given) if given else None


def connection_url(
    kind: str,
    login: str | None,
    password: str | None,
    host: str | None,
    port: int | None,
    schema: str | None,
    extra: Mapping[str, object],
) -> SecretStr:
    """The URL of an Airflow connection; `extra` holds options of the driver, such as sslmode.

    Of PostgreSQL those are left out that only Airflow's hooks read (such as cursor). All others are kept, so that libpq
    refuses what it does not know: a misspelt `sslmode` must not become a connection without TLS.
    """
    from sqlalchemy.engine import URL

    if kind in ("sqlite", "duckdb"):  # their connections keep the file in the host
        return SecretStr(f"{kind}:///{host or schema or ''}")
    driver, tls = KINDS.get(kind, kind), extra.get("ssl")
    if driver == "mariadb" and isinstance(tls, Mapping):
        extra = {**extra, **{f"ssl_{name}": value for name, value in tls.items()}}
    options = {
        name: str(value)
        for name, value in extra.items()
        if isinstance(value, str | int | float) and not (driver == "postgresql" and _is_of_hooks(name))
    }
    url = URL.create(driver or "unknown", login or None, password or None, host or None, port, schema or None, options)
    return SecretStr(url.render_as_string(hide_password=False))


def _is_of_hooks(name: str) -> bool:
    # Older forms of Airflow's page write the fields of their own as `extra__postgres__...`.
    return name in _OF_HOOKS or name.startswith("extra__")


def url_of(name: str, address_of: AddressOf) -> URL:
    """The URL of the name.

    Raises:
        SettingsError: there is no address of this name, or it is no URL of a database that can be read. Nothing of the
            address is quoted.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    address = address_of(name)
    if address is None or not address.get_secret_value().strip():
        raise SettingsError(
            f"there is no address of the database {name}: set {variable(name)} to its URL, or make the Airflow "
            f"connection {name}"
        )
    try:
        url = make_url(address.get_secret_value().strip())
    except (ArgumentError, ValueError):
        url = None
    kind = url.drivername.partition("+")[0] if url is not None else ""
    if url is None or kind not in KINDS:
        raise SettingsError(
            f"the address of the database {name} is no URL that can be read; write one that begins with "
            f"{', '.join(sorted(set(KINDS.values())))}, such as postgresql://user:password@host:5432/database"
        )
    return url.set(drivername=KINDS[kind])


def without_address(sinks: Mapping[str, SinkSection], address_of: AddressOf) -> dict[str, str]:
    """Those of `sinks` whose database `address_of` does not know -> the variable that would say where it is."""
    return {
        name: variable(sink.connection)
        for name, sink in sinks.items()
        if sink.connection is not None and address_of(sink.connection) is None
    }
