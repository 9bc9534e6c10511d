"""The loader of airflow_settings.yaml."""

import json
import os
import re
import stat
import subprocess
import sys

import pytest
import yaml

from evergreen.errors import SettingsError
from evergreen.stack.config import airflow_settings
from evergreen.stack.config.home import PROJECT

WHOLE = """
airflow:
  connections:
    - conn_id: smtp_default
      conn_type: smtp
      conn_host: ${HOST}
      conn_schema:
      conn_password: pre-${PASSWORD}
      conn_port: ${PORT}
      conn_extra:
        disable_tls: ${NO_TLS}
        timeout: 20
  pools:
    - pool_name: training
      pool_slot: 1
      pool_description:
  variables:
    - variable_name: mail_to
      variable_value: ${TO}
"""
ENV = {"HOST": "mail.example", "PASSWORD": "12345", "PORT": "1025", "NO_TLS": "true", "TO": "a@example"}


@pytest.fixture
def load(tmp_path):
    def load(text, environ=ENV):
        path = tmp_path / "airflow_settings.yaml"
        path.write_text(text)
        return airflow_settings.load(path, environ)

    return load


def test_references_are_expanded_and_extra_keeps_its_types(load):
    settings = load(WHOLE)
    env = settings.environment()
    assert json.loads(env["AIRFLOW_CONN_SMTP_DEFAULT"]) == {
        "conn_type": "smtp",
        "host": "mail.example",
        "password": "pre-12345",
        "port": 1025,
        "extra": {"disable_tls": True, "timeout": 20},
    }
    assert env["AIRFLOW_VAR_MAIL_TO"] == "a@example"
    assert (settings.pools[0].pool_name, settings.pools[0].pool_slot) == ("training", 1)


def test_an_unset_reference_says_where_and_what(load):
    without = {k: v for k, v in ENV.items() if k != "PASSWORD"}
    with pytest.raises(SettingsError, match=r"airflow\.connections\[0\]\.conn_password names \$\{PASSWORD\}"):
        load(WHOLE, without)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("airflow:\n  pools:\n    - pool_name: a\n      pool_slots: 1\n", r"pools\.0\.pool_slots"),
        ("airflow:\n  pools:\n    - pool_name: a\n      pool_slot: many\n", r"pools\.0\.pool_slot"),
        ("airflow:\n  connections:\n    - conn_id: a b\n      conn_type: smtp\n", r"connections\.0\.conn_id"),
        ("airflow:\n  dags: []\n  pools:\n    - x\n", r"pools\.0"),
        ("connections: []\n", "expected a mapping `airflow:`"),
        ("- a\n", "expected a mapping `airflow:`"),
        ("", "expected a mapping `airflow:`"),
        ("airflow: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(load, text, said):
    with pytest.raises(SettingsError, match=said):
        load(text)


def test_a_secret_is_not_quoted_in_an_error(load):
    text = "airflow:\n  connections:\n    - conn_id: a\n      conn_type: b\n      conn_port: ${PASSWORD}x\n"
    with pytest.raises(SettingsError) as caught:
        load(text, {"PASSWORD": "sesame"})
    assert "sesame" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match="does not exist"):
        airflow_settings.load(tmp_path / "airflow_settings.yaml", {})


def test_the_astro_template_with_empty_sections_is_valid(load):
    assert load("airflow:\n  connections:\n  pools:\n  variables:\n").environment() == {}


ASTRO = {  # the fields that the Astro CLI decodes, and the type that it decodes each to
    "connections": {
        "conn_id": str, "conn_type": str, "conn_host": str, "conn_schema": str, "conn_login": str,
        "conn_password": str, "conn_port": int, "conn_uri": str, "conn_extra": dict,
    },
    "pools": {"pool_name": str, "pool_slot": int, "pool_description": str},
    "variables": {"variable_name": str, "variable_value": str},
}  # fmt: skip


def test_the_shipped_file_has_the_fields_of_the_astro_cli_and_no_others():
    body = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text())
    assert list(body) == ["airflow"]
    assert set(body["airflow"]) == set(ASTRO)
    for section, entries in body["airflow"].items():
        for entry in entries:
            assert set(entry) <= set(ASTRO[section]), f"{section}: {entry}"


def test_rendered_it_can_be_decoded_by_the_astro_cli(tmp_path):
    """The CLI fills in no reference: `conn_port: ${PORT}` would keep it from reading anything of the file."""
    text = (PROJECT / "airflow_settings.yaml").read_text()
    env = {name: "1025" if name.endswith("PORT") else "true" if "TLS" in name else f"of {name}"
           for name in re.findall(r"\$\{(\w+)\}", text)}  # fmt: skip
    path = tmp_path / "settings.yaml"
    command = [sys.executable, str(PROJECT / "deploy" / "render_settings.py"), str(path)]
    subprocess.run(command, env={**os.environ, **env}, check=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "${" not in path.read_text()
    rendered = yaml.safe_load(path.read_text())["airflow"]
    for section, entries in rendered.items():
        for entry in entries:
            wrong = {name for name, value in entry.items() if not isinstance(value, ASTRO[section][name])}
            assert not wrong, f"{section}: {entry}"
    assert airflow_settings.load(path, {}) == airflow_settings.load(PROJECT / "airflow_settings.yaml", env)
    without = {name: value for name, value in os.environ.items() if name not in env}
    done = subprocess.run(command, env=without, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "which is not set" in done.stderr
    assert "Traceback" not in done.stderr
