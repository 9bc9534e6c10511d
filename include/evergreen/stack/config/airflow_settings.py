"""Connections, pools and variables from `airflow_settings.yaml`, the Astro CLI's file, if there is no Astro CLI."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evergreen.errors import SettingsError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class Connection(_Strict):
    """A connection, as the Astro CLI spells it."""

    conn_id: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    conn_type: str
    conn_host: str | None = None
    conn_schema: str | None = None
    conn_login: str | None = None
    conn_password: str | None = None
    conn_port: int | None = None
    conn_extra: dict[str, Any] | None = None

    def as_json(self) -> str:
        """The form that `AIRFLOW_CONN_<ID>` takes."""
        fields = {
            "conn_type": self.conn_type,
            "host": self.conn_host,
            "schema": self.conn_schema,
            "login": self.conn_login,
            "password": self.conn_password,
            "port": self.conn_port,
            "extra": self.conn_extra,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None})


class Pool(_Strict):
    """A pool of slots."""

    pool_name: str
    pool_slot: int = Field(ge=1)
    pool_description: str = ""


class Variable(_Strict):
    """An Airflow variable."""

    variable_name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    variable_value: str


class AirflowSettings(_Strict):
    """What the file holds."""

    connections: tuple[Connection, ...] = ()
    pools: tuple[Pool, ...] = ()
    variables: tuple[Variable, ...] = ()

    def environment(self) -> dict[str, str]:
        """Connections and variables as Airflow reads them from the environment (pools exist in its database only)."""
        connections = {f"AIRFLOW_CONN_{c.conn_id.upper()}": c.as_json() for c in self.connections}
        variables = {f"AIRFLOW_VAR_{v.variable_name.upper()}": v.variable_value for v in self.variables}
        return connections | variables


def load(path: Path, environ: Mapping[str, str]) -> AirflowSettings:
    """Read the file; `${NAME}` in a value stands for that variable of `environ`.

    A value of `conn_extra` that is one reference and nothing else is read as YAML (so `true` is a boolean, not text).

    Raises:
        SettingsError: the file is missing, is not YAML, holds a field that does not belong there, or names a
            variable that is not set; the message says where.
    """
    parsed = _parse(path)
    body = parsed.get("airflow") if isinstance(parsed, dict) else None
    if not isinstance(body, dict):
        raise SettingsError(f"{path}: expected a mapping `airflow:` with connections, pools and variables.")
    # The Astro CLI's template leaves unused sections and fields empty.
    sections = {name: _filled(value) for name, value in body.items() if value}
    try:
        return AirflowSettings.model_validate(_expand(sections, environ, path, "airflow"))
    except ValidationError as err:
        problems = "; ".join(f"airflow.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors())
        raise SettingsError(f"{path}: {problems}.") from None  # the values, which may be secret, stay out of it


def _parse(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist: it lists Airflow's connections, pools and variables.") from None
    except YAMLError as err:
        raise SettingsError(f"{path} is not valid YAML: {err}") from err


def _filled(section: Any) -> Any:
    if not isinstance(section, list):
        return section
    return [
        {k: v for k, v in entry.items() if v not in (None, "")} if isinstance(entry, dict) else entry
        for entry in section
    ]


def _expand(value: Any, environ: Mapping[str, str], path: Path, where: str) -> Any:
    if isinstance(value, dict):
        return {k: _expand(v, environ, path, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, environ, path, f"{where}[{i}]") for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def found(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environ:
            raise SettingsError(f"{path}: {where} names ${{{name}}}, which is not set. Export {name} and start again.")
        return environ[name]

    text = _REFERENCE.sub(found, value)
    if ".conn_extra." in where and _REFERENCE.fullmatch(value):
        from ruamel.yaml import YAML

        return YAML(typ="safe").load(text)
    return text
